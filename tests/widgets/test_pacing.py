"""When frames go, without a browser and without a clock."""

import itertools
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell

from rtwidgets.widgets import pacing
from rtwidgets.widgets.pacing import BUDGET, BUSY_FPS, FPS, IN_FLIGHT, PATIENCE, TRIES, Pace, Pacemaker
from tests.waiting import until

HELLO = {"client": "one", "hello": "one"}


def send(pace: Pace, now: float, *, busy: bool = False) -> str | None:
    due = pace.due(now, busy=busy)
    if due is not None:
        pace.send(now, full=due == "full")
    return due


def painted(pace: Pace, now: float, number: int | None = None) -> None:
    pace.hear({"client": "one", "painted": pace.sent if number is None else number}, now)


@pytest.fixture
def pace() -> Pace:
    pace = Pace()
    pace.hear(HELLO, 0.0)
    return pace


def test_nothing_goes_before_somebody_is_there() -> None:
    """A chart that no browser has shown is sent nothing, and the first frame is a full one."""
    pace = Pace()
    assert pace.due(0.0, busy=False) is None
    pace.hear(HELLO, 1.0)
    assert pace.due(1.0, busy=False) == "full"


def test_two_frames_at_most_are_unanswered(pace: Pace) -> None:
    """The third frame waits for an answer, which may be to both."""
    assert [send(pace, n / 10) for n in range(1, 5)] == ["full", "new", None, None]
    painted(pace, 0.5)
    assert pace.in_flight == 0
    assert send(pace, 0.5) == "new"


def test_browser_that_paints_with_ease_is_sent_frames_by_the_clock(pace: Pace) -> None:
    """It need not answer each, until it says otherwise or has said nothing for a while."""
    pace.hear({"client": "one", "painted": 0, "easy": True}, 1.0)
    assert [send(pace, 1.0 + n / 10) for n in range(1, 6)] == ["full", *["new"] * 4]
    assert [send(pace, 1.6 + n / 10) for n in range(1, 4)] == [None] * 3
    pace.hear({"client": "one", "painted": 5, "easy": True}, 2.0)
    assert [send(pace, 2.0 + n / 10) for n in range(1, 4)] == ["new"] * 3
    pace.hear({"client": "one", "painted": 8, "easy": False}, 2.35)
    assert [send(pace, 2.4 + n / 10) for n in range(3)] == ["new", "new", None]


def test_thirty_frames_a_second_at_most(pace: Pace) -> None:
    """However fast the browser answers; a frame that goes late does not make the next one late."""
    sent = []
    for tick in range(3_000):
        late = 10 if tick // 100 % 2 else 0  # milliseconds
        if tick % 34 >= late and send(pace, tick / 1000):
            sent.append(tick / 1000)
            painted(pace, tick / 1000)
    assert len(sent) > 2.5 * FPS
    for apart in (1, 2, 30):
        assert all(
            after - before >= (apart - 0.5) / FPS for before, after in zip(sent, sent[apart:], strict=False)
        )


def test_hidden_chart_is_sent_nothing_and_then_the_whole(pace: Pace) -> None:
    """Hidden by its only browser a chart waits, in cells too; shown again it is sent the whole."""
    send(pace, 1.0)
    pace.hear({"client": "one", "visible": False}, 1.1)
    assert pace.due(5.0, busy=False) is None
    assert pace.due(5.0, busy=True) is None
    pace.hear({"client": "one", "visible": True}, 6.0)
    assert (pace.due(6.0, busy=False), pace.in_flight) == ("full", 0)


def test_one_browser_that_looks_is_enough(pace: Pace) -> None:
    """A chart goes on as long as any browser shows it."""
    pace.hear({"client": "two", "hello": "two"}, 0.0)
    pace.hear({"client": "one", "visible": False}, 0.1)
    assert send(pace, 1.0) == "full"


@pytest.mark.parametrize("word", ["lost", "hello"])
def test_who_has_lost_a_frame_is_sent_the_whole(pace: Pace, word: str) -> None:
    """A lost frame and a new page make the next frame a full one, whatever was unanswered."""
    send(pace, 1.0)
    send(pace, 2.0)
    pace.hear({"client": "one", word: True}, 2.1)
    assert send(pace, 2.1) == "full"
    assert send(pace, 2.2) == "new"


def test_page_that_has_the_frames_already_is_not_sent_them_again() -> None:
    """Frames of the cell that shows a chart reach the page before it can speak; those after them are new."""
    pace = Pace()
    assert send(pace, 1.0, busy=True) == "full"
    assert send(pace, 1.5, busy=True) == "new"
    pace.hear({**HELLO, "last": 2}, 1.6)
    assert send(pace, 1.7) == "new"
    pace.hear({"client": "two", "hello": "two", "last": 0}, 1.8)
    assert send(pace, 1.8) == "full"


def test_while_a_cell_runs_a_clock_takes_the_place_of_answers() -> None:
    """Unanswered frames go ten times a second, one of them a second full, before anybody was heard too."""
    pace = Pace()
    sent = [(tick / 100, due) for tick in range(1_000) if (due := send(pace, tick / 100, busy=True))]
    assert 90 <= len(sent) <= 10 * BUSY_FPS
    full = [now for now, due in sent if due == "full"]
    assert full[0] == sent[0][0]
    assert 8 <= len(full) <= 10
    assert all(1.0 <= after - before < 1.2 for before, after in itertools.pairwise(full))


