"""The editor's half in the kernel, on a stand-in for a document; `test_editor_in_lab.py` has its pages."""

import enum
import json
import os
import secrets
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import comm
import pytest
from hatchling.bridge.app import Application
from ipywidgets.widgets.widget import _instances

import rtwidgets.widgets.editor as module
from rtwidgets.errors import Closed
from rtwidgets.loop import Lease, lease, take_errors
from rtwidgets.widgets import Editor, close_all
from rtwidgets.widgets.scripts import TEXTAREA
from rtwidgets.widgets.theme import COLOURS
from rtwidgets.yjs.difference import difference
from rtwidgets.yjs.protocol import Awareness, Step1, Update, decode, encode
from rtwidgets.yjs.replica import Replica
from rtwidgets.yjs.shadow import Shadow
from rtwidgets.yjs.versions import Versions
from tests.waiting import until

ROOT = Path(__file__).parents[2]
STATIC = Path("rtwidgets") / "widgets" / "static" / "editor.bundle.js"


class State(enum.Enum):
    OPEN = "open"
    WAITING = "waiting"


class Joined:
    """An editor's part in a stand-in."""

    def __init__(self, document, hear):
        self.hear = hear
        self.said = []
        self._document = document

    def say(self, message):
        self.said.append(message)
        self._document.lease.call(self._document.said, self, message)

    def close(self):
        self._document.peers.remove(self)


class StandIn:
    """A document without a server: a replica on the background loop."""

    def __init__(self, user="ada", lease: Lease | None = None):
        self.name = "notes"
        self.user = user
        self.writable = True
        self.state = State.OPEN
        self.lease = lease
        self.peers = []
        self.watching = []
        self.closed = False
        self.replica = self._run(Replica)
        self.versions = Versions("", 0)

    @property
    def text(self):
        return self.replica.text

    def join(self, hear):
        if self.closed:
            raise Closed("it was stopped")
        self.peers.append(Joined(self, hear))
        return self.peers[-1]

    def said(self, peer, message):
        match decode(message):
            case Step1(vector):
                peer.hear(encode(Update(self.replica.lacking(vector), answer=True)))
                peer.hear(encode(Step1(self.replica.vector)))
            case Update(update):
                if change := self.replica.apply(update):
                    self._changed(change)
                    self._tell(message, but=peer)

    def watch(self, hear):
        self.watching.append(hear)
        hear(self.text, self.versions.version)
        return lambda: self.watching.remove(hear)

    def save(self, text, version):
        self.lease.call(self._saved, text, version)

    def write(self, text):
        self._run(lambda: self._edit(difference(self.text, text)))

    def _saved(self, text, version):
        self._edit(Shadow().rebase(self.versions, text, version, since=version))

    def _edit(self, change):
        update = self.replica.edit(change)
        self._changed(change)
        self._tell(encode(Update(update)))

    def _changed(self, change):
        self.versions.add(change, self.versions.version + 1)
        for hear in self.watching:
            hear(self.text, self.versions.version)

    def _tell(self, message, but=None):
        for peer in self.peers:
            if peer is not but:
                peer.hear(message)

    def _run(self, function):
        async def run():
            return function()

        return self.lease.run(run())


class Page:
    """A page that shows an editor: it syncs as a Yjs client does, with no browser."""

    def __init__(self, editor, sent):
        self._editor = editor
        self._sent = sent
        self._read = 0
        self.replica = Replica()
        self.number = secrets.token_hex(4)
        self.say(encode(Step1(self.replica.vector)))

    def say(self, message, **content):
        self._editor._handle_custom_msg({"page": self.number, **content}, [memoryview(message)])

    def write(self, text):
        self.say(encode(Update(self.replica.edit(difference(self.text, text)))))

    @property
    def text(self):
        """The text, once all is read that has come."""
        news, self._read = self._sent[self._read :], len(self._sent)
        for ident, _, buffers in news:
            if ident == self._editor.model_id and buffers:
                match decode(bytes(buffers[0])):
                    case Update(update):
                        self.replica.apply(update)
                    case Step1(vector):
                        self.say(encode(Update(self.replica.lacking(vector), answer=True)))
        return self.replica.text


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    before = set(_instances)
    yield
    close_all()
    assert set(_instances) == before
    assert take_errors() == []


@pytest.fixture
def sent(monkeypatch) -> list:
    """Custom messages that leave for the browser: the widget's id, their content and buffers."""
    messages = []

    def publish_msg(self, msg_type, data=None, metadata=None, buffers=None, **keys):
        if data and data.get("method") == "custom":
            messages.append((self.comm_id, data["content"], buffers))

    monkeypatch.setattr(comm.DummyComm, "publish_msg", publish_msg)
    return messages


@pytest.fixture
def document(sent) -> Iterator[StandIn]:
    held = lease()
    yield StandIn(lease=held)
    close_all()
    held.release()


