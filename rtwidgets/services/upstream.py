"""Another service's channel, as a service reads it: in its own server, or in another process."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator
from typing import NamedTuple

import msgspec

from rtwidgets.client import Link, Multiplex, Subscription
from rtwidgets.client.backoff import Backoff
from rtwidgets.errors import ConnectError, Refused
from rtwidgets.loop import Bell, report
from rtwidgets.messages import Cursor, Joined, Latest, Left, Messages, Subscribed
from rtwidgets.server import Hub

__all__ = ["Batch", "follow"]


class Batch(NamedTuple):
    """Contiguous messages of a channel.

    Attributes
    ----------
    cursor
        Where to go on after them.
    pieces
        Their encoded data.
    """

    cursor: Cursor
    pieces: list[bytes]


def follow(hub: Hub, channel: str, url: str | None, after: Cursor | None) -> AsyncGenerator[Batch]:
    """Read a channel of decisions from a cursor on, for ever, each message once.

    A server that is not there is waited for, and so is one that is gone.

    Parameters
    ----------
    hub
        This server's channels.
    channel
        Its name.
    url
        The server that has it, which takes this server's token; this one when None.
    after
        Where to begin; at the beginning when None, and where the channel has begun anew meanwhile, which is
        seen by the epoch.
    """
    return _here(hub, channel, after) if url is None else _there(url, hub.token, channel, after)


async def _here(hub: Hub, name: str, after: Cursor | None) -> AsyncGenerator[Batch]:
    channel = await hub.channel(name, compacted=True)
    log = channel.log
    place = after.offset if after is not None and after.epoch == log.epoch else 0
    while True:
        await channel.grown(place)
        run = log.read(place)
        place = run.offset + len(run.pieces) - 1
        yield Batch(Cursor(log.epoch, place), run.pieces)


async def _there(url: str, token: str | None, channel: str, after: Cursor | None) -> AsyncGenerator[Batch]:
    reader = _Reader(channel, after)
    backoff = Backoff()
    told = False
    while True:
        multiplex = Multiplex(url, token)
        reader.link = multiplex.link
        multiplex.link.ended.add_done_callback(lambda _: reader.bell.ring())
        try:
            await multiplex.subscribe(reader)
            told = False
            while not reader.over:
                await reader.bell.wait(lambda: bool(reader.batches) or reader.over)
                while reader.batches:
                    yield reader.batches.popleft()
        except (ConnectError, Refused) as error:
            if not told:  # and not at each attempt
                report(f"reading {channel} of {multiplex.link.shown}", error)
            told = True
        finally:
            await multiplex.close()
        await asyncio.sleep(backoff.lost(time.monotonic()))


class _Reader:
    """Takes in the runs of a channel."""

    def __init__(self, channel: str, after: Cursor | None) -> None:
        self.subscription = Subscription(channel, after=after)
        self.batches: deque[Batch] = deque()
        self.bell = Bell()
        self.link: Link | None = None

    @property
    def over(self) -> bool:
        """Whether its link has ended for good."""
        return self.link is not None and self.link.ended.done()

    def opened(self, answer: Subscribed) -> None:
        """Take the server's answer."""

    def read(self, run: Messages, known: int) -> None:
        """Take a run."""
        pieces = msgspec.json.decode(run.data, type=list[msgspec.Raw])[known:]
        cursor = Cursor(run.epoch, run.offset + run.count - 1)
        self.batches.append(Batch(cursor, [bytes(piece) for piece in pieces]))
        self.bell.ring()

    def read_latest(self, latest: Latest) -> None:
        """Take nothing: where something is missing, the oldest message of such a channel stands for it."""

    def event(self, event: Joined | Left) -> None:
        """Take nothing: who is present is of no interest."""
