"""Connections to feeds that are known by name."""

from __future__ import annotations

from typing import Any

from rtwidgets.client import ForeignSource, Source
from rtwidgets.client.books import BookIntake
from rtwidgets.client.feeds import Preset
from rtwidgets.client.kinds import Kinds, KindSource
from rtwidgets.kinds import Feed, stream_of
from rtwidgets.notebook.feeds import Options
from rtwidgets.notebook.outside import Asked, Outside
from rtwidgets.notebook.places import Places
from rtwidgets.notebook.registry import Registry, Wanted
from rtwidgets.stream import Stream

__all__ = ["FeedOpener"]


class FeedOpener:
    """Opens feeds.

    Parameters
    ----------
    registry
        Knows what runs.
    outside
        Opens URLs.
    places
        Knows which of them are ours.
    """

    def __init__(self, registry: Registry, outside: Outside, places: Places) -> None:
        self._registry = registry
        self._outside = outside
        self._places = places

    def open_stream(self, preset: Preset, symbols: tuple[str, ...], kind: str, options: Options) -> Stream:
        """Return a stream of one kind, on a connection of its own."""
        called = options.name or f"{preset.name} {kind}"
        wanted = Wanted(
            stream_of, options.name or (preset.name, kind, symbols), called, (preset, symbols, kind, options)
        )

        async def open_one() -> Source:
            kinds = preset.sorter([kind], options.max_rows, options.max_age)
            shared = await self._connect(preset, symbols, (kind,), options, kinds, alone=True)
            return KindSource(shared, kinds, kind, alone=True)

        return self._registry.open(wanted, open_one)

    def open_feed(
        self, preset: Preset, symbols: tuple[str, ...], kinds: tuple[str, ...], options: Options
    ) -> Feed:
        """Return several kinds on one connection."""
        wanted = Wanted(
            Feed,
            options.name or (preset.name, kinds, symbols),
            options.name or preset.name,
            (preset, symbols, kinds, options),
        )
        sorter = preset.sorter(kinds, options.max_rows, options.max_age)
        return self._registry.open(wanted, lambda: self._connect(preset, symbols, kinds, options, sorter))

    async def _connect(
        self,
        preset: Preset,
        symbols: tuple[str, ...],
        kinds: tuple[str, ...],
        options: Options,
        sorter: Kinds,
        *,
        alone: bool = False,
    ) -> Source:
        url = options.url or preset.address(symbols)
        about: dict[str, Any] = {"feed": preset.name, "kinds": kinds, "alone": alone}
        asked = Asked(
            url=url,
            subscribe=preset.messages(symbols, kinds),
            keepalive=preset.keepalive,
            about=about,
            ours=self._places.ours(url),
        )
        source = await self._outside.open(asked, sorter, fallback=options.fallback)
        if isinstance(source, ForeignSource):
            for taking in map(sorter.taking, kinds):
                if isinstance(taking, BookIntake):
                    taking.resync = source.renew
        return source