@pytest.fixture
def plain(monkeypatch):
    monkeypatch.setattr(module, "EDITOR", None)


def test_messages_cross_as_they_are(document, sent):
    """What a page says reaches the document byte by byte, and what the document says reaches the page so."""
    editor = Editor(document)
    words = bytes(range(256))
    document.peers[0].hear(words)
    assert [(content, [bytes(each) for each in buffers]) for _, content, buffers in sent] == [({}, [words])]
    message = encode(Step1(b"\x00"))
    editor._handle_custom_msg({}, [memoryview(message)])
    assert document.peers[0].said == [message]


def test_two_editors_show_one_text(document, sent):
    """What is typed into either of them is in the other one, and what Python writes in both."""
    document.write("begun\r\n")
    one, other = Page(Editor(document), sent), Page(Editor(document), sent)
    until(lambda: one.text == other.text == "begun\r\n")
    one.write("begun\r\nby one, ")
    until(lambda: other.text == "begun\r\nby one, ")
    other.write("begun\r\nby one, then the other")
    until(lambda: one.text == document.text == "begun\r\nby one, then the other")
    document.write("by Python")
    until(lambda: one.text == other.text == "by Python")


def test_each_page_of_an_editor_gets_what_the_other_wrote(document, sent):
    """Two pages of one widget: one catches up with what the other has written before it came."""
    editor = Editor(document)
    first = Page(editor, sent)
    first.write("from the first")
    second = Page(editor, sent)
    until(lambda: second.text == "from the first")
    second.write("from the second")
    until(lambda: first.text == "from the second")


def test_a_page_that_is_alone_hears_nothing_of_itself(document, sent):
    """What it says comes back only while there is another page, which has to hear it; even when it leaves."""
    editor = Editor(document)
    awareness = encode(Awareness([]))

    def echoes(page, **content):
        before = len(sent)
        page.say(awareness, **content)
        return [bytes(buffers[0]) for _, _, buffers in sent[before:]]

    first = Page(editor, sent)
    until(lambda: len(sent) == 2)  # the answers to its step 1
    assert echoes(first) == []
    second = Page(editor, sent)
    until(lambda: len(sent) == 4)
    assert echoes(second) == [awareness]
    assert echoes(second, left=True) == [awareness]
    assert echoes(first) == []


def test_the_text_area_gets_whole_texts_and_saves_them(document, sent, plain):
    """With the version that each was made from, so that words of others stay."""
    document.write("first")
    editor = Editor(document)
    assert editor._esm == TEXTAREA
    assert sent[-1][1] == {"text": "first", "version": 1}
    document.write("the first")
    until(lambda: sent[-1][1] == {"text": "the first", "version": 2})
    editor._handle_custom_msg({"text": "first one", "version": 1}, [])
    until(lambda: sent[-1][1] == {"text": "the first one", "version": 3})
    count = len(sent)
    editor._handle_custom_msg({"hello": True}, [])  # a page that comes later
    assert [content for _, content, _ in sent[count:]] == [{"text": "the first one", "version": 3}]


def test_rights_and_the_state_are_followed(document):
    """What the document says of them is what the page shows, a look later."""
    editor = Editor(document)
    assert (editor.name, editor.user, editor.state, editor.writable) == ("notes", "ada", "open", True)
    document.writable, document.state = False, State.WAITING
    until(lambda: (editor.state, editor.writable) == ("waiting", False))


def test_a_stopped_editor_takes_no_part(document, sent):
    """It is nobody's peer, and nothing that its page says is heard; its widget is still there."""
    editor = Editor(document)
    peer = document.peers[0]
    editor.stop()
    editor.stop()
    editor._handle_custom_msg({}, [memoryview(encode(Step1(b"\x00")))])
    assert editor.stopped
    assert not editor.closed
    assert document.peers == peer.said == []


@pytest.mark.parametrize("kind", ["full", "plain"])
def test_closing_leaves_nothing(document, kind, request):
    """No widget, no peer, no one who watches, and no thread but the test's own share in the loop's."""
    if kind == "plain":
        request.getfixturevalue("plain")
    before, threads = set(_instances), threading.active_count()
    editor = Editor(document)
    assert set(_instances) > before
    assert len(document.peers) + len(document.watching) == 1
    editor.close()
    editor.close()
    assert set(_instances) == before
    assert document.peers == document.watching == []
    assert threading.active_count() == threads


def test_what_cannot_be_joined_leaves_no_widget(document):
    """The error reaches whoever asked, and no half-made editor stays behind."""
    document.closed = True
    before = set(_instances)
    with pytest.raises(Closed):
        Editor(document)
    assert set(_instances) == before


def test_as_text_it_is_short(document):
    """Also where a notebook asks for it."""
    editor = Editor(document)
    assert repr(editor) == "Editor('notes')"
    bundle = editor._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert data["text/plain"] == "Editor('notes')"


