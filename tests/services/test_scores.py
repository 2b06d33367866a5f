"""Live scores: what a reporter may say when, and the standing that comes of it."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rtwidgets.frames import LiveFrame
from rtwidgets.services import decider, scores
from rtwidgets.services import ledger as ledger_
from rtwidgets.services.ledger import Ledger
from rtwidgets.services.scores import Match, Scores
from tests.services.asking import At

pytestmark = pytest.mark.usefixtures("tidy")

BEGIN = {"type": "begin", "home": "Lions", "away": "Bears"}
GOAL = {"type": "score", "side": "home"}


def match():
    return At(Scores, match="final")


@pytest.fixture
def clock(monkeypatch):
    """The server's clock: a list with the time."""
    time = [1e12]
    monkeypatch.setattr(decider, "clock", lambda: time[0])
    return time


async def test_a_match(clock):
    """Each row has the standing after it, the seconds since the begin, who says so, and when."""
    at = match()
    head = {"user": "ada", "time": 1e12}
    assert await at.ask(BEGIN) == {
        "type": "begun", "event": 1, **head, "home_points": 0, "away_points": 0, "elapsed": 0.0,
        "home": "Lions", "away": "Bears",
    }  # fmt: skip
    clock[0] = head["time"] = 1e12 + 61_234.5
    assert await at.ask(GOAL | {"player": "Lee"}) == {
        "type": "scored", "event": 2, **head, "home_points": 1, "away_points": 0, "elapsed": 61.234,
        "side": "home", "points": 1, "player": "Lee",
    }  # fmt: skip
    assert await at.ask({"type": "score", "side": "away", "points": 3}) == {
        "type": "scored", "event": 3, **head, "home_points": 1, "away_points": 3, "elapsed": 61.234,
        "side": "away", "points": 3,
    }  # fmt: skip
    assert await at.ask({"type": "note", "text": "rain"}) == {
        "type": "noted", "event": 4, **head, "home_points": 1, "away_points": 3, "elapsed": 61.234,
        "text": "rain",
    }  # fmt: skip
    assert await at.ask({"type": "correct", "event": 2}) == {
        "type": "corrected", "event": 5, **head, "home_points": 0, "away_points": 3, "elapsed": 61.234,
        "corrects": 2, "side": "home", "points": 1, "player": "Lee",
    }  # fmt: skip
    clock[0] = 1e12  # set back
    assert await at.ask({"type": "end"}) == {
        "type": "ended", "event": 6, **head, "home_points": 0, "away_points": 3, "elapsed": 61.234,
    }  # fmt: skip


async def test_the_state(clock):
    """Teams, phase, standing, reporter, the scores that count, and the newest events."""
    at = match()
    assert await at.ask(GOAL) == "not_begun"
    empty = {"home": None, "away": None, "reporter": None, "began": None, "scores": [], "events": []}
    points = {"home_points": 0, "away_points": 0}
    assert at.state == {"type": "state", "event": 0, "time": 0.0, "phase": "scheduled"} | points | empty
    rows = [await at.ask(message) for message in (BEGIN, GOAL, GOAL, {"type": "correct", "event": 2})]
    assert at.state == {
        "type": "state", "event": 4, "time": 1e12, "phase": "live", "home": "Lions", "away": "Bears",
        "home_points": 1, "away_points": 0, "reporter": "ada", "began": 1e12, "scores": [rows[2]],
        "events": rows,
    }  # fmt: skip
    await at.ask({"type": "end"})
    assert at.state["phase"] == "ended"


async def test_what_is_refused_when():
    """Before the begin, in between and after the end; and from others than the reporter."""
    at = match()
    reports = [GOAL, {"type": "note", "text": "x"}, {"type": "correct", "event": 1}, {"type": "end"}]
    for message in reports:
        assert await at.ask(message) == "not_begun"
    await at.ask(BEGIN)
    assert await at.ask(BEGIN) == await at.ask(BEGIN, "bob") == "begun"
    for message in reports:
        assert await at.ask(message, "bob") == "not_reporter"
        assert await at.ask(message, "guest-1") == "no_name"
    await at.ask({"type": "end"})
    for message in (BEGIN, *reports):
        assert await at.ask(message) == await at.ask(message, "bob") == "ended"
    assert at.channel.log.last == 2