def test_while_a_cell_runs_what_is_answered_is_not_sent_again(pace: Pace) -> None:
    """With answers that come all the same only the first frame is full."""
    full = 0
    for tick in range(500):
        full += send(pace, tick / 100, busy=True) == "full"
        painted(pace, tick / 100)
    assert full == 1


def test_silent_browser_is_tried_and_then_given_up(pace: Pace) -> None:
    """After some full frames without an answer nobody is thought to be there; a late answer is believed."""
    sent = [(tick / 10, due) for tick in range(1, 600) if (due := send(pace, tick / 10))]
    assert [due for _, due in sent] == ["full", "new", *["full"] * TRIES]
    tries = [now for now, _ in sent[1:]]
    assert all(after - before >= PATIENCE for before, after in itertools.pairwise(tries))
    painted(pace, 60.0)
    assert send(pace, 60.0) == "full"


def test_browser_that_was_hidden_is_still_hidden_when_another_is_given_up(pace: Pace) -> None:
    """Giving a silent browser up brings no frames to one that does not show the chart."""
    pace.hear({"client": "two", "hello": "two"}, 0.0)
    pace.hear({"client": "two", "visible": False}, 0.0)
    for tick in range(1, 600):
        send(pace, tick / 10)
    assert pace.due(60.0, busy=True) is None
    assert pace.due(60.0, busy=False) is None


steps = st.lists(
    st.one_of(
        st.floats(0.0, 0.2).map(lambda seconds: ("tick", seconds)),
        st.integers(0, 5).map(lambda back: ("painted", back)),
        st.sampled_from([("lost", 0), ("visible", 0), ("visible", 1), ("hello", 0), ("renew", 0)]),
    ),
    max_size=100,
)


@given(steps)
def test_no_more_is_unanswered_than_may_be(steps: list[tuple[str, float]]) -> None:
    """Whatever a browser says, no more than two frames are unanswered unless patience ran out."""
    pace = Pace()
    pace.hear(HELLO, 0.0)
    now = spoken = 0.0
    for step, argument in steps:
        if step == "tick":
            now += argument
            if send(pace, now) and now - spoken < PATIENCE:
                assert 1 <= pace.in_flight <= IN_FLIGHT
        elif step == "renew":
            pace.renew()
        else:
            spoken = now
            number = max(0, pace.sent - int(argument)) if step == "painted" else argument
            pace.hear({"client": "one", step: number}, now)
            assert pace.in_flight >= 0


class Eager:
    """A chart with a frame at each beat."""

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        self.beats = 0
        self.busy: bool | None = None
        self.then = then

    def beat(self, now: float, *, busy: bool) -> bool:
        self.beats += 1
        self.busy = busy
        self.then()
        return True


class Still:
    """In the place of a ticker: beats when it is told to."""

    def __init__(self, *_: object) -> None:
        self.stopped = False

    def stop(self) -> None:
        self.stopped = True


def test_budget_is_shared_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """With more charts than messages each chart still has its turn, and the budget is kept."""
    monkeypatch.setattr(pacing, "Ticker", Still)
    now = 0.0
    maker = Pacemaker(lambda: now)
    charts = [Eager() for _ in range(50)]
    for chart in charts:
        maker.add(chart)
    for _ in range(100):
        now += 0.05
        maker.beat()
    beats = [chart.beats for chart in charts]
    assert sum(beats) <= BUDGET * now + BUDGET / 10
    assert sum(beats) >= BUDGET * now * 0.95
    assert max(beats) - min(beats) <= 1
    for chart in charts:
        maker.remove(chart)


def test_chart_that_fails_keeps_no_other_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of one chart comes out after the others had their turn."""
    monkeypatch.setattr(pacing, "Ticker", Still)
    maker = Pacemaker(lambda: 0.0)

    def fail() -> None:
        raise ValueError("no picture")

    other = Eager()
    maker.add(Eager(fail))
    maker.add(other)
    with pytest.raises(ValueError, match="no picture"):
        maker.beat()
    assert other.beats == 1


def test_first_chart_starts_the_clock_and_the_last_one_stops_it(tidy: None) -> None:
    """The clock runs as long as there are charts, and leaves no thread."""
    maker = Pacemaker()
    first, second = Eager(), Eager()
    maker.add(first)
    maker.add(second)
    until(lambda: first.beats and second.beats)
    maker.remove(first)
    beats = first.beats, second.beats
    until(lambda: second.beats > beats[1])
    assert first.beats == beats[0]
    maker.remove(second)
    again = Eager()
    maker.add(again)
    until(lambda: again.beats)
    maker.remove(again)


def test_clock_knows_when_a_cell_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """It listens to IPython as long as there are charts, and knows whether a cell or a callback makes one."""
    shell = InteractiveShell()
    shell.kernel = SimpleNamespace(get_parent=lambda: {"header": {"msg_type": "execute_request"}})
    monkeypatch.setattr(pacing, "get_ipython", lambda: shell)
    monkeypatch.setattr(pacing, "Ticker", Still)
    heard = {name: list(shell.events.callbacks[name]) for name in ("pre_run_cell", "post_run_cell")}
    maker = Pacemaker(lambda: 0.0)
    chart = Eager()
    maker.add(chart)
    for event, busy in ((None, True), ("post_run_cell", False), ("pre_run_cell", True)):
        if event:
            shell.events.trigger(event, None)
        maker.beat()
        assert chart.busy is busy
    maker.remove(chart)
    shell.kernel.get_parent = lambda: {"header": {"msg_type": "comm_msg"}}
    maker.add(chart)
    maker.beat()
    assert chart.busy is False
    maker.remove(chart)
    assert {name: list(shell.events.callbacks[name]) for name in heard} == heard
