"""The widgets' halves in the browser, as functions, in Node; `test_play_in_lab.py` has them on a page."""

import json

import pytest

from rtwidgets.widgets.scripts import AUCTION, SCOREBOARD

PAGE = """
let now = 5000;
globalThis.document = { addEventListener() {}, removeEventListener() {} };
Object.defineProperty(globalThis, "performance", { value: { now: () => now } });
Date.now = () => { throw new Error("the clock of the page's machine may be wrong"); };
const hear = {};
const state = { now: 0, state: "open", writable: true };
const sent = [];
const model = {
  get: (name) => state[name],
  on: (name, call) => { hear[name] = call; },
  send: (words) => sent.push(words),
};
"""


@pytest.fixture
def run(node):
    """What a script prints that comes after a widget's, of which nothing else is asked."""

    def run(script, source=AUCTION):
        source = source.replace("export default", "const shown =").replace("export ", "")
        return node(f"{source}\n{PAGE}\n{script}")

    return run


def test_times_that_are_left(run):
    """Rounded up, so that nothing is left when it says so."""
    times = [-5, 0, 1, 1000, 1001, 59_999, 60_000, 3_599_000, 3_600_000, 86_399_000, 90_000_000]
    assert run(f"console.log(JSON.stringify({json.dumps(times)}.map(timeLeft)));") == [
        "0:00", "0:00", "0:01", "0:01", "0:02", "1:00", "1:00", "59:59", "1:00:00", "23:59:59", "1 d 1 h",
    ]  # fmt: skip


def test_the_clock_of_a_match(run):
    """Rounded down, as those in sports are."""
    script = "console.log(JSON.stringify([0, 7.9, 61, 3723].map(matchTime)));"
    assert run(script, SCOREBOARD) == ["0:00", "0:07", "1:01", "1:02:03"]


def test_the_server_s_clock_goes_on_a_page(run):
    """The word counts that was the least time on its way; one that is far back is about another clock."""
    script = """
    state.now = 1_000_000;
    const play = new Play(model);
    const times = [play.now()];
    const step = (ms, told) => { now += ms; state.now = told; hear["change:now"](); times.push(play.now()); };
    step(1000, 1_000_900); // late by 100
    step(1000, 1_002_050); // this one was faster
    step(1000, 900_000); // the server's clock was set
    console.log(JSON.stringify(times));
    """
    assert run(script) == [1_000_000, 1_001_000, 1_002_050, 900_000]


def test_an_answer_goes_to_the_view_that_has_asked(run):
    """And nobody else's key is of interest; a view asks for one thing at a time."""
    script = """
    const play = new Play(model);
    const made = () => ({ told: [], complain(words) { this.told.push(words); }, look() {} });
    const [one, other] = [made(), made()];
    play.views.add(one).add(other);
    play.ask({ type: "sit" }, one);
    play.ask({ type: "drop", column: 1 }, other);
    const keys = sent.map(({ key }) => key);
    hear["msg:custom"]({ answers: [[keys[1], "no"], ["another page's", "what"], [keys[0], ""]] });
    const asked = sent.map((each) => each.do);
    console.log(JSON.stringify([asked, keys[0] === keys[1], one.told, other.told, play.pending.size]));
    """
    assert run(script) == [[{"type": "sit"}, {"type": "drop", "column": 1}], False, [""], ["no"], 0]
