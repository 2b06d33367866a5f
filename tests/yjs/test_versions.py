"""A text as it was, for as long as it is kept."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtwidgets.yjs.edits import Edit, apply, carry
from rtwidgets.yjs.versions import EDIT, Versions
from tests.yjs.test_edits import changes, texts


@settings(max_examples=300, deadline=None)
@given(st.data(), texts)
def test_each_version_that_is_kept_is_known(data, text):
    """Whatever numbers they have: one in between stands for the version before it."""
    versions = Versions(text, 7)
    known = {7: text}
    for _ in range(data.draw(st.integers(0, 8))):
        change = data.draw(changes(versions.text))
        number = versions.version + data.draw(st.integers(1, 3))
        known |= dict.fromkeys(range(versions.version, number), versions.text)
        versions.add(change, number)
        known[number] = versions.text
    assert {number: versions.at(number) for number in known} == known
    for number, before in known.items():
        now = before
        for _, change in versions.steps(number):
            now = apply(now, change)
        assert now == versions.text


@settings(max_examples=300, deadline=None)
@given(st.data(), texts)
def test_a_change_of_an_older_version_keeps_what_it_inserts(data, text):
    """And what was inserted since."""
    versions = Versions(text, 0)
    for number in range(1, data.draw(st.integers(1, 6))):
        versions.add(data.draw(changes(versions.text)), number)
    version = data.draw(st.integers(0, versions.version))
    change = data.draw(changes(versions.at(version)))
    change = tuple(edit._replace(stop=edit.start, text="<" + edit.text + ">") for edit in change)
    carried = change
    for _, over in versions.steps(version):
        carried = carry(carried, over)
    after = apply(versions.text, carried)
    assert len(after) == len(versions.text) + sum(len(edit.text) for edit in change)
    for edit in change:
        assert edit.text in after


def test_what_is_too_old_is_forgotten():
    """By their number, and by the characters in them; the newest one is kept, however large."""
    versions = Versions("", 0, limit=3, max_chars=1_000)
    for number in range(1, 6):
        versions.add((Edit(0, 0, "x"),), number)
    assert versions.oldest == 2
    assert versions.at(2) == "xx"
    versions.add((Edit(0, 0, "y" * 1_000),), 6)
    assert versions.oldest == 5
    assert versions.at(5) == "xxxxx"
    with pytest.raises(LookupError, match="not kept any more"):
        versions.at(4)
    with pytest.raises(LookupError, match="no version 7 yet"):
        versions.at(7)


def test_what_is_forgotten_makes_room():
    """Only characters of changes that are still kept count."""
    versions = Versions("", 0, limit=1_000, max_chars=50 * (EDIT + 2))
    for number in range(1, 201):
        versions.add((Edit(0, 0, "xy"),), number)
    assert versions.version - versions.oldest == 50
