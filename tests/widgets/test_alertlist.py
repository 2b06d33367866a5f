"""The list of an alert: its half in the kernel on a stand-in, and its half in the browser alone on a page."""

import enum

import pytest
from ipywidgets.widgets.widget import _instances
from playwright.sync_api import expect, sync_playwright

from rtwidgets.frames import LiveFrame
from rtwidgets.loop import lease
from rtwidgets.testing.lab import _find_browser
from rtwidgets.widgets import close_all
from rtwidgets.widgets.alertlist import AlertList
from rtwidgets.widgets.scripts import ALERTS, ALERTS_STYLE
from tests.waiting import until

START = 1_700_000_000
EVIL = '<img src=x onerror="window.hit = 1">'


class State(enum.Enum):
    OPEN = "open"
    WAITING = "waiting"
    CLOSED = "closed"


class StandIn:
    """An alert without a stream."""

    def __init__(self):
        schema = {"symbol": "category", "price": float, "size": int, "time": "datetime64[s]"}
        self.frame = LiveFrame(key="symbol", time="time", schema=schema)
        self.name, self.shown = "price > 150", ["time", "symbol", "price"]
        self.state, self.reason, self.stopped = State.OPEN, "it broke once", False

    def fire(self, *prices, symbol="A"):
        rows = [{"symbol": symbol, "price": each, "size": 1, "time": START} for each in prices]
        self.frame.extend(rows)


@pytest.fixture(autouse=True)
def nothing_left(tidy):
    before = set(_instances)
    yield
    close_all()
    assert set(_instances) <= before  # those of others are closed, too


@pytest.fixture
def alert():
    return StandIn()


def test_the_newest_rows_are_shown(alert):
    """First, with their numbers, as the tables write them: the time, the key and the condition's columns."""
    alert.fire(151, 152.5)
    shown = AlertList(alert)
    assert shown.columns == ["time", "symbol", "price"]
    assert shown.rows == [
        (1, "2023-11-14 22:13:20.000Z", "A", "152.5"),
        (0, "2023-11-14 22:13:20.000Z", "A", "151.0"),
    ]
    assert (shown.total, shown.name, shown.state) == (2, "price > 150", "open")


def test_it_follows_the_alert(alert):
    """With at most 200 rows; what is missing is a dash, and nothing crosses when nothing is new."""
    shown = AlertList(alert)
    assert (shown.rows, shown.columns) == ([], [])
    alert.fire(*range(500))
    until(lambda: shown.total == 500)
    assert [row[0] for row in shown.rows] == list(range(499, 299, -1))
    alert.fire(None, symbol=None)
    until(lambda: shown.total == 501)
    assert shown.rows[0][2:] == ("–", "–")
    rows, looks = shown.rows, []
    shown.observe(looks.append)
    alert.state = State.WAITING
    until(lambda: looks)
    assert {change["name"] for change in looks} <= {"state", "reason"}
    assert (shown.state, shown.reason, shown.rows is rows) == ("waiting", "it broke once", True)


def test_a_column_that_is_not_there_is_not_shown(alert):
    """An alert may know its columns before the stream does."""
    alert.shown = ["time", "nope"]
    alert.fire(1)
    assert AlertList(alert).columns == ["time"]


def test_a_stopped_list_stays_as_it_is(alert):
    """With the last rows; as text it is short, and closed it leaves nothing."""
    held = lease()
    shown = AlertList(alert)
    held.release()
    alert.fire(151)
    alert.state, alert.reason, alert.stopped = State.CLOSED, "stopped", True
    shown.stop()
    shown.stop()
    assert (len(shown.rows), shown.stopped, shown.state, shown.reason) == (1, True, "closed", "stopped")
    assert repr(shown) == "AlertList('price > 150')"
    late = AlertList(alert)
    assert late.stopped
    late.close()
    shown.close()
    shown.close()
    assert shown.closed


# In the browser

MODEL = """async ([script, style, state]) => {
  document.head.appendChild(document.createElement("style")).textContent = style;
  const module = await import(URL.createObjectURL(new Blob([script], { type: "text/javascript" })));
  const slots = {};
  window.model = {
    comm_live: true,
    get: (name) => state[name],
    on: (name, slot) => (slots[name] ??= new Set()).add(slot),
    off: (name, slot) => slots[name]?.delete(slot),
    emit: (name) => slots[name]?.forEach((slot) => slot()),
    left: () => Object.values(slots).reduce((sum, those) => sum + those.size, 0),
    set: (values) => {
      Object.assign(state, values);
      Object.keys(values).forEach((name) => model.emit(`change:${name}`));
    },
  };
  const el = document.body.appendChild(document.createElement("div"));
  window.close_it = module.default.render({ model, el });
}"""
COLOURS = """() => ['.rtw-alerts-table td', '.rtw-alerts-table th', '.rtw-alerts-state'].map((each) => {
  const parts = [];
  for (let at = document.querySelector(each); at; at = at.parentElement) parts.push(getComputedStyle(at));
  const grounds = parts.map((style) => style.backgroundColor);
  return [parts[0].color, grounds.find((colour) => colour !== 'rgba(0, 0, 0, 0)')];
})"""


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=_find_browser(None, playwright), args=["--no-sandbox"]
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    page = browser.new_page()
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.set_content("<!doctype html><title>Alerts</title>")
    state = {"name": "price > 150", "state": "open", "reason": "", "stopped": False, "total": 0}
    page.evaluate(MODEL, [ALERTS, ALERTS_STYLE, state | {"columns": ["time", "symbol", "price"], "rows": []}])
    yield page
    page.close()
    assert problems == []


