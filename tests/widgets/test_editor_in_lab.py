"""The document editor in a real JupyterLab: two people who type at once, and what they see of each other."""

from __future__ import annotations

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import expect

from rtwidgets.testing import Lab
from tests.notebooks.test_tutorial import WORDS
from tests.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

PATIENCE = 40.0
TYPED = "news first line dd typed\nand more\nsecond line\nthird line"

SETUP = """
import rtwidgets as rt

server = rt.serve()
ada = rt.document("notes", name="ada")
bob = rt.document("notes", name="bob")
ada.insert(0, "first line\\nsecond line\\nthird line")
""".strip()


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with Lab(tmp_path_factory.mktemp("editors")) as lab:
        yield lab


@pytest.fixture
def opened(lab, request):
    """Opens a notebook of these cells and runs those with an editor, and those before them."""
    pages = []

    def open_cells(*sources):
        name = f"{request.node.name}-{len(pages)}.ipynb"
        cells = [new_code_cell(source) for source in sources]
        nbformat.write(new_notebook(cells=cells), lab.root / name)
        page = lab.open(name)
        pages.append(page)
        for number in range(1 + max(n for n, source in enumerate(sources) if ".editor()" in source)):
            page.run_cell(number)
        return page

    yield open_cells
    for page in pages:
        page.execute("notebook:shutdown-kernel")
        page.close()


def editor(page, cell):
    """Return the text box of the editor that a cell shows, once it is there."""
    box = page.cell(cell).get_by_role("textbox", name="document notes")
    box.wait_for(timeout=PATIENCE * 1000)
    return box


def type_into(box, line, words):
    """Type words, as a keyboard does, at the end of the line that has these ones."""
    box.locator(".cm-line", has_text=line).click()
    box.press("End")
    box.press_sequentially(words, delay=10)


def see(box, words):
    expect(box).to_contain_text(words, timeout=PATIENCE * 1000)


def bar(page, cell):
    return page.cell(cell).locator(".rtw-editor-bar")


def live(page, cell):
    expect(bar(page, cell)).to_contain_text("live", timeout=PATIENCE * 1000)


def text_of(page, cell):
    """Run a cell that prints a document's text."""
    page.run_cell(cell)
    return page.output_text(cell)


def test_two_editors_in_one_notebook(opened):
    """What is typed into one is in the other and in Python; also keys that are commands of JupyterLab."""
    page = opened(SETUP, "ada.editor()", "bob.editor()", "print(ada.text, ada.text == bob.text)")
    here, there = editor(page, 1), editor(page, 2)
    type_into(here, "first", " ")
    here.press("Escape")
    here.press_sequentially("dd a b x m")
    see(there, "first line dd a b x m")
    type_into(there, "second", ", mine")
    there.press("Enter")
    there.press_sequentially("new")
    there.press("Shift+Enter")
    there.press("ControlOrMeta+Enter")
    see(here, "second line, mine")
    see(here, "new")
    assert text_of(page, 3) == "first line dd a b x m\nsecond line, mine\nnew\n\n\nthird line True"
    assert len(page) == 4
    assert page.problems == []


def test_undo_takes_back_what_was_typed_here(opened):
    """And not what another has typed since."""
    page = opened(SETUP, "ada.editor()", "bob.editor()", "print(ada.text)")
    here, there = editor(page, 1), editor(page, 2)
    type_into(here, "first", " mine")
    see(there, "first line mine")
    type_into(there, "third", " theirs")
    see(here, "third line theirs")
    here.press("ControlOrMeta+z")
    expect(there).not_to_contain_text("mine", timeout=PATIENCE * 1000)
    assert text_of(page, 3) == "first line\nsecond line\nthird line theirs"


def test_two_browsers_type_at_once(opened):
    """Two notebooks with a kernel each, typed into in turns of one key: both end with both texts.

    Each shows the other's cursor with the name beside it, which can be read in each theme.
    """
    first = opened(SETUP, "ada.editor()", "print(server.url, server.token)")
    url, token = text_of(first, 2).split()
    second = opened(
        f"import rtwidgets as rt\ncy = rt.document('notes', name='cy', server={url!r}, token={token!r})",
        "cy.editor()",
        "print(cy.text)",
    )
    here, there = editor(first, 1), editor(second, 1)
    see(there, "third line")
    for box, line in ((here, "first"), (there, "third")):
        box.locator(".cm-line", has_text=line).click()
        box.press("End")
    for mine, theirs in zip(" from Ada", " from Cyd", strict=True):
        here.press_sequentially(mine)
        there.press_sequentially(theirs)
    for box in (here, there):
        see(box, "first line from Ada")
        see(box, "third line from Cyd")
    for page, box, name in ((first, here, "cy"), (second, there, "ada")):
        box.locator(".rtw-cursor-name", has_text=name).wait_for(timeout=PATIENCE * 1000)
        expect(bar(page, 1)).to_contain_text(name)
        for theme in ("light", "dark", "high-contrast"):
            page.set_theme(theme)
            words = page.cell(1).evaluate(WORDS, ".rtw-cursor-name, .rtw-editor-bar, .cm-line")
            assert {name, "second line"} <= dict(words).keys()
            assert [(theme, text, contrast) for text, contrast in words if contrast < 4.5] == []
    assert text_of(second, 2) == "first line from Ada\nsecond line\nthird line from Cyd"
    assert first.problems == second.problems == []


