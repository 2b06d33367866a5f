"""Feeds that are known by name: one small file each, which is imported when its feed is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping

from rtwidgets.client.feeds.model import MessageKind, Preset

__all__ = ["BUILT_IN", "MessageKind", "Preset"]

_NAMES = ("binance", "bitstamp", "bluesky", "coinbase", "kraken", "kraken_v1")


class _Presets(Mapping[str, Preset]):
    def __getitem__(self, name: str) -> Preset:
        if name not in _NAMES:
            raise KeyError(name)
        preset: Preset = importlib.import_module(f"{__name__}.{name}").PRESET
        return preset

    def __contains__(self, name: object) -> bool:
        return name in _NAMES

    def __iter__(self) -> Iterator[str]:
        return iter(_NAMES)

    def __len__(self) -> int:
        return len(_NAMES)


BUILT_IN: Mapping[str, Preset] = _Presets()
"""Those that come with the package, by name."""
