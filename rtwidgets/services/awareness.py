"""Awareness: who is in a document right now, and where their cursors are."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from rtwidgets.errors import Refused
from rtwidgets.messages import clock
from rtwidgets.server import Channel, Service
from rtwidgets.services.library import AWARENESS_FIELDS, awareness_of, library_of, presence_of
from rtwidgets.yjs.protocol import MAX_STATE, State

__all__ = ["Awareness", "tell"]

SWEEP_INTERVAL = 3.0
"""Seconds between two looks for those who went without a word."""

_Whole = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]


class _Told(msgspec.Struct):
    """What a client says of itself."""

    client: _Whole
    clock: _Whole
    state: dict[str, Any] | None = None


class Awareness(Service):
    """Channels ``documents/{name}/awareness``: a message whenever somebody's cursor moves, or somebody goes.

    Rows: `client` (its number in Yjs), `clock` (counts its states), `user` (its name, if it says so), `state`
    (what it tells, as y-codemirror.next does: ``{"user": {"name", "color"}, "cursor": …}``; None when it is
    gone) and `time`. Who says nothing for 30 s is gone, as in y-protocols' awareness.
    """

    name = "awareness"
    path = "/documents/{name}/awareness"
    fields = AWARENESS_FIELDS
    durable = False

    async def channel(self, params: Mapping[str, str]) -> Channel:
        """Return the channel of a document's name."""
        return await awareness_of(self.hub, params["name"])

    async def publish(
        self, channel: Channel, data: msgspec.Raw, user: str, idempotency: str | None = None
    ) -> int:
        """Take what a client says of itself.

        Raises
        ------
        Refused
            When it is not ``{"client": …, "clock": …, "state": {…}}``.
        """
        try:
            told = msgspec.json.decode(data, type=_Told)
        except (ValueError, RecursionError) as error:
            raise Refused(
                "bad_message", f'send {{"client": …, "clock": …, "state": {{…}}}}: {error}'
            ) from error
        state = None if told.state is None else msgspec.json.encode(told.state)
        if state is not None and len(state) > MAX_STATE:
            raise Refused("too_large", f"a state has {MAX_STATE} bytes of JSON at the most, not {len(state)}")
        now = asyncio.get_running_loop().time()
        states = presence_of(self.hub, channel).hear([State(told.client, told.clock, state)], now)
        return await tell(channel, states)

    async def run(self) -> None:
        """Notice those who say nothing any more."""
        while True:
            await asyncio.sleep(SWEEP_INTERVAL)
            now = asyncio.get_running_loop().time()
            for channel, presence in list(library_of(self.hub).presences.items()):
                await tell(channel, presence.prune(now))


async def tell(channel: Channel, states: list[State]) -> int:
    """Publish states that have changed; return the channel's last offset."""
    now = clock()
    return await channel.publish_many(
        {
            "client": state.client,
            "clock": state.clock,
            "user": state.user,
            "state": None if state.state is None else msgspec.Raw(state.state),
            "time": now,
        }
        for state in states
    )
