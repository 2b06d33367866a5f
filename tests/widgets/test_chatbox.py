"""The chat widget's half in the kernel, on a stand-in for a room, and how the browser takes texts apart."""

import enum
import json
import shutil
import subprocess
from collections.abc import Iterator

import comm
import pytest
from ipywidgets.widgets.widget import _instances

import rtwidgets.widgets.chatbox as module
from rtwidgets.frames import LiveFrame
from rtwidgets.loop import lease
from rtwidgets.widgets import ChatBox, close_all
from rtwidgets.widgets.editor import colour_of
from rtwidgets.widgets.scripts import CHAT
from rtwidgets.widgets.theme import COLOURS
from tests.waiting import until

START = 1_700_000_000_000


class State(enum.Enum):
    OPEN = "open"
    WAITING = "waiting"
    CLOSED = "closed"


class StandIn:
    """A room without a server."""

    def __init__(self):
        schema = {"user": "category", "text": "str", "time": "datetime64[ms]"}
        self.frame = LiveFrame(key="user", time="time", schema=schema)
        self.room, self.user = "lobby", "ada"
        self.present, self.typing = ["ada"], []
        self.state, self.reason = State.OPEN, "it broke once"
        self.writable, self.stopped = True, False
        self.said, self.typed = [], []
        self.refuse = ""

    def hear(self, *texts, user="bob"):
        number = self.frame.total
        rows = [{"user": user, "text": each, "time": START + number + n} for n, each in enumerate(texts)]
        self.frame.extend(rows)

    def say(self, text, key, done):
        self.said.append((text, key))
        if not self.refuse:
            self.hear(text, user=self.user)
        done(self.refuse)

    def set_typing(self, typing):
        self.typed.append(typing)


class Page:
    """A page that shows a room: it reads as `room.js` does, with no browser."""

    def __init__(self, box, sent):
        self._widget = box
        self._sent = sent
        self._read = len(sent)
        self.past = json.loads(json.dumps(box.get_state("past")["past"]))
        self.rows = self.past["rows"]
        self.answers = []
        self.asked = 0

    def read(self):
        news, self._read = self._sent[self._read :], len(self._sent)
        for ident, written in news:
            if ident != self._widget.model_id:
                continue
            content = json.loads(json.dumps(written))
            if content["after"] > self.total:
                self.asked += 1
                self.say(ask=True)
            if content["after"] == 0:
                self.rows = content["rows"]
            else:
                self.rows += [row for row in content["rows"] if row[0] >= self.total]
            self.answers += content.get("answers", [])

    @property
    def total(self):
        return self.rows[-1][0] + 1 if self.rows else 0

    @property
    def texts(self):
        self.read()
        return [row[2] for row in self.rows]

    def say(self, **content):
        self._widget._handle_custom_msg(content, [])


@pytest.fixture(autouse=True)
def nothing_left(tidy: None) -> Iterator[None]:
    before = set(_instances)
    yield
    close_all()
    assert set(_instances) == before


@pytest.fixture
def sent(monkeypatch) -> list:
    """Custom messages that leave for the browser: the widget's id and their content."""
    messages = []

    def publish_msg(self, msg_type, data=None, metadata=None, buffers=None, **keys):
        if data and data.get("method") == "custom":
            messages.append((self.comm_id, data["content"]))

    monkeypatch.setattr(comm.DummyComm, "publish_msg", publish_msg)
    return messages


@pytest.fixture
def room() -> StandIn:
    return StandIn()


def test_a_page_has_what_was_said_before_it_came(room, sent):
    """With the widget's state, so that it need not ask: the newest 300; then what is new, once."""
    room.hear(*(f"message {n}" for n in range(1_000)))
    box = ChatBox(room)
    page = Page(box, sent)
    assert page.texts == [f"message {n}" for n in range(700, 1_000)]
    assert page.past["rows"][-1] == [999, "bob", "message 999", START + 999, False]
    room.hear("news")
    until(lambda: page.texts[-1] == "news")
    later = Page(box, sent)
    assert later.texts == page.texts[1:]
    assert [len(content["rows"]) for _, content in sent] == [1]


