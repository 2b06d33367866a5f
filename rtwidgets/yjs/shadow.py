"""What a client has on its screen that sends whole texts, and what such a save means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import nsmallest
from itertools import chain

from rtwidgets.yjs.difference import MOST, difference, distance, span
from rtwidgets.yjs.edits import Change, carry
from rtwidgets.yjs.versions import Versions

__all__ = ["Shadow"]

CLOSE = 16
"""Versions that a save which does not say its own is compared with character by character."""
BRIDGE = 1_000
"""Changes of others that a save is carried over at the most: by then its writer has seen some of them."""


@dataclass(slots=True)
class _Save:
    """A writer's last save, and what has been done since."""

    text: str
    base: int
    """The version under it."""
    own: Change
    """What of it is not in a version yet, as it is done after the bridge."""
    upto: int
    """The version that the bridge leads to."""
    bridge: list[Change] = field(default_factory=list)
    """What others have done since, as it is done to the text."""
    landed: int | None = None
    """The version that has it."""


class Shadow:
    """The text that one writer of whole texts works on.

    A save says what its writer wants the text to be, and knows nothing of what others wrote since the
    writer's screen was last brought up to date. So it is compared with what was on that screen: a version of
    the document, or the writer's own last save as long as no later version has come. What differs is carried
    over to the newest version, over all that others have done since (operational transformation on one
    server, as in Nichols et al., "High-latency, low-bandwidth windowing in the Jupiter collaboration system",
    1995). A replica of the whole document for each writer would do the same, at the price of its memory.
    """

    def __init__(self) -> None:
        self._save: _Save | None = None  # where a save after it may have been made from it
        self._before: _Save | None = None

    def rebase(self, versions: Versions, text: str, version: int | None, *, since: int) -> Change:
        """Return what a save changes in the newest version.

        Parameters
        ----------
        versions
            The document's.
        text
            The whole text that is saved.
        version
            The newest version that the writer had seen, if it says so. When None, it is taken to be that
            from which `text` differs the least, in characters, of those from `since` on (of the 16 where
            the part that differs is the shortest).
        since
            The newest version that it has surely seen.

        Raises
        ------
        LookupError
            When `version` is not kept any more, or not there yet.
        """
        self._extend(versions)
        save = self._before = self._save
        if version is None:
            version = self._guess(versions, text, since)
        elif save is not None and version <= save.base:
            version = None
        if version is None:
            assert save is not None
            base, bridge, change = save.base, save.bridge, difference(save.text, text)
        else:
            base, bridge = version, [theirs for _, theirs in versions.steps(version)]
            change = difference(versions.at(version), text)
        carried = []
        for theirs in bridge:
            carried.append(carry(theirs, change, first=True))
            change = carry(change, theirs)
        self._save = _Save(text, base, change, versions.version, carried)
        return change

    def landed(self, version: int) -> None:
        """Take note of the version that has the last save."""
        assert self._save is not None
        self._save.landed = version

    def refused(self) -> None:
        """Take note that the last save was not taken: the one before it counts again."""
        self._save = self._before

    def _extend(self, versions: Versions) -> None:
        """Lead the bridge on to the newest version."""
        save = self._save
        if save is None:
            return
        if save.upto < versions.oldest or len(save.bridge) > BRIDGE:
            self._save = None
            return
        for version, theirs in versions.steps(save.upto):
            if version == save.landed:
                save.own = ()
                continue
            save.bridge.append(carry(theirs, save.own, first=True))
            save.own = carry(save.own, theirs)
        save.upto = versions.version

    def _guess(self, versions: Versions, text: str, since: int) -> int | None:
        """Return the version that a save was made from, None for the writer's own last save."""
        since = max(since, versions.oldest)
        texts: Iterator[tuple[int | None, str]] = versions.back_to(since)
        if self._save is not None:
            texts = chain(texts, [(None, self._save.text)])
        # Most saves change one place: the texts that differ in the shortest part are looked at closely.
        near = nsmallest(CLOSE, enumerate(texts), key=lambda each: span(each[1][1], text))
        best, least = near[0][1][0], MOST + 1
        for _, (version, candidate) in sorted(near):  # the newest one first: of equals, it is taken
            size = distance(candidate, text, least - 1)
            if size < least:
                best, least = version, size
        return best