def tell(page, *numbers, total=None, **values):
    rows = [[number, f"14:30:{number:02}", "A", f"{150 + number}"] for number in numbers]
    page.evaluate("values => model.set(values)", {"rows": rows, "total": total or len(rows)} | values)


@pytest.mark.browser
def test_a_table_with_the_newest_on_top(page):
    """Named for readers of screens; new rows are put there, those that stay are left as they are."""
    expect(page.get_by_text("none yet")).to_be_visible()
    assert not page.get_by_role("table").is_visible()
    tell(page, 1, 0)
    table = page.get_by_role("table", name="alerts of price > 150, the newest first")
    assert table.get_by_role("columnheader").all_inner_texts() == ["time", "symbol", "price"]
    assert table.locator("tbody tr").all_inner_texts() == ["14:30:01\tA\t151", "14:30:00\tA\t150"]
    page.evaluate("document.querySelector('tbody tr').marked = true")
    tell(page, 3, 2, 1, total=4)
    assert [text[-3:] for text in table.locator("tbody tr").all_inner_texts()] == ["153", "152", "151"]
    assert page.evaluate("[...document.querySelectorAll('tbody tr')].map((row) => row.marked)") == [
        None,
        None,
        True,
    ]
    assert page.locator(".rtw-alerts-count").inner_text() == "⚑ 4 alerts"


@pytest.mark.browser
def test_what_is_new_is_read_aloud(page):
    """In one sentence, politely, and not what was there before."""
    news = page.locator("[aria-live=polite]").last
    assert news.text_content() == ""
    tell(page, 0)
    assert news.text_content() == "alert: time 14:30:00, symbol A, price 150"
    tell(page, 3, 2, 1, 0)
    assert news.text_content() == "3 alerts, the newest: time 14:30:03, symbol A, price 153"
    assert (
        page.evaluate("document.querySelector('.rtw-alerts-scroller').dataset.lmSuppressShortcuts") == "true"
    )


@pytest.mark.browser
def test_how_it_stands(page):
    """In a sign and a word, and why; also when the kernel is gone."""
    state = page.get_by_role("status")
    assert state.inner_text() == "● live"
    tell(page, state="waiting", reason="nobody answers")
    assert state.inner_text() == "○ waiting: nobody answers"
    tell(page, state="open", reason="")
    page.evaluate("model.comm_live = false; model.emit('comm_live_update')")
    assert state.inner_text() == "■ the kernel is gone: run the cell again"
    tell(page, stopped=True, state="closed", reason="stopped: enough")
    assert state.inner_text() == "■ stopped: enough"
    page.evaluate("close_it()")
    assert page.evaluate("model.left()") == 0


@pytest.mark.browser
def test_text_is_never_markup(page):
    """Names, columns and values are what they are."""
    rows = [[0, EVIL, EVIL]]
    page.evaluate("values => model.set(values)", {"columns": [EVIL, "b"], "rows": rows, "total": 1})
    assert page.locator("th").first.inner_text() == EVIL
    assert page.locator("td").first.inner_text() == EVIL
    assert page.locator("img").count() == 0
    assert page.evaluate("window.hit") is None


@pytest.mark.browser
@pytest.mark.parametrize(
    "theme",
    [
        {},
        {"ui-font-color1": "#fff", "ui-font-color2": "#bbb", "content-font-color1": "#fff"}
        | {"layout-color0": "#111", "layout-color2": "#333"},
    ],
)
def test_it_can_be_read_in_both_themes(page, theme):
    """Its colours are JupyterLab's, with a contrast of 4.5 at least."""
    rules = "".join(f"--jp-{name}: {value};" for name, value in theme.items())
    ground = theme.get("layout-color0", "#fff")
    page.add_style_tag(content=f":root {{ {rules} }} body {{ background: {ground}; }}")
    tell(page, 0)
    for colours in page.evaluate(COLOURS):
        light, dark = sorted(map(luminance, colours), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, colours


def luminance(colour):
    """Relative luminance of a colour such as ``rgb(1, 2, 3)``, by WCAG 2.2."""
    parts = [int(part) / 255 for part in colour.partition("(")[2].rstrip(")").split(",")[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