def test_only_what_is_new_crosses(room, sent):
    """However long the past is; and nothing where nothing has come."""
    room.hear(*["old"] * 300)
    box = ChatBox(room)
    page = Page(box, sent)
    for number in range(3):
        room.hear(f"new {number}")
        until(lambda number=number: page.texts[-1] == f"new {number}")
    assert sum(len(content["rows"]) for _, content in sent) == 3
    told = len(sent)
    looks = []
    box._looks = lambda: looks.append(1) or {}
    until(lambda: len(looks) > 3)
    assert len(sent) == told


def test_a_flood_is_cut_to_the_newest(room, sent):
    """And is sent no faster than the server between kernel and page takes it."""
    box = ChatBox(room)
    page = Page(box, sent)
    room.hear(*(f"{n} {'x' * 3_900}" for n in range(1_000)))
    until(lambda: page.texts and page.texts[-1].startswith("999 "))
    assert [int(text.split()[0]) for text in page.texts] == list(range(700, 1_000))
    assert box._free_at > 0
    before = len(sent)
    room.hear("one more")
    wait = box._free_at
    until(lambda: len(sent) > before)
    assert module.time.monotonic() >= wait


def test_a_page_that_has_lost_something_asks(room, sent):
    """And has all of it again."""
    box = ChatBox(room)
    page = Page(box, sent)
    room.hear("one")
    until(lambda: page.texts == ["one"])
    room.hear("two")
    until(lambda: len(sent) == 2)
    del sent[:]
    page._read = 0
    room.hear("three")
    until(lambda: page.texts == ["one", "two", "three"])
    assert page.asked == 1


def test_what_is_written_is_said_and_answered(room, sent):
    """The answer comes with the message, or with the reason why there is none."""
    box = ChatBox(room)
    page = Page(box, sent)
    page.say(say="hi", key="page-1")
    until(lambda: page.texts == ["hi"])
    assert (room.said, page.answers) == ([("hi", "page-1")], [["page-1", ""]])
    room.refuse = "too long"
    page.say(say="ho", key="page-2")
    until(lambda: page.texts == ["hi"] and len(page.answers) == 2)
    assert page.answers[1] == ["page-2", "too long"]
    page.say(typing=True)
    page.say(typing=False)
    assert room.typed == [True, False]


def test_who_is_there_and_how_it_stands(room):
    """Is told whenever it changes; without a connection nobody is known to be there."""
    box = ChatBox(room)
    assert (box.present, box.state, box.reason, box.writable) == (["ada"], "open", "", True)
    room.present, room.typing, room.writable = [f"u{n}" for n in range(1_000)], ["u1"], False
    until(lambda: box.people == 1_000)
    assert (len(box.present), box.typing, box.writable) == (50, ["u1"], False)
    room.state = State.WAITING
    until(lambda: box.state == "waiting")
    assert (box.present, box.people, box.typing, box.reason) == ([], 0, [], "it broke once")


def test_rows_of_an_odd_kind(room):
    """What has no name, text or time is shown as far as it goes; a gap is told with the row after it."""
    room.frame.extend([{"user": "ada", "text": "\0"}, {"user": None, "text": None, "time": None}])
    room.frame.mark_gap(room.frame.total)
    room.hear("after")
    box = ChatBox(room)
    rows = json.loads(json.dumps(box.get_state("past")["past"]["rows"]))
    assert rows == [
        [0, "ada", "\0", rows[0][3], False],
        [1, "", "", None, False],
        [2, "bob", "after", START + 2, True],
    ]


def test_a_stopped_widget_stays_as_it_is(room, sent):
    """It has the last of what was said, answers a page that asks, and looks no more."""
    box = ChatBox(room)
    page = Page(box, sent)
    room.hear(*["x" * 4_000] * 300)
    until(lambda: len(page.texts) == 300)
    room.hear("last words")
    room.state, room.reason, room.stopped = State.CLOSED, "stopped", True
    box.stop()
    box.stop()
    assert page.texts[-1] == "last words"
    assert (box.stopped, box.state, box.reason) == (True, "closed", "stopped")
    del sent[:]
    page._read = 0
    page.say(ask=True)
    assert page.texts[-1] == "last words"
    late = ChatBox(room)
    assert late.stopped
    late.close()
    late.close()


