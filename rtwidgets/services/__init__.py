"""The systems that a server offers, one small file each. Floor 5: built on the server wing."""

from __future__ import annotations

from collections.abc import Iterable

from rtwidgets.errors import UsageError
from rtwidgets.server import Service
from rtwidgets.services.accounts import Accounts
from rtwidgets.services.auctions import Auctions
from rtwidgets.services.chat import Chat
from rtwidgets.services.documents import Documents
from rtwidgets.services.echo import Echo, RawEcho
from rtwidgets.services.games import Games
from rtwidgets.services.inventory import Inventory
from rtwidgets.services.orders import Orders
from rtwidgets.services.prices import Prices
from rtwidgets.services.scores import Scores
from rtwidgets.services.user import UserService, service

__all__ = [
    "BUILT_IN",
    "Accounts",
    "Auctions",
    "Chat",
    "Documents",
    "Echo",
    "Games",
    "Inventory",
    "Orders",
    "Prices",
    "RawEcho",
    "Scores",
    "UserService",
    "choose",
    "service",
]

BUILT_IN: dict[str, type[Service]] = {
    kind.name: kind
    for kind in (
        Echo,
        RawEcho,
        Prices,
        Chat,
        Accounts,
        Documents,
        Orders,
        Inventory,
        Auctions,
        Scores,
        Games,
    )
}
"""The services that come with the package, by name."""


def choose(names: Iterable[str] | None) -> list[type[Service]]:
    """Return the built-in services of some names, or all of them for None.

    Raises
    ------
    UsageError
        When there is no service of a name.
    """
    if names is None:
        names = BUILT_IN
    if isinstance(names, str):
        names = [names]
    names = list(names)
    if unknown := [name for name in names if name not in BUILT_IN]:
        raise UsageError(
            f"there is no service {', '.join(map(repr, unknown))}; there is: {', '.join(BUILT_IN)}"
        )
    return [BUILT_IN[name] for name in names]
