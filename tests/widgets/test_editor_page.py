"""The document editor's half in the browser, alone on a page: what it says, and what it makes of keys."""

import json

import pytest
from playwright.sync_api import sync_playwright

from rtwidgets.testing.lab import _find_browser
from rtwidgets.widgets.scripts import EDITOR
from rtwidgets.yjs.difference import difference
from rtwidgets.yjs.protocol import Awareness, State, Step1, Update, decode, encode
from rtwidgets.yjs.replica import Replica
from tests.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

# A widget's model, with nothing behind it.
MODEL = """async (script) => {
  const module = await import(URL.createObjectURL(new Blob([script], { type: "text/javascript" })));
  const who = { uid: "1", name: "notes", user: "ada", colour: "#0072B2" };
  const state = { ...who, state: "open", writable: true, stopped: false };
  const signal = () => { const slots = new Set(); return {
    connect: (slot) => slots.add(slot), disconnect: (slot) => slots.delete(slot),
    emit: (value) => slots.forEach((slot) => slot(null, value)) }; };
  const slots = {};
  window.said = [];
  window.model = {
    widget_manager: { kernel: { connectionStatusChanged: signal() } },
    comm_live: true,
    get: (name) => state[name],
    on: (name, slot) => (slots[name] ??= new Set()).add(slot),
    off: (name, slot) => slots[name]?.delete(slot),
    send: (content, _, [buffer]) => said.push({ content, message: Array.from(buffer) }),
    emit: (name, ...values) => slots[name]?.forEach((slot) => slot(...values)),
    set: (name, value) => { state[name] = value; model.emit(`change:${name}`); },
  };
  window.close_it = module.default.initialize({ model });
  module.default.render({ model, el: document.body.appendChild(document.createElement("div")) });
}"""


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        path = _find_browser(None, playwright)
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Alone:
    """An editor on a page of its own, and a replica in place of the kernel."""

    def __init__(self, page):
        self.page = page
        self.problems = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.set_content("<!doctype html><title>An editor</title>")
        page.evaluate(MODEL, EDITOR)
        self.replica = Replica()
        self.box = page.get_by_role("textbox", name="document notes")
        self.bar = page.locator(".rtw-editor-bar")

    def tell(self, message):
        script = "bytes => model.emit('msg:custom', {}, [new DataView(Uint8Array.from(bytes).buffer)])"
        self.page.evaluate(script, list(message))

    def said(self):
        """Return what was said since the last call."""
        said = self.page.evaluate("said.splice(0)")
        return [(each["content"], decode(bytes(each["message"]))) for each in said]

    def take(self):
        """Merge what was typed since the last call; return how many messages it came in."""
        updates = [message.update for _, message in self.said() if isinstance(message, Update)]
        if updates:
            self.replica.apply(*updates)
        return len(updates)

    def begin(self, text):
        """Show a text, as a kernel does that was asked for it."""
        update = self.replica.edit(difference("", text)) if text else b"\0\0"
        self.tell(encode(Update(update, answer=True)))
        until(lambda: "live" in self.bar.inner_text())

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def text(self):
        self.take()
        return self.replica.text


@pytest.fixture
def alone(browser):
    page = browser.new_page()
    alone = Alone(page)
    yield alone
    page.close()
    assert alone.problems == []


def test_a_page_asks_at_once_and_again_when_it_is_back(alone):
    """For what it does not have; with the number by which the kernel knows it from other pages."""
    assert [type(message) for _, message in alone.said()][:1] == [Step1]
    alone.begin("text")
    alone.said()
    alone.page.evaluate("model.widget_manager.kernel.connectionStatusChanged.emit('connected')")
    asked = [(content, message) for content, message in alone.said() if isinstance(message, Step1)]
    assert [message for _, message in asked] == [Step1(alone.replica.vector)]
    assert isinstance(asked[0][0]["page"], int)


def test_what_is_typed_in_a_moment_is_one_message(alone):
    """So that fast typing does not flood the kernel."""
    alone.begin("")
    alone.box.click()
    until(lambda: alone.take() == 0)
    script = """async () => {
      const key = { key: "Enter", keyCode: 13, bubbles: true, cancelable: true };
      for (let n = 0; n < 10; n += 1) document.activeElement.dispatchEvent(new KeyboardEvent("keydown", key));
      await new Promise((done) => setTimeout(done, 300));
    }"""
    alone.page.evaluate(script)
    assert alone.take() == 1
    assert alone.replica.text == "\n" * 10


def test_line_ends_are_never_torn(alone):
    """Windows' line ends stay whole whatever is typed or deleted at them, and new ones are like them."""
    alone.begin("one\r\ntwo\r\nthree")
    alone.box.locator(".cm-line").first.click()
    alone.press("End", "!", "ArrowRight", "x", "ArrowLeft", "ArrowLeft", "?")
    until(lambda: alone.text() == "one!?\r\nxtwo\r\nthree")
    alone.press("Delete")
    until(lambda: alone.text() == "one!?xtwo\r\nthree")
    alone.press("Enter", "End", "Enter", "y")
    until(lambda: alone.text() == "one!?\r\nxtwo\r\ny\r\nthree")
    alone.press("Backspace", "Backspace")
    until(lambda: alone.text() == "one!?\r\nxtwo\r\nthree")
    alone.press("Shift+ArrowRight", "z")
    until(lambda: alone.text() == "one!?\r\nxtwozthree")


