"""Auctions, games and matches, as functions of `import rtwidgets as rt`."""

from __future__ import annotations

from rtwidgets.client import AskForToken
from rtwidgets.contests import Game, Match
from rtwidgets.lots import Auction
from rtwidgets.notebook.running import running
from rtwidgets.notebook.servers import RunningServer

__all__ = ["auction", "game", "match"]


def auction(
    lot: str,
    *,
    name: str,
    server: str | RunningServer | None = None,
    token: str | AskForToken | None = None,
    ca: str | None = None,
) -> Auction:
    """Go to the auction of a lot under a name, to sell, to bid or to watch; raises as `connect` does.

    Parameters
    ----------
    lot
        The channel is ``auctions/`` and this.
    name
        Yours, 1 to 100 characters: the others see it. Where a token names its user, that one.
    server, token, ca
        As for `connect`.

    Returns
    -------
    Auction
        With ``.open(…)``, ``.bid(amount)``, ``.standing`` and ``.df``. In a notebook it shows as a widget.
    """
    return running.streams.play(Auction, lot, name=name, server=server, token=token, ca=ca)


def game(
    table: str,
    *,
    name: str,
    server: str | RunningServer | None = None,
    token: str | AskForToken | None = None,
    ca: str | None = None,
) -> Game:
    """Go to a table for connect four under a name, to play or to watch; raises as `connect` does.

    Parameters
    ----------
    table
        The channel is ``games/`` and this.
    name, server, token, ca
        As for `auction`.

    Returns
    -------
    Game
        With ``.sit()``, ``.drop(column)``, ``.board`` and ``.df``. In a notebook it shows as a widget.
    """
    return running.streams.play(Game, table, name=name, server=server, token=token, ca=ca)


def match(
    title: str,
    *,
    name: str,
    server: str | RunningServer | None = None,
    token: str | AskForToken | None = None,
    ca: str | None = None,
) -> Match:
    """Go to a match under a name, to report on it or to watch; raises as `connect` does.

    Parameters
    ----------
    title
        The channel is ``scores/`` and this.
    name, server, token, ca
        As for `auction`.

    Returns
    -------
    Match
        With ``.begin(home, away)``, ``.score(side)``, ``.standing`` and ``.df``. In a notebook it shows as a
        widget.
    """
    return running.streams.play(Match, title, name=name, server=server, token=token, ca=ca)
