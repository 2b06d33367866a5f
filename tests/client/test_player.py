"""Recordings played to an intake, without a file: what comes when, and what a connection did."""

from pathlib import Path

import numpy as np
import pytest

from rtwidgets.client import Intake, State
from rtwidgets.client.player import Player, Timeline
from rtwidgets.frames import LiveFrame
from rtwidgets.recording import Batch, Kind

SECOND = 10**9
BEGIN = 1_700_000_000 * SECOND


class Tape:
    """A recording in memory: (seconds, kind, messages) each."""

    about = {}
    path = Path("tape.rtlog")

    def __init__(self, *records):
        self._records = [
            Batch(BEGIN + round(at * SECOND), kind, [text.encode() for text in texts])
            for at, kind, *texts in records
        ]
        self.first = self._records[0].time if self._records else None

    def batches(self, start=None):
        return iter([each for each in self._records if start is None or each.time >= start])


def rows(*numbers):
    return [f'{{"n":{n}}}' for n in numbers]


async def player(*records, **options):
    intake = Intake(LiveFrame(None))
    return Player(Tape(*records), intake, **options), intake.frame


def numbers(frame):
    return [] if not frame.total else frame.df["n"].tolist()


def moments(frame):
    return ((frame.view(["time"]).columns["time"].view(np.int64) - BEGIN) / SECOND).tolist()


async def test_one_message_at_a_time_with_the_time_at_which_it_came():
    """A batch of several is played one by one; each row has the recorded time."""
    played, frame = await player(
        (0, Kind.OPENED, "{}"), (1, Kind.TEXT, *rows(1, 2)), (2, Kind.TEXT, *rows(3))
    )
    assert (played.state, played.next) == (State.CONNECTING, BEGIN)
    assert played.play(1)
    assert (played.state, numbers(frame)) == (State.OPEN, [])
    assert played.play(1)
    assert numbers(frame) == [1]
    assert played.play(1)
    assert numbers(frame) == [1, 2]
    assert not played.play(1)
    assert numbers(frame) == [1, 2, 3]
    assert moments(frame) == [1, 1, 2]


async def test_batches_are_played_together_up_to_a_limit_and_a_time():
    """Many small batches reach the intake as one, each message with its own time; none that is later."""
    played, frame = await player(*((n, Kind.TEXT, *rows(n)) for n in range(10)))
    assert played.play(100, BEGIN + 5 * SECOND)
    assert numbers(frame) == [0, 1, 2, 3, 4, 5]
    assert played.play(3)
    assert numbers(frame) == [*range(9)]
    assert moments(frame) == [*range(9)]


async def test_a_break_is_a_gap():
    """A second connection marks the frame and tells why the first one ended."""
    played, frame = await player(
        (0, Kind.OPENED, "{}"),
        (1, Kind.TEXT, *rows(1)),
        (2, Kind.CLOSED, "the server closed the connection (code 1012)"),
        (3, Kind.OPENED, "{}"),
        (4, Kind.TEXT, *rows(2)),
    )
    while played.play(100):
        pass
    played.end()
    assert [gap.reason for gap in played.gaps] == ["the server closed the connection (code 1012)"]
    assert frame.gaps == [(0, 1)]
    states = [(change.state, (change.time - BEGIN) / SECOND) for change in played.changes]
    assert states == [
        (State.CONNECTING, 0),
        (State.OPEN, 0),
        (State.WAITING, 2),
        (State.OPEN, 3),
        (State.CLOSED, 4),
    ]
    assert await played.ended is None
    assert played.reason == "the recording has ended"


async def test_what_was_sent_is_no_row():
    """Messages that went the other way are left out."""
    played, frame = await player((0, Kind.SENT_TEXT, *rows(1)), (1, Kind.TEXT, *rows(2)))
    while played.play(100):
        pass
    assert numbers(frame) == [2]


async def test_the_beginning_may_be_left_out():
    """With `start` only what comes after so many seconds is played, and again after a rewind."""
    played, frame = await player(*((n, Kind.TEXT, *rows(n)) for n in range(6)), start=3.5)
    while played.play(100):
        pass
    assert numbers(frame) == [4, 5]
    played.rewind()
    while played.play(100):
        pass
    assert numbers(frame) == [4, 5, 4, 5]


async def test_time_stands_still_unless_somebody_waits():
    """`advance` plays no message more than it takes."""
    played, frame = await player(*((n, Kind.TEXT, *rows(n, n + 0.5)) for n in range(4)))
    timeline = Timeline()
    timeline.add(played)
    assert frame.total == 0
    timeline.advance(lambda: frame.total >= 3)
    assert numbers(frame) == [0, 0.5, 1]
    timeline.advance(lambda: False)
    assert frame.total == 8
    assert played.state is State.CLOSED


async def test_recordings_are_merged_by_their_times():
    """Whoever waits for one lets all go on to the same time; one that is added later begins then."""
    one, first = await player(*((n, Kind.TEXT, *rows(n)) for n in range(10)))
    two, second = await player(*((n + 0.5, Kind.TEXT, *rows(n)) for n in range(10)))
    late, third = await player(*((n, Kind.TEXT, *rows(n)) for n in range(10)))
    timeline = Timeline()
    timeline.add(one)
    timeline.add(two)
    timeline.advance(lambda: first.total >= 4)
    # Each begins when it is added, whenever it was recorded: the second one at 0, not at 0.5.
    assert (first.total, second.total) == (4, 3)
    timeline.add(late)
    timeline.advance(lambda: third.total >= 3)
    assert (first.total, second.total, third.total) == (6, 6, 3)


async def test_sleeping_lets_the_recorded_time_go_on():
    """After `sleep(2.5)` all of the next two and a half seconds was played; without one it says so."""
    timeline = Timeline()
    assert not timeline.sleep(1)
    played, frame = await player(*((n, Kind.TEXT, *rows(n)) for n in range(10)))
    timeline.add(played)
    assert timeline.sleep(2.5)
    assert numbers(frame) == [0, 1, 2]
    assert timeline.sleep(0.5)
    assert numbers(frame) == [0, 1, 2, 3]
    timeline.remove(played)
    assert not timeline.sleep(1)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_equal_times_are_played_in_the_order_of_adding(order):
    """Which comes first does not depend on chance."""
    heard = []
    timeline = Timeline()
    for each in order:
        played, frame = await player(*((n, Kind.TEXT, *rows(n)) for n in range(3)))
        frame.on_change(lambda each=each: heard.append(each))
        timeline.add(played)
    timeline.advance(lambda: False)
    assert heard == [*order] * 3
