"""Who is there in a document: the table that y-protocols' class ``Awareness`` keeps, without its timers.

Each client states its own entry and counts up its clock; the newer clock wins, so that tables that have heard
the same entries are equal, in whatever order they came. Source of the rules (release 1.0.7):
https://github.com/yjs/y-protocols/blob/v1.0.7/awareness.js, ``applyAwarenessUpdate`` and
``removeAwarenessStates``.
"""

from __future__ import annotations

from collections.abc import Iterable

from rtwidgets.yjs.protocol import State

__all__ = ["MAX_CLIENTS", "OUTDATED", "REMEMBERED", "Presence"]

OUTDATED = 30.0
"""Seconds after which a client that has not renewed its entry is gone; it renews after half of that."""

REMEMBERED = 2 * OUTDATED
"""Seconds for which the clock of a client that is gone is kept. Nobody passes its entry on for longer than
`OUTDATED`, when it has heard of it last; as much again is for one who heard of it from such a one."""

MAX_CLIENTS = 1_000
"""Clients that are known at a time, there or gone."""


class Presence:
    """The awareness of one document: states of clients, and when each was heard of last.

    It has no entry of its own: its owner tells it, through `hear`, of its own state too, and states it again
    with a newer clock when another one says that it is gone.

    Attributes
    ----------
    states
        The last entry of each client that is there, by client id.
    """

    states: dict[int, State]

    def __init__(self) -> None:
        self.states = {}
        self._heard: dict[int, float] = {}  # of those that are there
        self._gone: dict[int, tuple[int, float]] = {}  # clock, and since when: longest gone in front

    def hear(self, states: Iterable[State], now: float) -> list[State]:
        """Take in the entries of an awareness message.

        An entry is applied when its clock is newer than the known one (0 for an unknown client), or the same
        and it says that a client that is there is gone. A client beyond `MAX_CLIENTS` is not taken in.

        Parameters
        ----------
        states
            Entries, as they came.
        now
            Seconds of any steady clock, the same one in each call.

        Returns
        -------
        list of State
            What was applied and others should hear of, in the order given: renewals too, but not that an
            unknown client is gone.
        """
        return [entry for entry in states if self._apply(entry, now)]

    def prune(self, now: float) -> list[State]:
        """Take out those who have not renewed their entry for `OUTDATED` seconds.

        Returns
        -------
        list of State
            That they are gone, for the others, as from `remove`.
        """
        for client, (_, since) in list(self._gone.items()):
            if now - since < REMEMBERED:
                break
            del self._gone[client]
        return self.remove([client for client, heard in self._heard.items() if now - heard >= OUTDATED], now)

    def remove(self, clients: Iterable[int], now: float) -> list[State]:
        """Take out clients whose connection has ended.

        Returns
        -------
        list of State
            That they are gone, for the others: with the clock that they had, which is enough for an entry
            without a state, and leaves the next clock to the client itself.
        """
        gone = [self.states[client]._replace(state=None) for client in clients if client in self.states]
        return self.hear(gone, now)

    def _apply(self, entry: State, now: float) -> bool:
        client, clock, state = entry
        there = self.states.get(client)
        known = there is not None or client in self._gone
        current = there.clock if there else self._gone.get(client, (0, 0.0))[0]
        if clock < current or (clock == current and (there is None or state is not None)):
            return False
        if not known and not self._make_room(for_state=state is not None):
            return False
        self._forget(client)
        if state is None:
            self._gone[client] = (clock, now)
            return known
        self.states[client] = entry
        self._heard[client] = now
        return True

    def _forget(self, client: int) -> None:
        self.states.pop(client, None)
        self._heard.pop(client, None)
        self._gone.pop(client, None)

    def _make_room(self, *, for_state: bool) -> bool:
        """Whether one more client may be known; one that is there displaces the one longest gone."""
        if len(self.states) + len(self._gone) < MAX_CLIENTS:
            return True
        if not for_state or not self._gone:
            return False
        del self._gone[next(iter(self._gone))]
        return True