def test_two_windows_on_one_notebook(lab, opened):
    """What is typed into one is in the other, whose cursor is seen; when it goes away, so does its cursor."""
    page = opened(SETUP, "ada.editor()", "print(ada.text)")
    live(page, 1)
    page.save()
    other = lab.open(page.notebook)
    here, there = editor(page, 1), editor(other, 1)
    see(there, "third line")
    type_into(there, "first", " in one")
    see(here, "first line in one")
    type_into(here, "second", " and the other")
    see(there, "second line and the other")
    name = here.locator(".rtw-cursor-name", has_text="ada")
    expect(name).to_have_count(1, timeout=PATIENCE * 1000)
    # A page that is really gone may take its last word with it, and is forgotten half a minute later.
    other.evaluate("() => window.dispatchEvent(new PageTransitionEvent('pagehide'))")
    expect(name).to_have_count(0, timeout=20_000)
    other.close()
    assert text_of(page, 2) == "first line in one\nsecond line and the other\nthird line"


def test_line_ends_stay_as_they_are(opened):
    """Typing after Windows' line ends goes where the cursor is, in the document too."""
    page = opened(
        SETUP + "\nada.replace('one\\r\\ntwo\\r\\nthree\\rfour')", "ada.editor()", "print(repr(ada.text))"
    )
    type_into(editor(page, 1), "two", "!")
    type_into(editor(page, 1), "four", "?")
    see(editor(page, 1), "four?")
    expected = r"'one\r\ntwo!\r\nthree\rfour?'"
    until(lambda: page.page.wait_for_timeout(500) or text_of(page, 2) == expected, timeout=PATIENCE)


def test_a_reloaded_page_shows_the_text(opened):
    """With what was typed before, and with what comes after."""
    page = opened(SETUP, "ada.editor()", "ada.insert(0, 'news: ')")
    type_into(editor(page, 1), "second", " and more")
    see(editor(page, 1), "and more")
    page.save()
    page.reload()
    see(editor(page, 1), "second line and more")
    page.run_cell(2)
    see(editor(page, 1), "news: first line")


def test_who_may_only_read_cannot_type(opened):
    """The editor says so, and shows what others write."""
    page = opened(
        SETUP + "\nscopes = ['subscribe:documents/*', 'presence:documents/*']"
        "\nreader = server.server.hub.tokens.issue('eve', scopes=scopes, lifetime=600)"
        "\neve = rt.document('notes', name='eve', server=server.url, token=reader)",
        "eve.editor()",
        "ada.insert(0, 'news ')",
        "print(ada.text)",
    )
    box = editor(page, 1)
    expect(bar(page, 1)).to_contain_text("live · read only", timeout=PATIENCE * 1000)
    assert box.get_attribute("contenteditable") == "false"
    box.click()
    page.page.keyboard.type("typed")
    page.run_cell(2)
    see(box, "news first line")
    assert text_of(page, 3) == "news first line\nsecond line\nthird line"


def test_a_stopped_document_stays_as_it_is(opened):
    """Its text is there, and cannot be edited; a closed editor is gone."""
    page = opened(SETUP, "shown = ada.editor()\nshown", "rt.stop()", "shown.close()")
    box = editor(page, 1)
    live(page, 1)
    page.run_cell(2)
    expect(bar(page, 1)).to_contain_text("stopped", timeout=PATIENCE * 1000)
    expect(box).to_have_attribute("contenteditable", "false")
    see(box, "second line")
    page.run_cell(3)
    expect(page.page.locator(".rtw-editor")).to_have_count(0, timeout=PATIENCE * 1000)
    assert page.problems == []


def test_without_the_bundle_there_is_a_text_area(opened):
    """It saves whole texts, loses nobody's words, keeps the caret in its place, and says what to install."""
    page = opened(
        "import rtwidgets.widgets.editor as module\nmodule.EDITOR = None\n" + SETUP,
        "ada.editor()",
        "bob.insert(0, 'news ')",
        "print(bob.text)",
    )
    area = page.cell(1).locator("textarea")
    expect(area).to_have_value("first line\nsecond line\nthird line", timeout=PATIENCE * 1000)
    expect(bar(page, 1)).to_contain_text("install Node.js")
    area.press("ControlOrMeta+Home")
    area.press("End")
    page.run_cell(2)
    expect(area).to_have_value("news first line\nsecond line\nthird line", timeout=PATIENCE * 1000)
    area.focus()
    page.page.keyboard.type(" dd typed")
    page.page.keyboard.press("Enter")
    page.page.keyboard.type("and more")
    # The page speaks between cells only: one after the other without a pause would keep it silent.
    until(lambda: page.page.wait_for_timeout(500) or text_of(page, 3) == TYPED, timeout=PATIENCE)
    assert len(page) == 4
    for theme in ("light", "dark"):
        page.set_theme(theme)
        words = page.cell(1).evaluate(WORDS, ".rtw-editor-bar")
        assert [(theme, text, contrast) for text, contrast in words if contrast < 4.5] == []
