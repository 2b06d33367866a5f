"""What leads from one text to another, in as few characters as can be found quickly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate

from rtwidgets.yjs.edits import Change, Edit

__all__ = ["MOST", "difference", "distance", "span"]

MOST = 100
"""Characters inserted and deleted up to which the shortest way is looked for."""
MOST_LINES = 200
"""Lines inserted and deleted up to which it is looked for by whole lines; more are replaced all together."""


def difference(before: str, after: str) -> Change:
    """Return what leads from one text to another.

    Up to `MOST` characters that is the shortest way (Myers, "An O(ND) difference algorithm and its
    variations", 1986), and beyond that the shortest way by whole lines, up to `MOST_LINES` of them. What is
    the same at both ends is left out first, by comparing slices, which takes no time for texts of any size.
    """
    head, old, new = _apart(before, after)
    if not old and not new:
        return ()
    if not old or not new:
        return (Edit(head, head + len(old), new),)
    trace = _shortest(old, new, MOST)
    parts = _by_lines(old, new) if trace is None else _edits(old, new, trace)
    return tuple(Edit(head + start, head + stop, text) for start, stop, text in parts)


def distance(before: str, after: str, most: int) -> int:
    """Return how many characters have to be inserted and deleted; `most` + 1 when it is more than `most`."""
    _, old, new = _apart(before, after)
    if not old or not new:
        return min(len(old) + len(new), most + 1)
    trace = _shortest(old, new, most)
    return most + 1 if trace is None else len(trace) - 1


def span(before: str, after: str) -> int:
    """Return how many characters of both are between what is the same at the beginning and at the end."""
    _, old, new = _apart(before, after)
    return len(old) + len(new)


def _apart(before: str, after: str) -> tuple[int, str, str]:
    """Return how many characters both begin with, and what lies between those and the end that both have."""
    head = _run(before, 0, after, 0)
    least, most = 0, min(len(before), len(after)) - head
    while least < most:
        middle = (least + most + 1) // 2
        if before[len(before) - middle :] == after[len(after) - middle :]:
            least = middle
        else:
            most = middle - 1
    return head, before[head : len(before) - least], after[head : len(after) - least]


def _run(old: Sequence[str], x: int, new: Sequence[str], y: int) -> int:
    """Return how many characters, or lines, are the same from two places on."""
    longest = min(len(old) - x, len(new) - y)
    least, step = 0, 1
    while least < longest:
        step = min(step, longest - least)
        if old[x + least : x + least + step] == new[y + least : y + least + step]:
            least += step
            step *= 2
        elif step == 1:
            break
        else:
            step //= 2
            longest = min(longest, least + 2 * step)
    return least


def _shortest(old: Sequence[str], new: Sequence[str], most: int) -> list[dict[int, int]] | None:
    """Return how far each diagonal goes, for each number of edits; None when `most` is too few."""
    most = min(most, len(old) + len(new))
    if abs(len(old) - len(new)) > most:
        return None
    reached = {1: 0}
    trace: list[dict[int, int]] = []
    for edits in range(most + 1):
        row: dict[int, int] = {}
        for diagonal in range(-edits, edits + 1, 2):
            down = reached.get(diagonal + 1, -1)
            right = reached.get(diagonal - 1, -2) + 1
            x = max(down, right)
            y = x - diagonal
            if x < 0 or x > len(old) or y < 0 or y > len(new):
                continue
            x += _run(old, x, new, y)
            row[diagonal] = x
            if x == len(old) and x - diagonal == len(new):
                trace.append(row)
                return trace
        trace.append(row)
        reached = row
    return None


def _edits(old: Sequence[str], new: Sequence[str], trace: list[dict[int, int]]) -> list[Edit]:
    """Walk back over the diagonals; places count what the sequences are made of."""
    edits: list[Edit] = []
    x, y = len(old), len(new)
    for number in range(len(trace) - 1, 0, -1):
        before, diagonal = trace[number - 1], x - y
        down, right = before.get(diagonal + 1, -1), before.get(diagonal - 1, -2) + 1
        if down >= right:  # something was inserted
            x = down
            y = x - diagonal - 1
            edit = Edit(x, x, new[y])
        else:
            x = right - 1
            y = x - diagonal + 1
            edit = Edit(x, x + 1, "")
        if edits and edit.stop == edits[-1].start:
            edits[-1] = Edit(edit.start, edits[-1].stop, edit.text + edits[-1].text)
        else:
            edits.append(edit)
    return edits[::-1]


def _by_lines(old: str, new: str) -> Iterator[Edit]:
    before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
    here, there = Counter(before), Counter(after)
    least = (here - there).total() + (there - here).total()  # lines that the shortest way has, or more
    trace = _shortest(before, after, MOST_LINES) if least <= MOST_LINES else None
    if trace is None:
        yield Edit(0, len(old), new)
        return
    places = [0, *accumulate(map(len, before))]
    for start, stop, text in _edits(before, after, trace):
        yield Edit(places[start], places[stop], text)
