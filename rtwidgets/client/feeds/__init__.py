"""Feeds that are known by name: one small file each."""

from rtwidgets.client.feeds import binance, bitstamp, bluesky, coinbase, kraken, kraken_v1
from rtwidgets.client.feeds.model import MessageKind, Preset

__all__ = ["BUILT_IN", "MessageKind", "Preset"]

BUILT_IN: dict[str, Preset] = {
    module.PRESET.name: module.PRESET for module in (binance, bitstamp, bluesky, coinbase, kraken, kraken_v1)
}
"""Those that come with the package, by name."""
