"""Documents: many editors at once, one with a long past, saves of whole texts, and an edit's way to another.

Editors: so many Yjs clients, as y-websocket is one, edit one document of 20 000 characters, each once a
second, at random places. A delivery is an edit that has come to another editor: `p50_ms`, `p95_ms` and
`p99_ms` are from just before the one's `send` to just after the other's `recv`, with what the load generator
takes, which is this process. `cpu_percent` is the server's processor time, of one core, meanwhile.

A quarter of them do the same before. `cpu_ms_each` is the server's time until the last delivery,
`in_time_percent` the deliveries that had come when the last edit was sent.

`memory`, `sqlite`
    Our server, with its log in memory and in a file: there an edit is on the disk before it goes on.
`pycrdt`
    `pycrdt.websocket.WebsocketServer`, on `websockets`, without a store.
`json`
    Our server and clients of its plain dialect, who send and are sent the whole text. They edit one of 2 000
    characters. The deliveries are those to the first, the last and six other ones; they may skip versions.

Past: a document with 100 000 edits in its past, each the insertion of one character, in a file. `open_ms` is
the median time of a server's start on that file and of a client's opening of the document, to the whole text;
without what an interpreter takes to start. `times_state` is the size of the file after it was closed, beside
that of the document's whole state; `peak_kb` the largest of the file and its WAL on the way there. The log is
written without a server that merges each edit, and compacted as that one would.

`typed`
    Five editors type, in turns of 200 characters, each at the end.
`scattered`
    Five editors insert at random places, so that hardly two characters stay together. The updates are put
    together here, byte by byte: pycrdt takes minutes for them, and so does a Doc that merges each alone.

Save: a plain client saves a text of 100 000 characters. The server's time, from the message to the log in
memory: `ms`, the median, and `edits`, what it comes to. `difflib_ms` is
`difflib.SequenceMatcher(None, before, after).get_opcodes()`, and `difflib_changed` the characters which that
replaces: as popular characters are junk to it, often nearly all. `difflib_exact_ms` is without that, for a
tenth of the text.

`middle`, `ends`, `scattered`, `half`
    Another word in the middle; at both ends; in every twentieth line; all words in the second half.

Edit: from a client of `rtwidgets.v1` to the text of another one, with each engine.
"""

from __future__ import annotations

import argparse
import asyncio
import difflib
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pycrdt
from websockets.frames import Opcode

from benchmarks._common import Feed, arguments, masked, table, upgraded
from benchmarks._sockets import Load, Sockets, frame, percentiles
from rtwidgets.client import Multiplex
from rtwidgets.client.document import DocumentSource
from rtwidgets.engines import MemoryEngine, open_engine
from rtwidgets.server import Hub
from rtwidgets.services.library import SharedDocument, document_of
from rtwidgets.yjs.edits import Change, Edit
from rtwidgets.yjs.protocol import Step1, Update, encode
from rtwidgets.yjs.record import Record
from rtwidgets.yjs.replica import EMPTY, TEXT
from rtwidgets.yjs.shadow import Shadow

LENGTH = 20_000  # characters that the editors begin with
JSON_LENGTH = 2_000
SENTENCE = "the quick brown fox \n"

Id = tuple[int, int]


# Yjs updates, byte by byte


def number(value: int) -> bytes:
    """Encode a number as lib0's ``writeVarUint`` does."""
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])


def insertion(at: Id, text: str, left: Id | None, right: Id | None) -> bytes:
    """Return the update (version 1) that inserts a text between two characters, by client and clock."""
    origins = b"".join(number(part) for origin in (left, right) if origin for part in origin)
    if not origins:
        origins = b"\x01" + number(len(TEXT)) + TEXT.encode()
    kind = 4 | (128 if left else 0) | (64 if right else 0)
    data = text.encode()
    return (
        b"\x01\x01"
        + number(at[0])
        + number(at[1])
        + bytes([kind])
        + origins
        + number(len(data))
        + data
        + b"\0"
    )


def typed(count: int) -> Iterator[bytes]:
    """Yield updates of editors who type in turns."""
    editors = [pycrdt.Doc[Any](client_id=client) for client in clients(5)]
    texts = [editor.get(TEXT, type=pycrdt.Text) for editor in editors]
    made: list[bytes] = []
    for editor in editors:
        editor.observe(lambda event: made.append(event.update))
    turn = 0
    while count > 0:
        editor, text, before = editors[turn % 5], texts[turn % 5], editors[turn % 5 - 1]
        editor.apply_update(before.get_update(editor.get_state()))
        made.clear()
        for n in range(min(200, count)):
            text.insert(len(text), SENTENCE[n % len(SENTENCE)])
        yield from made
        count -= len(made)
        turn += 1