def test_as_text_it_is_short(room):
    """A notebook that is not live has a word in its place."""
    box = ChatBox(room)
    assert repr(box) == "ChatBox('lobby')"
    bundle = box._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert data["text/plain"] == "ChatBox('lobby')"


def test_the_loop_ends_with_the_last_widget(room):
    """A closed widget holds nothing: `tidy` finds no thread."""
    held = lease()
    box = ChatBox(room)
    held.release()
    box.close()
    assert box.closed


# In the browser


@pytest.fixture
def links(tmp_path):
    """Returns what an expression over the module's functions gives in Node."""
    if shutil.which("node") is None:
        pytest.fail("Node.js is missing: install nodejs and npm, then run `make test`")
    (tmp_path / "chat.mjs").write_text(CHAT)

    def links(expression, argument):
        script = f"const argument = {json.dumps(argument)};\nconsole.log(JSON.stringify({expression}));"
        (tmp_path / "script.mjs").write_text(f'import * as chat from "./chat.mjs";\n{script}')
        done = subprocess.run(
            ["node", tmp_path / "script.mjs"], capture_output=True, text=True, timeout=60, check=False
        )
        assert not done.returncode, done.stderr
        return json.loads(done.stdout)

    return links


def test_what_is_a_link(links):
    """An address that begins with http or https, without what belongs to the sentence; and nothing else."""
    texts = {
        "see https://a.org/x_(y). Or (http://b.org/?q=1&r=2#s), ok": ["https://a.org/x_(y)", "http://b.org/?q=1&r=2#s"],
        "HTTPS://A.ORG": ["https://a.org/"],
        "http://[::1]:80/a*": ["http://[::1]/a"],
        "javascript:alert(1) data:text/html,x file:///etc ftp://a.org //a.org www.a.org": [],
        "https:// http://: https://a b": ["https://a/"],
        "https://bank.org@evil.org https://a:b@evil.org": [],
        'https://a.org/"onclick="alert(1) https://a.org/<b>': ["https://a.org/", "https://a.org/"],
        "https://a.org/\u202egnp.exe": ["https://a.org/"],
    }  # fmt: skip
    found = links("argument.map((text) => chat.partsOf(text).map((each) => each.href ?? null))", list(texts))
    assert [[href for href in each if href] for each in found] == list(texts.values())
    whole = links(
        'argument.map((text) => chat.partsOf(text).map((each) => each.text ?? each).join(""))', list(texts)
    )
    assert whole == list(texts)


def test_no_text_takes_long(links):
    """The longest message of each kind is taken apart within moments, not in the square of its length."""
    texts = ["https://a" + ")" * 3_990, "http://" * 570, "(" * 4_000, "https://a" + "." * 3_990, "\0" * 4_000]
    spent = links(
        "(() => { const began = performance.now(); for (let n = 0; n < 300; n++)"
        " argument.forEach(chat.partsOf); return performance.now() - began; })()",
        texts,
    )
    assert spent < 20_000  # it takes a second; ten minutes in the square


def test_what_cannot_be_seen_is_written(links):
    """Control characters in texts, and in names what turns the direction too; a name is one short line."""
    texts = links(
        "argument.map((text) => chat.partsOf(text).join(''))",
        ["a\0\x1b\x7f\x9fb", "a\r\nb\tc\r", "\u202eabc"],
    )
    assert texts == ["a\\x00\\x1b\\x7f\\x9fb", "a\nb\tc\\x0d", "\u202eabc"]
    names = links("argument.map(chat.nameOf)", ["\u202enimda\u2066", "a\nb", "x" * 100, " ", "", "<b>"])
    assert names == ["\ufffdnimda\ufffd", "a b", "x" * 39 + "…", "somebody", "somebody", "<b>"]


def test_colours_are_those_of_the_editor(links):
    """The same name has the same colour in a document and in a chat."""
    names = ["ada", "bob", "Zoë", "名前", ""]
    assert links(f"argument.map((name) => chat.colourOf(name, {json.dumps(COLOURS)}))", names) == [
        colour_of(name) for name in names
    ]
