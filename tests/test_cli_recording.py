"""``rtwidgets info`` and ``rtwidgets convert``."""

import io
import itertools
import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pandas as pd
import pytest
from click.testing import CliRunner

from rtwidgets.cli import main
from rtwidgets.cli.convert import convert
from rtwidgets.cli.info import info
from rtwidgets.client import Intake, Records
from rtwidgets.frames import LiveFrame
from rtwidgets.messages import Messages, Subscribed, encode
from rtwidgets.recording import Batch, Kind, Recording, write_capture
from tests.recording.tapes import BEGIN, SECOND, flat, tape, text

CAPTURES = Path(__file__).parents[2] / "shared" / "captures"

module = sys.modules["rtwidgets.cli.convert"]  # the package has the command under that name
commands = type(main)(commands={"info": info, "convert": convert})


def run(*arguments, code=0):
    result = CliRunner().invoke(commands, list(map(str, arguments)))
    assert result.exit_code == code, result.output
    return result


def rows(*messages):
    """A batch for each second, of one message each."""
    return [text(n, json.dumps(message)) for n, message in enumerate(messages)]


# info


def test_info_says_what_is_in_a_recording(tmp_path):
    """Of which feed, from when to when, how much, and the first messages, shortened."""
    about = {
        "url": "wss://feed.example/ws",
        "subscribe": ['{"op":"subscribe"}'],
        "arguments": {"key": "symbol"},
    }
    path = tape(
        tmp_path / "a.rtlog",
        [Batch(BEGIN, Kind.OPENED, [b'{"url": "wss://feed.example/ws"}'])],
        [Batch(BEGIN, Kind.SENT_TEXT, [b'{"op":"subscribe"}'])],
        [text(1, "x" * 200, "\x1b[2J")],
        [Batch(BEGIN + 10 * SECOND, Kind.BINARY, [b"\x00\x01"]), text(90_000, "later")],
        about=about,
    )
    assert run("info", path).stdout.splitlines() == [
        str(path),
        "  url          wss://feed.example/ws",
        '  subscribe    {"op":"subscribe"}',
        '  arguments    {"key": "symbol"}',
        "  recorded     2023-11-14 22:13:20 to 2023-11-15 23:13:20 UTC, 90,000.0 s",
        "  messages     4 received, 0.0 a second; 1 sent",
        "  connections  1",
        f"  bytes        261 of messages, {path.stat().st_size} in the file",
        "  whole        yes",
        f"  22:13:21.000000 {'x' * 89}…",
        "  22:13:21.000000 \N{REPLACEMENT CHARACTER}[2J",
        "  22:13:30.000000 b'\\x00\\x01'",
    ]


def test_info_of_a_recording_that_was_cut(tmp_path):
    """It says so; what is there is counted. There may be nothing at all."""
    path = tape(tmp_path / "a.rtlog", [text(0)], [text(1)])
    path.write_bytes(path.read_bytes()[: Recording(path)._reader._index.places[2] + 50])
    shown = run("info", path).stdout
    assert (
        "  whole        no: it was cut, is damaged or is still being written; what is there can be" in shown
    )
    assert "  messages     1 received; 0 sent" in shown
    path.write_bytes(b"")
    assert "  messages     0 received; 0 sent" in run("info", path).stdout


def test_info_as_json():
    """Nothing is shortened; a capture will do."""
    shown = json.loads(run("info", CAPTURES / "coinbase.txt", "--json").stdout)
    recording = Recording(CAPTURES / "coinbase.txt")
    assert shown.pop("beginning") == [
        {"time": time, "kind": "text", "data": message.decode()}
        for time, _, message in itertools.islice(flat(recording), 4, 7)
    ]
    assert shown == {
        "file": str(CAPTURES / "coinbase.txt"),
        "about": recording.about,
        **recording.info()._asdict(),
        "rate": 9946 / 31.0030401,
        "ratio": recording.info().raw / recording.info().compressed,
    }


