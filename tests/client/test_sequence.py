import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtwidgets.client.records import Records
from rtwidgets.client.sequence import ANEW, GapFinder, NumberedIntake
from rtwidgets.frames import LiveFrame
from rtwidgets.loop import take_errors


def plainly(rows):
    """Find gaps row by row."""
    highest, gaps = {}, {}
    for key, number in rows:
        before = highest.get(key)
        if before is None or before - number >= ANEW:
            highest[key] = number
        elif number > before:
            if number > before + 1:
                gaps.setdefault(key, []).append((before + 1, number - 1))
            highest[key] = number
    return gaps


def found(finder):
    gaps = {}
    for gap in finder.gaps:
        gaps.setdefault(gap.epoch, []).append((gap.first, gap.last))
    return gaps


STEPS = st.sampled_from([1, 1, 1, 1, 2, 3, 0, -1, -2, ANEW * 3, -ANEW + 1, -ANEW, -ANEW * 2])
BATCHES = st.lists(st.lists(st.tuples(st.sampled_from("AB"), STEPS), min_size=1, max_size=6), max_size=6)


@settings(deadline=None, max_examples=200)
@given(BATCHES)
def test_gaps_are_those_that_a_look_at_each_row_finds(batches):
    """For each key on its own, however the rows are spread over batches."""
    at, rows = {"A": 10_000, "B": 500}, []
    frame = LiveFrame(key="k")
    finder = GapFinder(frame, "n")
    for batch in batches:
        new = []
        for key, step in batch:
            at[key] += step
            new.append((key, at[key]))
        rows += new
        frame.extend([{"k": key, "n": number} for key, number in new])
        finder.look()
    assert found(finder) == plainly(rows)


def finder(*numbers, **options):
    frame = LiveFrame(**options)
    finder = GapFinder(frame, "n")
    frame.extend([{"n": number} for number in numbers])
    finder.look()
    return finder


def test_a_gap_says_what_is_missing():
    """From which number to which, of which key, and in the frame it lies before the row that told of it."""
    numbers = finder(7, 8, 12)
    assert list(numbers.gaps) == [("", 9, 11, "n went from 8 to 12")]
    assert numbers._frame.gaps[0][0] == 1


@pytest.mark.parametrize(
    ("numbers", "gaps"),
    [
        ((5, 5, 6), []),  # twice
        ((5, 7, 6, 8), [(6, 6)]),  # late
        ((5, 6, 7, 5, 6, 7, 8), []),  # a snapshot that comes again
        ((9_000, 9_001, 1, 2, 4), [(3, 3)]),  # anew
        ((1, 2, 9_000_000, 9_000_001), [(3, 8_999_999)]),
        ((None, 4, None, 5, 7), [(6, 6)]),
        ((4.0, float("inf"), 6.0), [(5, 5)]),
        ((), []),
    ],
)
def test_what_is_a_gap_and_what_is_none(numbers, gaps):
    """Repeats and latecomers are none, nor is a count that begins anew, nor are rows without a number."""
    assert [(gap.first, gap.last) for gap in finder(*numbers).gaps] == gaps


def test_rows_that_left_before_they_were_looked_at_are_no_gap():
    """What the frame did not keep may have been there."""
    numbers = finder(1, 2, max_rows=10)
    numbers._frame.extend([{"n": number} for number in range(3, 5_000)])
    numbers.look()
    numbers._frame.extend([{"n": number} for number in (5_000, 5_002)])
    numbers.look()
    assert [(gap.first, gap.last) for gap in numbers.gaps] == [(5_001, 5_001)]


def test_rows_of_nobody():
    """Rows without a key are followed too."""
    frame = LiveFrame(key="k")
    finder = GapFinder(frame, "n")
    frame.extend([{"k": None, "n": 1}, {"k": "A", "n": 5}, {"k": None, "n": 3}])
    finder.look()
    assert [(gap.epoch, gap.first) for gap in finder.gaps] == [("", 2)]


def test_an_intake_of_numbered_rows():
    """It looks after each batch, and keeps the newest thousand gaps."""
    intake = NumberedIntake(LiveFrame(key="k"), "n", records=Records("rows"))
    for first in range(0, 3_000, 300):
        rows = [{"k": "A", "n": 2 * number} for number in range(first, first + 300)]
        intake.messages([json.dumps({"rows": rows}).encode()], 0)
    assert len(intake.gaps) == 1_000
    assert intake.gaps[-1] == ("A", 5_997, 5_997, "n went from 5996 to 5998")
    assert np.all(np.diff([gap.first for gap in intake.gaps]) == 2)


def test_a_column_without_numbers_is_told_once():
    """In the background, and the rows come all the same."""
    intake = NumberedIntake(LiveFrame(), "n")
    for _ in range(3):
        intake.messages([b'{"n":"a"}'], 0)
    ((where, error),) = take_errors()
    assert (where, "holds no numbers" in str(error)) == ("looking for gaps", True)
    assert len(intake.frame) == 3