def scattered(count: int) -> Iterator[bytes]:
    """Yield updates of editors who insert at random places."""
    draw = random.Random(2)
    ids = clients(5)
    there: list[Id] = []
    following: dict[Id, Id | None] = {}
    first: Id | None = None
    for n in range(count):
        at = (ids[n % 5], n // 5)
        left = there[int(draw.random() * n)] if n else None
        right = following[left] if left else first
        yield insertion(at, SENTENCE[n % len(SENTENCE)], left, right)
        following[at] = right
        if left:
            following[left] = at
        there.append(at)


def clients(count: int) -> list[int]:
    """Return so many client ids as Yjs draws them."""
    return random.Random(3).sample(range(1, 2**32), count)


# Editors


def yjs_editors(feed: Feed, count: int, seconds: float, *, path: str) -> dict[str, float]:
    """Let Yjs clients edit, and return how long their edits took to each other."""
    base = clients(1)[0]
    ids = clients(count + 1)[1:]
    draw = random.Random(4)
    message = encode(Update(insertion((base, 0), words(draw, LENGTH), None, None)))
    seed = upgraded(feed.url, path)
    seed.sendall(frame(Opcode.BINARY, message))
    editors = Sockets(feed.url, path, count)
    try:
        synced: set[int] = set()

        def sync(editor: int, message: bytes, now: float) -> None:
            if message[:2] == b"\x00\x00":
                editors.sockets[editor].sendall(masked(Opcode.BINARY, encode(Update(EMPTY, answer=True))))
            elif message[:2] == b"\x00\x01" and len(message) > LENGTH:
                synced.add(editor)

        for made in editors.sockets:
            made.sendall(masked(Opcode.BINARY, encode(Step1(b"\x00"))))
        while len(synced) < count:
            editors.read(1.0, sync)

        edits = int(count * seconds)
        sent: dict[bytes, tuple[int, float]] = {}
        times: list[float] = []
        prepared = []
        for n in range(edits):
            place = draw.randrange(LENGTH - 1)
            update = insertion((ids[n % count], n // count), "x", (base, place), (base, place + 1))
            prepared.append(encode(Update(update)))

        def send(n: int) -> None:
            sent[prepared[n]] = (n % count, time.perf_counter())
            editors.sockets[n % count].sendall(masked(Opcode.BINARY, prepared[n]))

        def take(editor: int, message: bytes, now: float) -> None:
            entry = sent.get(message)
            if entry is not None and entry[0] != editor:
                times.append(now - entry[1])

        return Load(edits, seconds, edits * (count - 1), send, take, times).run(feed, editors)
    finally:
        editors.close()
        seed.close()


class Mark(NamedTuple):
    """A character that was inserted, and who has not seen it yet."""

    character: bytes
    editor: int
    at: float
    missing: set[int]


def json_editors(feed: Feed, count: int, seconds: float) -> dict[str, float]:
    """Let plain clients edit, and return how long their edits took to some others."""
    draw = random.Random(5)
    editors = Sockets(feed.url, "/documents/notes", count)
    observers = {*range(0, count, max(1, count // 7)), count - 1}
    edits = int(count * seconds)
    marks: dict[int, Mark] = {}  # those that some observer has not seen yet
    times: list[float] = []
    newest = b""

    def take(editor: int, message: bytes, now: float) -> None:
        nonlocal newest
        if editor not in observers or b'"content"' not in message[:40]:
            return
        if editor == 0:
            newest = message
        seen = [n for n, mark in marks.items() if editor in mark.missing and mark.character in message]
        for n in seen:
            marks[n].missing.discard(editor)
            if editor != marks[n].editor:
                times.append(now - marks[n].at)
            if not marks[n].missing:
                del marks[n]

    def send(n: int) -> None:
        at = msgspec.json.decode(newest)
        text, character = at["content"], chr(0x4E00 + n)
        place = draw.randrange(len(text) + 1)
        edit = {"type": "edit", "content": text[:place] + character + text[place:], "version": at["version"]}
        marks[n] = Mark(character.encode(), n % count, time.perf_counter(), set(observers))
        editors.sockets[n % count].sendall(frame(Opcode.TEXT, msgspec.json.encode(edit)))

    try:
        while not newest:
            editors.read(1.0, take)
        text = {"type": "edit", "content": words(draw, JSON_LENGTH)}
        editors.sockets[0].sendall(frame(Opcode.TEXT, msgspec.json.encode(text)))
        while len(newest) < JSON_LENGTH:
            editors.read(1.0, take)
        deliveries = sum(len(observers - {n % count}) for n in range(edits))
        return Load(edits, seconds, deliveries, send, take, times).run(feed, editors)
    finally:
        editors.close()


def measure_editors(count: int, seconds: float) -> dict[str, dict[str, float]]:
    found = {}
    for few in (count // 4, count):
        with tempfile.TemporaryDirectory() as folder:
            for name, kind, path, options in (
                ("memory", "documents", "/yjs/notes", ()),
                ("sqlite", "documents", "/yjs/notes", ("--folder", folder)),
                ("pycrdt", "pycrdt", "/notes", ()),
            ):
                with Feed(kind, 0, *options) as feed:
                    found[f"{name}_{few}"] = yjs_editors(feed, few, seconds, path=path)
        with Feed("documents", 0) as feed:
            found[f"json_{few}"] = json_editors(feed, few, seconds)
    return found


# A long past


PASTS = {"typed": typed, "scattered": scattered}


async def write(hub: Hub, updates: list[bytes], look: Callable[[], None]) -> SharedDocument:
    """Write the log of a document as its server would, without following it."""
    document = await document_of(hub, "notes")
    channel = document.channel
    for at in range(0, len(updates), 25):
        now = time.time_ns() / 1e6
        await channel.publish_many(Record(now, "ada", 1, 0, update) for update in updates[at : at + 25])
        look()
        if channel.log.size > document._limit:
            await document._compact()
            look()
    return document


async def measure_past(kind: str, count: int, rounds: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "documents.db"
        peak = 0

        def look() -> None:
            nonlocal peak
            peak = max(peak, sum(each.stat().st_size for each in file.parent.iterdir()))

        engine = open_engine(f"sqlite:///{file}")
        began = time.perf_counter()
        document = await write(Hub(engine), list(PASTS[kind](count)), look)
        wrote = time.perf_counter() - began
        last = document.channel.log.last
        await engine.close()
        size = file.stat().st_size
        opens, starts = [], []
        state = 0
        for _ in range(rounds):
            with Feed("documents", 0, "--folder", folder) as feed:
                began = time.perf_counter()
                source = DocumentSource(Multiplex(feed.url, "benchmark"), "notes", "ada")
                await source.start()
                opened = time.perf_counter() - began
                starts.append(feed.greeting["started"])
                opens.append(opened + starts[-1])
                state, text = len(source.replica.state()), source.text
                assert (source.history.version, len(text)) == (last, count)
                await source.close()
    return {
        "open_ms": round(1e3 * statistics.median(opens)),
        "worst_open_ms": round(1e3 * max(opens)),
        "start_ms": round(1e3 * statistics.median(starts)),
        "state_kb": round(state / 1e3),
        "file_kb": round(size / 1e3),
        "times_state": round(size / state, 2),
        "peak_kb": round(peak / 1e3),
        "write_s": round(wrote, 1),
    }


# Saves of whole texts


def saves(before: str) -> dict[str, str]:
    """Return what a text of lines is saved as."""
    lines = before.splitlines(keepends=True)
    half = len(lines) // 2
    middle, ends = lines.copy(), lines.copy()
    middle[half] = "another " + middle[half]
    ends[0], ends[-1] = "another " + ends[0], ends[-1] + " another"
    sprinkled = [line.replace(" ", " another ", 1) if n % 20 == 0 else line for n, line in enumerate(lines)]
    other = lines[:half] + [" ".join(reversed(line.split())) + "\n" for line in lines[half:]]
    return {
        name: "".join(each)
        for name, each in {"middle": middle, "ends": ends, "scattered": sprinkled, "half": other}.items()
    }


async def save(before: str, after: str) -> tuple[float, int]:
    """Return the seconds that a server takes for a save, and to how many edits it comes."""
    document = await document_of(Hub(MemoryEngine()), "notes")
    await document.edit((Edit(0, 0, before),), "ada")
    message = json.dumps({"type": "edit", "content": after, "version": document.versions.version})
    shadow = Shadow()
    began = time.perf_counter()
    edit = msgspec.json.decode(message)
    change = shadow.rebase(document.versions, edit["content"], edit["version"], since=document.seen)
    shadow.landed(await document.edit(change, "ada"))
    took = time.perf_counter() - began
    assert document.versions.text == after
    return took, len(change)


def compare(before: str, after: str, *, junk: bool) -> tuple[float, int]:
    """Return the seconds that difflib takes, and how many characters it replaces."""
    began = time.perf_counter()
    found = difflib.SequenceMatcher(None, before, after, autojunk=junk).get_opcodes()
    took = time.perf_counter() - began
    return took, sum(max(b - a, d - c) for kind, a, b, c, d in found if kind != "equal")


async def measure_saves(length: int, rounds: int) -> dict[str, dict[str, float]]:
    before = words(random.Random(6), length)
    short = saves(before[: length // 10])
    found = {}
    for name, after in saves(before).items():
        took = [await save(before, after) for _ in range(rounds)]
        junk, changed = compare(before, after, junk=True)
        exact, _ = compare(before[: length // 10], short[name], junk=False)
        found[name] = {
            "ms": round(1e3 * statistics.median(seconds for seconds, _ in took), 2),
            "worst_ms": round(1e3 * max(seconds for seconds, _ in took), 2),
            "edits": took[0][1],
            "difflib_ms": round(1e3 * junk, 1),
            "difflib_changed": changed,
            "difflib_exact_ms": round(1e3 * exact, 1),
        }
    return found


# An edit's way


def _made(change: Change, now: str) -> Change:
    return change


def _has(source: DocumentSource, length: int) -> bool:
    return len(source.text) == length


async def measure_edit(count: int, *options: str) -> dict[str, float]:
    with Feed("documents", 0, *options) as feed:
        ada = DocumentSource(Multiplex(feed.url, "benchmark"), "notes", "ada")
        bob = DocumentSource(Multiplex(feed.url, "benchmark"), "notes", "bob")
        await ada.start()
        await bob.start()
        text = words(random.Random(7), LENGTH)
        await ada.edit(lambda now: (Edit(0, 0, text),))
        await bob.bell.wait(lambda: len(bob.text) == LENGTH)
        arrived = 0.0

        def note(text: str, version: int) -> None:
            nonlocal arrived
            arrived = time.perf_counter()

        bob.watch(note)
        draw, times = random.Random(8), []
        for n in range(1, count + 1):
            place = draw.randrange(LENGTH)
            began = time.perf_counter()
            change = (Edit(place, place, "x"),)
            await ada.edit(partial(_made, change))
            await bob.bell.wait(partial(_has, bob, LENGTH + n))
            times.append(arrived - began)
            await asyncio.sleep(0.005)
        await ada.close()
        await bob.close()
    return percentiles(times)


def words(draw: random.Random, length: int) -> str:
    """Return a text of words in lines."""
    some = ["der", "quick", "brown", "fox", "jumps", "over", "lazy", "dog", "alors", "entre", "two", "rivers"]
    lines = []
    size = 0
    while size < length:
        lines.append(" ".join(draw.choices(some, k=12)) + "\n")
        size += len(lines[-1])
    return "".join(lines)[:length]


async def measure(given: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {"editors": measure_editors(given.editors, given.seconds)}
    found["past"] = {kind: await measure_past(kind, given.edits, given.rounds) for kind in PASTS}
    found["save"] = await measure_saves(given.length, given.rounds)
    with tempfile.TemporaryDirectory() as folder:
        found["edit"] = {
            "memory": await measure_edit(given.edits // 500),
            "sqlite": await measure_edit(given.edits // 500, "--folder", folder),
        }
    return found


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--editors", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=3.0, help="that they edit")
    parser.add_argument("--edits", type=int, default=100_000, help="in the document's past")
    parser.add_argument(
        "--length", type=int, default=100_000, help="of the text that is saved, in characters"
    )
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    results = asyncio.run(measure(given))
    if given.json:
        print(json.dumps(results))
        return
    titles = {
        "editors": f"{given.editors} and {given.editors // 4} editors of one document, an edit a second each",
        "past": f"Opening a document with {given.edits:,} edits in its past, and its file",
        "save": f"A plain client saves {given.length:,} characters",
        "edit": "From a client to another one's text",
    }
    for name, title in titles.items():
        found = results[name]
        print(title)
        head = ("", *next(iter(found.values())))
        print(table(head, [(row, *(f"{each:,}" for each in cells.values())) for row, cells in found.items()]))
    verdicts = {
        "a document with a long past opens in {:.0f} ms, of {:.0f}": (
            worst(results["past"], "open_ms"),
            300.0,
        ),
        "its file has {:.2f} times its state, of {:.0f}": (worst(results["past"], "times_state"), 3.0),
        "a save in one or two places takes the server {:.1f} ms, of {:.0f}": (
            worst({name: each for name, each in results["save"].items() if name != "scattered"}, "ms"),
            20.0,
        ),
    }
    for sentence, (value, limit) in verdicts.items():
        print(f"{'reached' if value <= limit else 'MISSED'}: {sentence.format(value, limit)}")


def worst(found: dict[str, dict[str, float]], name: str) -> float:
    return max(each[name] for each in found.values())


if __name__ == "__main__":
    main()
