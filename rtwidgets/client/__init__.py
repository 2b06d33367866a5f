"""The client wing: links, subscriptions, backoff, records. Floor 3: knows messages and frames."""

from rtwidgets.client.foreign import Foreign
from rtwidgets.client.link import Change, Link, State
from rtwidgets.client.multiplex import Multiplex, Reader
from rtwidgets.client.records import Intake, Records, Taking
from rtwidgets.client.source import ChannelReader, ChannelSource, ForeignSource, Source
from rtwidgets.client.subscription import Missing, Subscription
from rtwidgets.client.token import AskForToken
from rtwidgets.client.trust import pinned, trusting

__all__ = [
    "AskForToken",
    "Change",
    "ChannelReader",
    "ChannelSource",
    "Foreign",
    "ForeignSource",
    "Intake",
    "Link",
    "Missing",
    "Multiplex",
    "Reader",
    "Records",
    "Source",
    "State",
    "Subscription",
    "Taking",
    "pinned",
    "trusting",
]