async def test_only_a_score_that_counts_can_be_taken_back(monkeypatch):
    """Once; nothing else is one, and one that was long ago is none any more."""
    monkeypatch.setattr(scores, "CORRECTABLE", 2)
    at = match()
    for message in (BEGIN, GOAL, {"type": "note", "text": "x"}, GOAL, {"type": "correct", "event": 4}):
        await at.ask(message)
    for event in (1, 3, 4, 5, 6, 0, -1, 10**30):
        assert await at.ask({"type": "correct", "event": event}) == "no_such_event"
    await at.ask(GOAL)
    await at.ask(GOAL)
    assert await at.ask({"type": "correct", "event": 2}) == "no_such_event"
    assert (await at.ask({"type": "correct", "event": 6}))["home_points"] == 2


async def test_a_score_that_is_sent_again_counts_once():
    """By its id, or by the idempotency key."""
    at = match()
    await at.ask(BEGIN)
    for name, key in (("x", None), ("x", None), ("y", None), (None, "y"), (None, "z"), (None, "z")):
        await at.ask(GOAL | {"id": name}, key=key)
    assert at.state["home_points"] == 3


@pytest.mark.parametrize(
    "message",
    [{"type": "begin"}, {"type": "begin", "home": "", "away": "x"}, BEGIN | {"home": "x" * 101},
     GOAL | {"side": "left"}, GOAL | {"points": 0}, GOAL | {"points": -1}, GOAL | {"points": 1.5},
     GOAL | {"points": 1_001}, GOAL | {"player": ""}, {"type": "note"}, {"type": "note", "text": "x" * 1_001},
     {"type": "correct"}, {"type": "correct", "event": "1"}, {"type": "scored"}, []],
)  # fmt: skip
async def test_what_is_no_report(message):
    """It is refused, whoever sends it."""
    assert await match().ask(message) == "bad_message"


SCORES = st.builds(
    lambda side, points: {"type": "score", "side": side, "points": points},
    st.sampled_from(["home", "away"]),
    st.integers(1, 5),
)
CORRECTIONS = st.builds(lambda event: {"type": "correct", "event": event}, st.integers(0, 30))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    messages=st.lists(SCORES | CORRECTIONS | st.just({"type": "note", "text": "x"}), max_size=30),
    kept=st.sampled_from([2, 1_000]),
)
def test_the_standing_is_the_sum_of_the_scores_that_count(messages, kept):
    """Whatever is taken back, and after a restart too."""
    asyncio.run(added_up(messages, kept))


async def added_up(messages, kept):
    at, counting = match(), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger_, "KEPT", kept)
        await at.ask(BEGIN)
        for message in messages:
            row = await at.ask(message)
            if message["type"] == "score":
                counting[row["event"]] = message
            elif message["type"] == "correct":
                assert (row == "no_such_event") == (message["event"] not in counting)
                counting.pop(message["event"], None)
            standing = {
                side: sum(each["points"] for each in counting.values() if each["side"] == side)
                for side in ("home", "away")
            }
            for told in (at.state, {} if isinstance(row, str) else row):
                assert {
                    side: told.get(f"{side}_points", points) for side, points in standing.items()
                } == standing
            assert [score["event"] for score in at.state["scores"]] == list(counting)
            at.check_snapshot()
        assert len(at.state["events"]) <= scores.SHOWN
        await at.ask({"type": "end"})
        at.check_snapshot()
        state = at.ledger.state
        assert Ledger(at.channel, Match, Scores.rows).state.snapshot() == state.snapshot()


async def test_rows_make_a_frame(monkeypatch):
    """Every row fits, a snapshot too."""
    monkeypatch.setattr(ledger_, "KEPT", 5)
    at = match()
    await at.ask(BEGIN)
    for _ in range(5):
        row = await at.ask(GOAL)
        await at.ask({"type": "note", "text": "x"})
        await at.ask({"type": "correct", "event": row["event"]})
    await at.ask({"type": "end"})
    frame = LiveFrame(time="time")
    frame.extend_json(b"[%s]" % b",".join(at.channel.log.read(0).pieces))
    assert frame.rejected_count == 0
    assert at.channel.log.first > 1
    assert frame.df[["home_points", "away_points", "event"]].dtypes.eq("int64").all()
    assert frame.df["type"].iloc[-1] == "ended"
