"""The chat widget in a real JupyterLab: two people who talk, and what they see of each other."""

from __future__ import annotations

import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import expect

from rtwidgets.testing import Lab
from tests.notebooks.test_tutorial import WORDS
from tests.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

PATIENCE = 40.0

SETUP = """
import rtwidgets as rt

server = rt.serve(services=["chat"])
ada = rt.chat("lobby", name="ada")
bob = rt.chat("lobby", name="bob")
bob.send("welcome")
""".strip()

WHERE = "at => [at.scrollTop, at.scrollHeight - at.clientHeight - at.scrollTop]"
TAGS = "log => [...new Set(Array.from(log.querySelectorAll('*'), (each) => each.tagName))]"
LINKS = "all => all.map((each) => [each.getAttribute('href'), each.target, each.rel])"
TEXTS = "all => all.map((each) => each.textContent)"
BEHIND = "at => { const all = []; while ((at = at.nextSibling)) all.push(at.textContent); return all; }"
READ = ".rtw-chat-head, .rtw-chat-head *, .rtw-chat-text, .rtw-chat-text a, .rtw-chat-bar *, .rtw-chat-send"

HOSTILE = [
    "<script>window.ran = 1</script>",
    '<img src=x onerror="window.ran = 1">',
    '"><svg onload="window.ran = 1">',
    "javascript:window.ran=1",
    "[x](javascript:window.ran=1) data:text/html,<script>window.ran=1</script>",
    'https://example.com/"onmouseover="window.ran=1',
    "&lt;b&gt; &amp; &#x3c;script&#x3e;",
    "${window.ran = 1} {{window.ran = 1}} </bdi></div><style>* { display: none }</style>",
    "\u202eright to left\u202c and \u2066isolated",
    "null \0 and escape \x1b[31m",
    "x" * 3_000,
    "two\nlines\r\n  and three",
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with Lab(tmp_path_factory.mktemp("chats")) as lab:
        yield lab


@pytest.fixture
def opened(lab, request):
    """Opens a notebook of these cells and runs those up to the last one that shows a chat."""
    pages = []

    def open_cells(*sources, shown):
        name = f"{request.node.name}-{len(pages)}.ipynb"
        cells = [new_code_cell(source) for source in sources]
        nbformat.write(new_notebook(cells=cells), lab.root / name)
        page = lab.open(name)
        pages.append(page)
        for number in range(shown + 1):
            page.run_cell(number)
        return page

    yield open_cells
    for page in pages:
        page.execute("notebook:shutdown-kernel")
        page.close()


class Box:
    """The chat that a cell shows."""

    def __init__(self, page, cell):
        at = page.cell(cell)
        self.page = page.page
        self.log = at.get_by_role("log")
        self.input = at.get_by_label(re.compile("^message to lobby as"))
        self.scroller = at.locator(".rtw-chat-scroller")
        self.people = at.locator(".rtw-chat-people")
        self.state = at.get_by_role("status")
        self.typing = at.locator(".rtw-chat-typing")
        self.reason = at.get_by_role("alert")
        self.new = at.get_by_role("button", name="new")
        self.texts = self.log.locator(".rtw-chat-text")
        self.input.wait_for(timeout=PATIENCE * 1000)
        assert self.input.bounding_box()["height"] > 20, "there is no room for a line"

    def say(self, words):
        self.input.press_sequentially(words)
        self.input.press("Enter")

    def see(self, words):
        expect(self.texts.last).to_have_text(words, timeout=PATIENCE * 1000)

    def where(self):
        """Return how far it is scrolled from the top, and how far it could be yet."""
        return self.scroller.evaluate(WHERE)


def soon(locator, text):
    expect(locator).to_contain_text(text, timeout=PATIENCE * 1000)


def test_two_people_in_one_notebook(opened):
    """They see who is there, who types, and what is said; keys that are commands of JupyterLab are text."""
    page = opened(
        SETUP,
        "ada",
        "bob.widget()",
        "print(ada.df['text'].tolist())",
        "server.stop()",
        "rt.stop()",
        "ada.widget().close()",
        shown=2,
    )
    here, there = Box(page, 1), Box(page, 2)
    here.see("welcome")
    soon(here.people, "ada (you)")
    soon(there.people, "bob (you)")
    here.input.click()
    here.input.press("Escape")
    here.input.press_sequentially("dd a b x m")
    soon(there.typing, "ada is typing…")
    here.input.press("Shift+Enter")
    here.input.press_sequentially("second line")
    here.input.press("Enter")
    there.see("dd a b x m\nsecond line")
    expect(there.typing).to_have_text("", timeout=PATIENCE * 1000)
    expect(here.input).to_have_value("")
    there.say("I see")
    here.see("I see")
    expect(here.scroller).not_to_be_focused()
    here.input.press("Shift+Tab")
    expect(here.scroller).to_be_focused()
    for key in ("d", "d", "x", "b"):
        here.scroller.press(key)
    assert len(page) == 7
    page.run_cell(3)
    assert page.output_text(3) == str(["welcome", "dd a b x m\nsecond line", "I see"])
    # What cannot be sent stays, with the reason.
    here.input.fill("x" * 4_001)
    here.input.press("Enter")
    soon(here.reason, "not sent: a message has 1 to 4000 characters, not 4001")
    expect(here.input).to_have_value("x" * 4_001)
    page.run_cell(4)
    soon(here.state, "waiting: ")
    here.input.fill("anybody?")
    here.input.press("Enter")
    soon(here.reason, "not sent, for there is no connection: ")
    expect(here.input).to_have_value("anybody?")
    page.run_cell(5)
    soon(here.state, "stopped")
    expect(here.input).not_to_be_editable()
    here.see("I see")
    page.run_cell(6)
    expect(page.cell(1).locator(".rtw-chat")).to_have_count(0, timeout=PATIENCE * 1000)
    assert len(page) == 7
    assert page.problems == []


def test_two_browsers_chat(opened):
    """Two notebooks with a kernel each; what one writes is text to the other, and is never run."""
    first = opened(
        SETUP, "ada", "print(server.url, server.token)", f"for text in {HOSTILE!r}: ada.send(text)", shown=2
    )
    url, token = first.output_text(2).split()
    second = opened(
        "import rtwidgets as rt\n"
        f"cy = rt.chat('lobby', name='\"><img src=x onerror=window.ran=1>', server={url!r}, token={token!r})",
        "cy",
        shown=1,
    )
    here, there = Box(first, 1), Box(second, 1)
    there.see("welcome")
    soon(here.people, '"><img src=x onerror=window.ran=1>')
    there.say("hello from <b>here</b>, see https://example.com/a?b=1.")
    here.see("hello from <b>here</b>, see https://example.com/a?b=1.")
    first.run_cell(3)
    there.see("two\nlines\n  and three")
    shown = [text.replace("\0", "\\x00").replace("\x1b", "\\x1b").replace("\r", "") for text in HOSTILE]
    assert there.texts.evaluate_all(TEXTS)[-len(shown) :] == shown
    for page, box in ((first, here), (second, there)):
        tags = box.log.evaluate(TAGS)
        assert set(tags) == {"DIV", "SPAN", "BDI", "TIME", "A"}
        links = box.log.locator("a").evaluate_all(LINKS)
        assert links == [
            [href, "_blank", "noopener noreferrer"]
            for href in ("https://example.com/a?b=1", "https://example.com/")
        ]
        assert box.scroller.evaluate("at => at.scrollWidth <= at.clientWidth")  # the long word is broken
        assert page.evaluate("window.ran ?? null") is None
    for theme in ("light", "dark", "high-contrast"):
        second.set_theme(theme)
        words = second.cell(1).evaluate(WORDS, READ)
        assert {"welcome", "● live"} <= dict(words).keys()
        assert [(theme, text, contrast) for text, contrast in words if contrast < 4.5] == []
    assert first.problems == second.problems == []


def test_who_reads_older_messages_stays_there(opened):
    """They are told how many are new. Who looks away sees a line where the unread ones begin."""
    page = opened(
        SETUP + "\nfor number in range(320): bob.send(f'message {number}')",
        "ada",
        "for number in range(3): bob.send(f'new {number}')",
        "bob.send('unread')",
        "bob.send('more')",
        shown=1,
    )
    box = Box(page, 1)
    box.see("message 319")
    expect(box.texts).to_have_count(300)
    soon(box.log, "older messages are not shown here")
    until(lambda: box.where()[1] < 4, timeout=PATIENCE)
    box.scroller.evaluate("at => { at.scrollTop = 1000; }")
    until(lambda: box.page.wait_for_timeout(50) or box.where()[0] == 1_000, timeout=PATIENCE)
    page.run_cell(2)
    box.see("new 2")
    expect(box.new).to_have_text("↓ 3 new")
    assert box.where()[0] == 1_000
    box.new.click()
    until(lambda: box.page.wait_for_timeout(50) or box.where()[1] < 4, timeout=PATIENCE)
    expect(box.new).to_be_hidden()
    expect(box.input).to_be_focused()
    assert page.cell(1).get_by_role("separator").count() == 0
    page.evaluate("() => { document.hasFocus = () => false; window.dispatchEvent(new Event('blur')); }")
    for cell, words in ((3, "unread"), (4, "more")):
        page.run_cell(cell)
        box.see(words)
    page.evaluate("() => { delete document.hasFocus; window.dispatchEvent(new Event('focus')); }")
    line = page.cell(1).get_by_role("separator")
    expect(line).to_have_text("new")
    behind = line.evaluate(BEHIND)
    assert [text[-6:] for text in behind] == ["unread", ": more"]
    assert box.where()[1] < 4
    box.say("thanks")
    box.see("thanks")
    expect(line).to_have_count(0)
    # A page that is loaded again, and a second view, show how things stand at once.
    page.save()
    page.reload()
    box = Box(page, 1)
    box.see("thanks")
    expect(box.texts).to_have_count(300)
    page.run_cell(1)
    Box(page, 1).see("thanks")
    assert page.problems == []