def test_info_of_something_else(tmp_path):
    """Is one line that says what would be a recording."""
    (tmp_path / "a.txt").write_text("hello\n")
    assert run("info", tmp_path / "a.txt", code=2).stderr.startswith(
        f"Error: {tmp_path}/a.txt is no recording: "
    )
    assert "No such file" in run("info", tmp_path / "none", code=2).stderr


# convert


@pytest.mark.parametrize("name", ["bitstamp", "coinbase", "kraken"])
def test_there_and_back_is_the_same(tmp_path, name):
    """From a capture to each of the formats, and to a capture at last."""
    source = CAPTURES / f"{name}.txt"
    names = ["a.rtlog", "b.jsonl", "c.txt", "d.jsonl", "e.rtlog", "f.txt"]
    for before, after in itertools.pairwise([source, *(tmp_path / each for each in names)]):
        result = run("convert", before, after)
        assert result.output == ""
        assert list(Recording(after).batches()) == list(Recording(source).batches())
    assert (tmp_path / "f.txt").read_bytes().strip() == source.read_bytes().strip()


def test_a_file_that_is_there_stays(tmp_path):
    """Unless it is to be replaced; a conversion that fails leaves it, too."""
    source = tape(tmp_path / "a.rtlog", [text(0, "two\nlines")])
    (tmp_path / "b.txt").write_text("mine")
    assert (
        "is there already: replace it with --force"
        in run("convert", source, tmp_path / "b.txt", code=2).stderr
    )
    assert "write JSON lines" in run("convert", source, tmp_path / "b.txt", "--force", code=2).stderr
    assert (tmp_path / "b.txt").read_text() == "mine"
    run("convert", source, source, "--force")
    assert list(Recording(source).batches()) == [text(0, "two\nlines")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.rtlog", "b.txt"]


def test_what_cannot_be_converted_is_told(tmp_path):
    """A name that says no format, an option about rows where there are none, and a damaged recording."""
    source = tape(tmp_path / "a.rtlog", [text(0)], [text(1)], [text(2)])
    assert "a name that ends with .rtlog, .jsonl" in run("convert", source, tmp_path / "b.csv", code=2).stderr
    words = run("convert", source, tmp_path / "b.jsonl", "--key", "x", code=2).stderr
    assert "--key is about rows, which only .parquet has: leave it out" in words
    content = bytearray(source.read_bytes())
    content[Recording(source)._reader._index.places[2] + 80] ^= 1
    source.write_bytes(content)
    assert "a.rtlog is damaged at byte" in run("convert", source, tmp_path / "b.jsonl", code=1).stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.rtlog"]


# Parquet


def test_rows_are_written_as_the_recording_says(tmp_path):
    """As they were read when it was recorded; options take the place of that."""
    messages = [{"type": "match", "symbol": "AB"[n % 2], "price": n, "n": n} for n in range(10)]
    path = tape(
        tmp_path / "a.rtlog",
        rows(*messages, {"type": "other"}),
        about={"arguments": {"where": {"type": "match"}, "key": "symbol", "later": 1}},
    )
    run("convert", path, tmp_path / "b.parquet")
    made = pd.read_parquet(tmp_path / "b.parquet")
    assert made["price"].tolist() == list(range(10))
    assert made.dtypes.astype(str).to_dict() == {
        "type": "str", "symbol": "category", "price": "int64", "n": "int64", "time": "datetime64[ns, UTC]",
    }  # fmt: skip
    assert (made["time"].astype("int64") - BEGIN).tolist() == [n * SECOND for n in range(10)]
    run("convert", path, tmp_path / "c.parquet", "--where", "n=3", "--where", "type=match", "--key", "type")
    made = pd.read_parquet(tmp_path / "c.parquet")
    assert made["n"].tolist() == [3]
    assert str(made["type"].dtype) == "category"


def test_trades_of_a_capture(tmp_path):
    """A capture does not say how its rows are read, so options do."""
    wanted = [
        message
        for _, kind, raw in flat(Recording(CAPTURES / "coinbase.txt"))
        if kind is Kind.TEXT and (message := json.loads(raw))["type"] == "l2update"
    ]
    columns = [
        "--records",
        "changes",
        "--columns",
        "side,price,size",
        "--key",
        "product_id",
        "--time",
        "time",
    ]
    made = tmp_path / "b.parquet"
    run("convert", CAPTURES / "coinbase.txt", made, "--where", "type=l2update", *columns)
    made = pd.read_parquet(made)
    assert list(zip(made["product_id"], made["side"], made["price"], made["size"], strict=True)) == [
        (message["product_id"], side, float(price), float(size))
        for message in wanted
        for side, price, size in message["changes"]
    ]
    assert made["time"].iloc[-1] == pd.Timestamp(wanted[-1]["time"])


def test_columns_that_come_late_or_widen_are_those_of_a_frame(tmp_path, monkeypatch):
    """Null, then text; whole numbers, then fractions; keys without end: as if all had been read at once."""
    messages = [{"n": n, "key": f"k{n}", "late": None, "flag": True, "list": [n]} for n in range(6_000)]
    messages[1_500]["flag"] = None
    messages[2_500]["n"] = 0.5
    messages[3_500] |= {"late": "ä", "more": 7}
    messages[4_500]["more"] = "not a number"  # rejected
    for size in (100_000, 700):
        monkeypatch.setattr(module, "_GROUP", size)
        path = tape(tmp_path / "a.rtlog", rows(*messages), about={"arguments": {"key": "key"}})
        run("convert", path, tmp_path / "b.parquet", "--force")
        made = pd.read_parquet(tmp_path / "b.parquet")
        frame = LiveFrame(None, key="key")
        intake = Intake(frame)
        for batch in Recording(path).batches():
            intake.messages(batch.messages, batch.time)
        assert len(made) == 5_999
        assert made.dtypes.astype(str).to_dict() == frame.df.dtypes.astype(str).to_dict()
        texts = dict.fromkeys(
            ["key", "late", "list"], object
        )  # pandas keeps text that it reads in another way
        pd.testing.assert_frame_equal(made.astype(texts), frame.df.astype(texts), check_index_type=False)
        path.unlink()


def test_rows_of_one_message_may_be_many(tmp_path):
    """A snapshot has more rows than a frame would keep between two others."""
    messages = [{"book": [[n, m] for m in range(5_000)]} for n in range(3)]
    path = tape(tmp_path / "a.rtlog", rows(*messages))
    run("convert", path, tmp_path / "b.parquet", "--records", "book", "--columns", "n,m")
    made = pd.read_parquet(tmp_path / "b.parquet")
    assert made["m"].tolist() == [*range(5_000)] * 3
    frame = LiveFrame(None)
    Intake(frame, records=Records("book", columns=["n", "m"])).messages(
        [message for _, _, message in flat(Recording(path))], BEGIN
    )
    assert made[["n", "m"]].equals(frame.df[["n", "m"]])


def test_a_channel_of_ours(tmp_path):
    """Its key is what the server said, and rows have their offsets."""
    data = b'[{"symbol":"A","price":1},{"symbol":"B","price":2}]'
    messages = [
        Subscribed(id=1, channel="prices", epoch="e", offset=0, recovered=True, lost=0, key="symbol"),
        Messages(channel="prices", epoch="e", offset=1, count=2, time=1e12, data=msgspec.Raw(data)),
    ]
    path = tape(
        tmp_path / "a.rtlog",
        [Batch(BEGIN + n, Kind.TEXT, [encode(message)]) for n, message in enumerate(messages)],
        about={"channel": "prices", "arguments": {}},
    )
    run("convert", path, tmp_path / "b.parquet")
    made = pd.read_parquet(tmp_path / "b.parquet")
    assert made[["symbol", "price", "offset"]].to_numpy().tolist() == [["A", 1, 1], ["B", 2, 2]]
    assert str(made["symbol"].dtype) == "category"


def test_a_recording_without_rows_is_told(tmp_path):
    """With the reason, where there is one; rows of several kinds have to be chosen from."""
    path = tape(tmp_path / "a.rtlog", [text(0, "5")])
    words = run("convert", path, tmp_path / "b.parquet", code=2).stderr
    assert "has no rows to write (a row is an object or a list, not a number" in words
    assert "say where they are with --records and --where" in words
    path.unlink()
    for about in ({"feed": "coinbase"}, {"arguments": {"by": "type"}}):
        path = tape(tmp_path / "a.rtlog", rows({"type": "a", "n": 1}, {"type": "b", "n": 2}), about=about)
        words = run("convert", path, tmp_path / "b.parquet", code=2).stderr
        assert "has rows of several kinds, and a Parquet file has one: say which with --where" in words
        run("convert", path, tmp_path / "b.parquet", "--where", "type=b")
        assert pd.read_parquet(tmp_path / "b.parquet")["n"].tolist() == [2]
        (tmp_path / "b.parquet").unlink()
        path.unlink()


def test_parquet_says_what_to_install(tmp_path, monkeypatch):
    """Where pyarrow is missing; nothing is written."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = tape(tmp_path / "a.rtlog", rows({"n": 1}))
    result = run("convert", path, tmp_path / "b.parquet", code=2)
    assert result.stderr == "Error: Parquet needs pyarrow: pip install 'rtwidgets[parquet]'\n"
    assert not (tmp_path / "b.parquet").exists()


def test_how_far_it_is_is_shown_in_a_terminal_when_it_takes_long(tmp_path, monkeypatch):
    """And nowhere else."""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    path = tape(tmp_path / "a.rtlog", rows(*({"n": n} for n in range(50))))
    shown = []
    for long in (0.0, 3_600.0):
        terminal = Terminal()
        monkeypatch.setattr(module, "_LONG", long)
        monkeypatch.setattr(sys, "stderr", terminal)
        recording = module._watched(path)
        assert len(list(recording.batches())) == 50
        shown.append("reading a.rtlog" in terminal.getvalue())
    assert shown == [True, False]


MEASURING = """
import sys
from rtwidgets.cli.convert import convert
from rtwidgets.recording import Kind, Writer

def peak():  # of this program; what `resource` tells begins with the memory of the one that started it
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024  # MiB

folder, peaks = sys.argv[1], []
for batches in (200, 2_000):
    path = f"{folder}/{batches}.rtlog"
    with Writer(path) as writer:
        for n in range(batches):
            made = [b'{"n":%d,"text":"number %d of many"}' % (m, n * m) for m in range(200)]
            writer.write(n * 10**9, Kind.TEXT, made)
            writer.flush()
    convert.main([path, f"{folder}/{batches}.parquet"], standalone_mode=False)
    peaks.append(peak())
print(peaks[1] - peaks[0])
"""


def test_rows_are_written_in_constant_memory(tmp_path):
    """Ten times as many do not need much more."""
    command = [sys.executable, "-c", MEASURING, str(tmp_path)]
    grown = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert len(pd.read_parquet(tmp_path / "2000.parquet")) == 400_000
    assert grown < 60


def test_a_capture_of_a_recording_with_an_end(tmp_path):
    """What a capture has no room for is left out, and the rest is there."""
    batches = [text(0), Batch(BEGIN + SECOND, Kind.CLOSED, [b"the end"]), text(2)]
    write_capture(Recording(tape(tmp_path / "a.rtlog", batches)), tmp_path / "b.txt")
    assert list(Recording(tmp_path / "b.txt").batches()) == [text(0), text(2)]
