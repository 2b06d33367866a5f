"""What saves of whole texts mean when they cross with the edits of others."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtwidgets.yjs.difference import MOST
from rtwidgets.yjs.edits import Edit, apply
from rtwidgets.yjs.shadow import Shadow
from rtwidgets.yjs.versions import Versions


class Writer:
    """Has a text on its screen, takes updates when it has nothing to save, and saves all of it."""

    def __init__(self, versions, *, echo):
        self.shadow = Shadow()
        self.screen, self.version = versions.text, versions.version
        self.dirty = False
        self.echo = echo
        self.updates = deque()  # on their way to it
        self.saves = deque()  # on their way to the server
        self.surely = versions.version  # what it had seen for sure when its oldest save was made

    def receive(self):
        if self.updates and not self.dirty:
            self.screen, self.version = self.updates.popleft()

    def save(self):
        if self.dirty:
            self.saves.append((self.screen, self.version if self.echo else None, self.version))
            self.dirty = False


class World:
    """Some writers, a server, and the messages between them."""

    def __init__(self, count, *, echo, text="the beginning"):
        self.versions = Versions(text, 1)
        self.writers = [Writer(self.versions, echo=echo) for _ in range(count)]
        self.inserted, self.deleted = set(text), set()
        self.fresh = iter(range(0x4E00, 0x9FFF))

    def insert(self, writer, place):
        at = int(place * len(writer.screen))
        new = chr(next(self.fresh))
        writer.screen = apply(writer.screen, (Edit(at, at, new),))
        writer.dirty = True
        self.inserted.add(new)

    def delete(self, writer, place, length):
        at = int(place * len(writer.screen))
        gone = writer.screen[at : at + length]
        writer.screen = writer.screen[:at] + writer.screen[at + length :]
        writer.dirty = writer.dirty or bool(gone)
        self.deleted |= set(gone)

    def serve(self, writer):
        if not writer.saves:
            return
        text, echoed, since = writer.saves.popleft()
        change = writer.shadow.rebase(self.versions, text, echoed, since=since)
        if change:
            self.versions.add(change, self.versions.version + 1)
            writer.shadow.landed(self.versions.version)
            for other in self.writers:
                other.updates.append((self.versions.text, self.versions.version))

    def settle(self):
        while any(writer.saves or writer.updates or writer.dirty for writer in self.writers):
            for writer in self.writers:
                writer.save()
                self.serve(writer)
                writer.receive()


writers = st.integers(0, 2)
places = st.floats(0, 1, exclude_max=True)
inserts = st.tuples(st.just("insert"), writers, places)
deletes = st.tuples(st.just("delete"), writers, places, st.integers(1, 4))
moves = st.tuples(st.sampled_from(["save", "serve", "receive"]), writers)


def play(world, steps):
    for kind, number, *rest in steps:
        writer = world.writers[number]
        if kind in {"insert", "delete"}:
            getattr(world, kind)(writer, *rest)
        elif kind == "serve":
            world.serve(writer)
        else:
            getattr(writer, kind)()
    world.settle()


@settings(max_examples=500, deadline=None)
@given(st.lists(st.one_of(inserts, inserts, deletes, moves, moves), max_size=60))
def test_with_versions_nothing_is_lost_and_nothing_comes_twice(steps):
    """All that was inserted is there once, but for what somebody deleted, and all writers see the same."""
    world = World(3, echo=True, text="abcdefghij")
    play(world, steps)
    text = world.versions.text
    assert set(text) == world.inserted - world.deleted
    assert len(text) == len(set(text))
    assert {writer.screen for writer in world.writers} == {text}


@settings(max_examples=500, deadline=None)
@given(st.lists(st.one_of(inserts, moves, moves), max_size=60))
def test_without_versions_no_insert_is_lost(steps):
    """Whatever crosses on the wire."""
    world = World(3, echo=False, text="abcdefghij")
    play(world, steps)
    assert sorted(world.versions.text) == sorted(world.inserted)


@pytest.mark.parametrize("size", [1, 5 * MOST])
@pytest.mark.parametrize("gone", [0, 2])
def test_however_many_changes_it_crosses(size, gone):
    """A save without a version takes none of them back, nor those that it has been made after."""
    versions = Versions("ij", 0)
    versions.add((Edit(0, 0, "abcdefgh"),), 1)
    text = apply(versions.text, (Edit(4, 4 + gone, "p" * size),))
    for number in range(300):
        end = len(versions.text)
        versions.add((Edit(end - 2, end - 2, f" {number}"),), number + 2)
    change = Shadow().rebase(versions, text, None, since=0)
    words = "".join(f" {number}" for number in range(300))
    assert apply(versions.text, change) == text[:-2] + words + "ij"


@pytest.mark.parametrize("size", [MOST, MOST + 1, 5 * MOST])
@pytest.mark.parametrize("place", [0, 5, 10])
@pytest.mark.parametrize("gone", [0, 2])
def test_what_is_pasted_takes_back_nobodys_words(size, place, gone):
    """However much it is, and also in place of something: a save without a version that crosses an update."""
    versions = Versions("abcdefghijklmno", 1)
    pasted = (Edit(place, place + gone, "p" * size),)
    text = apply(versions.text, pasted)
    versions.add((Edit(13, 13, "BOB"), Edit(14, 15, "")), 2)
    change = Shadow().rebase(versions, text, None, since=1)
    assert apply(versions.text, change) == apply(text, (Edit(len(text) - 2, len(text), "BOBn"),))


@pytest.mark.parametrize("size", [1, MOST + 1])
def test_a_paste_after_a_paste_is_made_from_the_first_one(size):
    """Also when neither is in a version that the writer has seen."""
    versions, shadow = Versions("abc", 1), Shadow()
    versions.add(shadow.rebase(versions, "abc" + "p" * 200, None, since=1), 2)
    shadow.landed(2)
    versions.add((Edit(0, 0, "BOB"),), 3)
    change = shadow.rebase(versions, "abc" + "p" * 200 + "q" * size, None, since=1)
    assert apply(versions.text, change) == "BOBabc" + "p" * 200 + "q" * size


def test_a_save_of_an_unknown_version_is_refused():
    """One that is not kept any more, and one that is not there yet."""
    versions = Versions("a", 5, limit=1)
    versions.add((Edit(0, 0, "b"),), 6)
    versions.add((Edit(0, 0, "c"),), 7)
    for version, word in ((5, "not kept"), (8, "no version 8 yet")):
        with pytest.raises(LookupError, match=word):
            Shadow().rebase(versions, "x", version, since=6)
