"""What a client has on its screen that sends whole texts, and what such a save means."""

from __future__ import annotations

from rtwidgets.yjs.difference import MOST, difference, distance, span
from rtwidgets.yjs.edits import Change, carry
from rtwidgets.yjs.versions import Versions

__all__ = ["Shadow"]

GUESSES = 16
"""Versions, the newest ones, that a save without a version may have been made from."""
BRIDGE = 1_000
"""Changes of others that a save is carried over at the most: by then its writer has seen some of them."""


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
        self._text: str | None = None  # the last save, where a save after it may have been made from it
        self._base = 0  # the version under it
        self._landed: int | None = None  # the version that has it
        self._bridge: list[Change] = []  # what others have done since, as it is done to it
        self._own: Change = ()  # what of it is not in a version yet, as it is done after the bridge
        self._upto = 0  # the version that the bridge leads to
        self._before = self._state()

    def _state(self) -> tuple[str | None, int, int | None, list[Change], Change, int]:
        return self._text, self._base, self._landed, self._bridge, self._own, self._upto

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
            from which `text` differs the least, in characters, of those from `since` on.
        since
            The newest version that it has surely seen.

        Raises
        ------
        LookupError
            When `version` is not kept any more, or not there yet.
        """
        self._extend(versions)
        self._before = self._state()
        if version is None:
            version = self._guess(versions, text, since)
        elif version <= self._base and self._text is not None:
            version = None
        if version is None:
            assert self._text is not None
            change, bridge = difference(self._text, text), self._bridge
        else:
            change, bridge = difference(versions.at(version), text), _changes(versions, version)
            self._base = version
        self._text, self._landed, self._bridge = text, None, []
        for theirs in bridge:
            self._bridge.append(carry(theirs, change, first=True))
            change = carry(change, theirs)
        self._own, self._upto = change, versions.version
        return change

    def landed(self, version: int) -> None:
        """Take note of the version that has the last save."""
        self._landed = version

    def refused(self) -> None:
        """Take note that the last save was not taken: the one before it counts again."""
        self._text, self._base, self._landed, self._bridge, self._own, self._upto = self._before

    def forget(self) -> None:
        """Take note that the writer has seen versions newer than its last save."""
        self._text = None

    def _extend(self, versions: Versions) -> None:
        """Lead the bridge on to the newest version."""
        if self._text is None:
            return
        if self._upto < versions.oldest or len(self._bridge) > BRIDGE:
            self._text = None
            return
        for version, theirs in versions.steps(self._upto):
            if version == self._landed:
                self._own = ()
                continue
            self._bridge.append(carry(theirs, self._own, first=True))
            self._own = carry(self._own, theirs)
        self._upto = versions.version

    def _guess(self, versions: Versions, text: str, since: int) -> int | None:
        """Return the version that a save was made from, None for the writer's own last save."""
        since = max(since, versions.oldest)
        choice = sorted({since, *[version for version, _ in versions.steps(since)][-GUESSES:]}, reverse=True)
        best, least = choice[0], MOST + 1
        for version in choice:
            size = distance(versions.at(version), text, least - 1)
            if size < least:
                best, least = version, size
        if self._text is not None and distance(self._text, text, least - 1) < least:
            return None
        if least <= MOST:
            return best
        # All are far from it, as when a lot was pasted: what was pasted is in one place, mostly.
        spans = {version: span(versions.at(version), text) for version in choice}
        best = min(choice, key=spans.__getitem__)  # the newer one of equals
        return None if self._text is not None and span(self._text, text) < spans[best] else best


def _changes(versions: Versions, after: int) -> list[Change]:
    return [change for _, change in versions.steps(after)]