def test_a_return_alone_is_seen_and_stays(alone):
    """It is no line end here, and shown as a sign; places behind it are the same here and in the document."""
    alone.begin("a\rb\r")
    assert alone.box.inner_text().strip() == r"a\rb\r"
    alone.box.click()
    alone.press("ControlOrMeta+End", "c")
    until(lambda: alone.text() == "a\rb\rc")


def test_states_of_others_may_be_anything(alone):
    """What is no name, no colour and no place is not shown as one, and does no harm."""
    alone.begin("some text")
    tname = {"tname": "content", "type": None, "item": None, "assoc": 0}
    states = [
        {},
        {"user": None, "cursor": None},
        {"user": 5, "cursor": {"anchor": tname, "head": tname}},
        {"user": {"name": ["x"], "color": "red; background: url(//elsewhere)"}, "cursor": 7},
        {
            "user": {"name": "y" * 900},
            "cursor": {"anchor": tname, "head": {"item": {"client": "1", "clock": {}}}},
        },
        {"user": {"name": "eve"}, "cursor": {"anchor": tname, "head": {"item": {"client": 9, "clock": 99}}}},
        {"cursor": {"anchor": {"tname": "another"}, "head": {}}},
    ]
    alone.tell(
        encode(Awareness([State(n, 1, json.dumps(state).encode()) for n, state in enumerate(states, 1)]))
    )
    until(lambda: "eve" in alone.bar.inner_text())
    assert alone.page.locator(".rtw-cursor-name").all_inner_texts() == ["somebody"]
    assert "y" * 41 not in alone.bar.inner_text()
    alone.box.click()
    alone.press("ControlOrMeta+End", "!")
    until(lambda: alone.text() == "some text!")


def test_a_copy_that_was_thrown_away_is_got_anew(alone):
    """An empty message says so: the text is asked for, and whoever was here with the old copy has left."""
    alone.begin("old")
    alone.box.click()
    until(lambda: any(isinstance(message, Awareness) for _, message in alone.said()))
    alone.tell(b"")
    said = alone.said()
    left = [message for content, message in said if content.get("left")]
    assert [[state.state for state in message.states] for message in left] == [[None]]
    assert Step1(b"\0") in [message for _, message in said]
    alone.replica = Replica()
    alone.begin("new")
    assert alone.box.inner_text() == "new"


def test_nothing_is_typed_where_nothing_may_be(alone):
    """By neither keys nor undo; the words above say why, and the keyboard still reaches the text."""
    alone.begin("text")
    alone.box.click()
    alone.press("x")
    until(lambda: "x" in alone.text())
    before = alone.text()
    for change, words in (
        ("model.set('writable', false)", "read only"),
        ("model.comm_live = false; model.emit('comm_live_update')", "the kernel is gone"),
        ("model.set('stopped', true)", "stopped"),
    ):
        alone.page.evaluate(change)
        assert words in alone.bar.inner_text()
        assert alone.box.get_attribute("contenteditable") == "false"
        alone.box.focus()
        assert alone.box.evaluate("box => box === document.activeElement")
        alone.press("y", "ControlOrMeta+z", "Enter")
        assert alone.box.inner_text() == before
    assert alone.text() == before


def test_tab_leaves_the_editor(alone):
    """There is no trap for the keyboard."""
    alone.page.evaluate("document.body.append(document.createElement('button'))")
    alone.begin("text")
    alone.box.click()
    alone.press("Tab")
    assert alone.page.evaluate("document.activeElement.tagName") == "BUTTON"
    assert alone.text() == "text"


def test_it_is_as_high_as_is_useful(alone):
    """Eight lines at the least, and 24 at the most, behind which it scrolls; also in a narrow cell."""
    line = "document.querySelector('.cm-line').getBoundingClientRect().height"
    height = "document.querySelector('.cm-editor').getBoundingClientRect().height"
    alone.begin("one line")
    assert 7.5 < alone.page.evaluate(f"{height} / {line}") < 10
    alone.page.set_viewport_size({"width": 240, "height": 800})
    update = alone.replica.edit(difference(alone.replica.text, "\n".join(["many words in a line " * 5] * 80)))
    alone.tell(encode(Update(update)))
    scroller = alone.page.locator(".cm-scroller")
    until(lambda: scroller.evaluate("box => box.scrollHeight > 2 * box.clientHeight"))
    first = "parseFloat(getComputedStyle(document.querySelector('.cm-line')).lineHeight)"
    assert 20 < alone.page.evaluate(f"{height} / {first}") < 26
    assert scroller.evaluate("box => box.scrollWidth <= box.clientWidth")


def test_a_closed_editor_says_nothing_more(alone):
    """And no error, whatever comes late."""
    alone.begin("text")
    alone.box.click()
    until(lambda: any(isinstance(message, Awareness) for _, message in alone.said()))
    alone.page.evaluate("close_it(); said.length = 0")
    alone.tell(encode(Step1(b"\0")))
    alone.page.evaluate("window.dispatchEvent(new Event('pagehide'))")
    alone.page.wait_for_timeout(100)
    assert alone.said() == []