def test_colours_go_with_names(document):
    """Somebody has the same colour in each editor, and many names have many."""
    names = [f"user {n}" for n in range(60)]
    assert [module.colour_of(name) for name in names] == [module.colour_of(name) for name in names]
    assert {module.colour_of(name) for name in names} == set(COLOURS)


@pytest.fixture
def text_area(node):
    """What functions of the text area's script return: a JavaScript expression's value."""

    def evaluate(expression: str):
        script = TEXTAREA.replace("export ", "").replace("default {", "const widget = {")
        return node(f"{script}\nconsole.log(JSON.stringify({expression}));")

    return evaluate


@pytest.mark.parametrize(
    ("text", "shown", "saved"),
    [
        ("one\r\ntwo\r\n", "one!\ntwo\n", "one!\r\ntwo\r\n"),
        ("one\r\ntwo", "one\nnew\ntwo", "one\r\nnew\r\ntwo"),
        ("a\rb\nc\r\nd", "a\nb\nc\nd?", "a\rb\nc\r\nd?"),
        ("a\rb\nc\r\nd", "a\nX\nd", "a\rX\r\nd"),
        ("\r\n\r\n\r\n", "\n\n", "\r\n\r\n"),
        ("one\ntwo", "one\n\ntwo", "one\n\ntwo"),
        ("", "new\n", "new\n"),
        ("😀\r\n😀", "😀\n😁😀", "😀\r\n😁😀"),
    ],
)
def test_line_ends_outlive_the_text_area(text_area, text, shown, saved):
    """It knows one line end only: those of the text stay where nothing was changed; new are like them."""
    assert text_area(f"restored({json.dumps(text)}, {json.dumps(shown)})") == saved


# The bundle


def sources() -> list[Path]:
    names = ("js/*.js", "js/*.mjs", "js/package.json", "rtwidgets/widgets/browser/kernel.js")
    return [path for name in names for path in ROOT.glob(name)]


def test_the_bundle_is_there_and_up_to_date():
    """Or else everybody would get the plain text area, and nobody would see it."""
    assert (ROOT / STATIC).exists(), (
        "install Node.js with npm, and run `cd js && npm install && npm run build`"
    )
    newest = max(sources(), key=lambda path: path.stat().st_mtime)
    assert (ROOT / STATIC).stat().st_mtime >= newest.stat().st_mtime, (
        f"{newest} is newer: install rtwidgets again"
    )
    assert module.EDITOR is not None


class Told(Application):
    """hatch, which keeps what it is told to warn of."""

    def __init__(self):
        super().__init__()
        self.warnings = []

    def display_warning(self, message="", **style):
        self.warnings.append(message)


@pytest.fixture
def hook(tmp_path, monkeypatch):
    """The build hook on a copy of the sources, and npm as a script that does what a test says."""
    sys.path.insert(0, str(ROOT))
    try:
        from hatch_build import EditorBundle
    finally:
        sys.path.remove(str(ROOT))
    for path in sources():
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin:/usr/bin")

    def run(npm: str | None):
        if npm is None:
            monkeypatch.setattr(shutil, "which", lambda name: None)
        else:
            script = tmp_path / "bin" / "npm"
            script.write_text(f"#!/bin/sh\necho $1 >> {tmp_path}/calls\n{npm}\n")
            script.chmod(0o755)
        app = Told()
        EditorBundle(str(tmp_path), {}, None, None, str(tmp_path / "dist"), "wheel", app).initialize(
            "editable", {}
        )
        calls = tmp_path / "calls"
        return app.warnings, calls.read_text().split() if calls.exists() else []

    return run


BUILDS = f"[ $1 = install ] || {{ mkdir -p ../{STATIC.parent}; touch ../{STATIC}; }}"


def test_installing_builds_the_bundle_once(hook, tmp_path):
    """And again when a source has changed since."""
    assert hook(BUILDS) == ([], ["install", "run"])
    assert (tmp_path / STATIC).exists()
    assert hook(BUILDS) == ([], ["install", "run"])
    newer = (tmp_path / STATIC).stat().st_mtime + 10
    os.utime(tmp_path / "js" / "editor.js", (newer, newer))
    assert hook(BUILDS) == ([], ["install", "run"] * 2)


@pytest.mark.parametrize(
    ("npm", "words"), [(None, "npm is not there"), ("echo no network >&2; exit 1", "no network")]
)
def test_installing_goes_on_without_the_bundle(hook, npm, words):
    """It says what is missing, and what is there instead."""
    warnings, _ = hook(npm)
    assert len(warnings) == 1
    assert words in warnings[0]
    assert "plain text area" in warnings[0]
    assert "install Node.js" in warnings[0]


def test_the_source_distribution_can_build_the_bundle(tmp_path):
    """It has the sources, and neither what they are built with nor what is built."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=100)
    (packed,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(packed) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {str(path.relative_to(ROOT)) for path in sources()} | {"hatch_build.py"} <= names
    assert not [name for name in names if "node_modules" in name or name.endswith(".bundle.js")]
