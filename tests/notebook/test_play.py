"""The handles on auctions, games and matches, against a server, in this process."""

import threading
import time

import pandas as pd
import pytest
from ipywidgets.widgets.widget import _instances

from rtwidgets.client import decisions
from rtwidgets.contests import Game, Match
from rtwidgets.errors import Closed, Refused, UsageError
from rtwidgets.loop import lease, take_errors
from rtwidgets.lots import Auction
from rtwidgets.notebook.outside import Outside
from rtwidgets.notebook.places import Places
from rtwidgets.notebook.registry import Registry
from rtwidgets.notebook.servers import Servers
from rtwidgets.notebook.streams import Streams
from rtwidgets.server import Server
from rtwidgets.services import auctions, bidding, decider, ledger
from rtwidgets.services.auctions import Auctions
from rtwidgets.services.games import Games
from rtwidgets.services.scores import Scores
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("tidy")

LAMP = {"title": "Lamp", "start": 100, "increment": 10, "seconds": 3600}


class Kernel:
    """A server on the background loop, and what is opened at it."""

    def __init__(self):
        self.lease = lease()
        self.server = Server([Auctions, Games, Scores], jwt={"secret": "s" * 32})
        self.lease.run(self.server.start())
        self.registry = Registry()
        self.streams = Streams(Places(Servers()), self.registry, Outside())

    def play(self, kind, called, name, token=None):
        where = {"server": self.server.url, "token": token or self.server.token, "ca": None}
        return self.streams.play(kind, called, name=name, **where)

    def auction(self, name, **options):
        return self.play(Auction, "lamp", name, **options)

    def game(self, name):
        return self.play(Game, "table", name)

    def match(self, name):
        return self.play(Match, "final", name)

    def stop(self):
        plays = self.registry.forget()
        for play in plays:
            play.stop()
        self.lease.run(self.server.stop())
        self.lease.release()
        for play in plays:
            if play._widget is not None:
                play._widget.close()


@pytest.fixture
def kernel():
    before = set(_instances)
    kernel = Kernel()
    yield kernel
    kernel.stop()
    assert set(_instances) == before


# Auctions


def test_an_auction_from_the_first_bid_to_the_last(kernel, monkeypatch):
    """What one does is in the standing and the rows when the call returns, and soon in everybody's."""
    now = float(round(time.time() * 1000.0))
    monkeypatch.setattr(auctions, "clock", lambda: now)
    monkeypatch.setattr(auctions, "LOOK_EVERY", 0.01)
    sue, ada, ben = map(kernel.auction, ("sue", "ada", "ben"))
    assert (ada.standing.status, ada.standing.title) == ("not_open", None)
    assert pd.isna(ada.standing.ends)
    sue.open(**LAMP, reserve=150)
    until(lambda: ada.standing.status == "open")
    assert ada.standing.minimum == 100
    ada.bid(120)
    assert ada.standing[2:6] == (120, "ada", 1, 130)
    assert not ada.standing.reserve_met
    ben.bid(150)
    standing = ben.standing
    assert standing.ends == pd.Timestamp(int(now) + 3_600_000, unit="ms", tz="UTC")
    assert (standing.high, standing.bidder, standing.bids, standing.reserve_met) == (150, "ben", 2, True)
    assert list(ben.df["type"]) == ["opened", "bid", "bid"]
    assert list(ben.df["amount"].dropna()) == [120.0, 150.0]
    now += 3_600_000.0
    until(lambda: ada.standing.sold)
    assert ada.standing[1:4] == ("sold", 150, "ben")
    assert ada.df.iloc[-1]["winner"] == "ben"


def test_bids_that_are_refused_say_why(kernel):
    """Too low, one's own lot, no whole number, or not open."""
    sue, ada = kernel.auction("sue"), kernel.auction("ada")
    with pytest.raises(Refused, match="not open"):
        ada.bid(100)
    sue.open(**LAMP)
    for amount, words in ((99, "bid 100 or more"), (1.5, "whole numbers")):
        with pytest.raises(Refused, match=words):
            ada.bid(amount)
    with pytest.raises(Refused, match="you sell this lot"):
        sue.bid(100)
    assert ada.standing.high is None


def test_who_comes_later_sees_the_standing_at_once(kernel):
    """Without waiting, however many rows there were."""

    async def publish():
        channel = await kernel.server.hub.channel("auctions/lamp")
        await channel.publish_many([opened, *bids])

    moments = {"ends": 2e12, "time": 1e12}
    opened = bidding.Opened("Lamp", "sue", 1, 1, extension=10.0, reserve=False, **moments)
    bids = [bidding.Bid("x" * 100, amount, reserve_met=True, **moments) for amount in range(1, 9_000)]
    kernel.lease.run(publish())
    ben = kernel.auction("ben")
    assert ben.standing[2:5] == (8_999, "x" * 100, 8_999)
    assert len(ben.df) == 9_000


def test_a_snapshot_stands_for_the_rows_before_it(kernel, monkeypatch):
    """The log of a long auction begins with one."""
    monkeypatch.setattr(ledger, "KEPT", 5)
    sue, ada = kernel.auction("sue"), kernel.auction("ada")
    sue.open(**LAMP)
    for amount in range(100, 600, 20):
        ada.bid(amount)
    ben = kernel.auction("ben")
    assert ben.df["type"].iloc[0] == "state"
    assert ben.standing == ada.standing
    assert ben.standing.bids == 25
    assert len(ben.rejected) == 0


def test_the_amounts_make_a_chart(kernel):
    """As those of any stream."""
    sue, ada = kernel.auction("sue"), kernel.auction("ada")
    sue.open(**LAMP)
    ada.bid(100)
    chart = ada.chart("amount")
    assert repr(chart).startswith("Chart(")
    chart.close()


def test_the_server_s_clock_is_known(kernel, monkeypatch):
    """To tell how much time is left, though the clock of this machine be wrong."""
    ada = kernel.auction("ada")
    until(lambda: ada._decisions.clock._ahead is not None)
    right = time.time() * 1000.0
    monkeypatch.setattr(decisions.time, "time", lambda: right / 1000.0 - 3600.0)
    assert abs(ada.now() - right) < 3_000.0


def test_the_clock_believes_who_was_the_fastest(monkeypatch):
    """What took long to come says a time that is over; after a break the first word counts."""
    now = 50.0
    monkeypatch.setattr(decisions.time, "monotonic", lambda: now)
    clock = decisions.Clock()
    clock.hear(1_000_000.0)
    assert clock.now() == 1_000_000.0
    now += 1.0
    clock.hear(1_000_400.0)
    assert clock.now() == 1_001_000.0
    clock.hear(1_001_300.0)
    assert clock.now() == 1_001_300.0
    clock.begin()
    clock.hear(5_000.0)
    assert clock.now() == 5_000.0


def test_who_was_there_before_says_nothing_of_the_time(kernel):
    """They are told when one comes, with the time at which they came."""
    first = kernel.auction("ada")
    until(lambda: first.presence["user"].tolist() == ["ada"])
    known = []
    heard = decisions.Clock.hear
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            decisions.Clock, "hear", lambda clock, moment: (known.append(moment), heard(clock, moment))
        )
        second = kernel.play(Auction, "lamp", "ben")
        until(lambda: second.presence["user"].tolist() == ["ada", "ben"])
        until(lambda: len(known) == 2)  # that ben has come, for both
    assert len(set(known)) == 1


# Games


def test_a_game(kernel):
    """Two play, in turns, and a third watches."""
    ada, bob, eve = map(kernel.game, ("ada", "bob", "eve"))
    assert (ada.players, ada.turn, ada.result) == ([None, None], None, None)
    ada.sit()
    bob.sit()
    assert (bob.players, bob.turn) == (["ada", "bob"], "ada")
    with pytest.raises(Refused, match="wait for its move"):
        bob.drop(0)
    with pytest.raises(Refused, match="no seat"):
        eve.drop(0)
    for column in (0, 1, 2):
        ada.drop(column)
        bob.drop(column)
    ada.drop(3)
    assert (ada.turn, ada.result, ada.winner) == (None, "won", "ada")
    assert ada.board == ["......."] * 4 + ["222....", "1111..."]
    until(lambda: eve.winner == "ada")
    assert eve.board == ada.board
    assert list(eve.df["column"].dropna()) == [0, 0, 1, 1, 2, 2, 3]


def test_another_game(kernel):
    """With seats swapped, given up, and over for good when they have left."""
    ada, bob = kernel.game("ada"), kernel.game("bob")
    ada.sit()
    bob.sit()
    ada.resign()
    until(lambda: bob.winner == "bob")
    bob.again()
    until(lambda: ada.players == ["bob", "ada"])
    assert (bob.turn, bob.result) == ("bob", None)
    ada.resign()
    until(lambda: bob.result == "won")
    bob.stand()
    until(lambda: ada.players == [None, "ada"])
    assert ada.winner == "bob"  # who is known though the seat is free


# Matches


def test_a_match(kernel):
    """One reports, and everybody sees the score; what was wrong is taken back."""
    tom, eve = kernel.match("tom"), kernel.match("eve")
    assert eve.standing.phase == "scheduled"
    tom.begin("Ajax", "Benfica")
    tom.score("home", player="Cruyff")
    tom.score("away", 3)
    tom.note("Corner")
    goal = tom.df.query("type == 'scored' and side == 'home'").iloc[0]
    assert goal["player"] == "Cruyff"
    tom.correct(goal["event"])
    with pytest.raises(Refused, match="alone reports"):
        eve.score("home")
    tom.end()
    until(lambda: eve.standing.phase == "ended")
    assert eve.standing[:6] == ("ended", "Ajax", "Benfica", 0, 3, "tom")
    assert abs(eve.standing.began.timestamp() - decider.clock() / 1000.0) < 60.0
    assert list(eve.df["type"]) == ["begun", "scored", "scored", "noted", "corrected", "ended"]


# What they have in common


def test_as_text_they_are_short(kernel):
    """And the same on each run; asking again under the same name gives the same one."""
    ada = kernel.auction("ada")
    assert repr(ada) == "Auction('auctions/lamp as ada')"
    assert repr(kernel.game("ada")) == "Game('games/table as ada')"
    assert repr(kernel.match("ada")) == "Match('scores/final as ada')"
    assert kernel.auction("ada") is ada
    assert kernel.auction("ben") is not ada
    with pytest.raises(UsageError, match="1 to 100 characters"):
        kernel.auction("")


def test_who_may_only_watch_is_told(kernel):
    """By a token that does not allow to publish."""
    scopes = ["subscribe:auctions/*", "presence:auctions/*"]
    token = kernel.server.hub.tokens.issue("eve", scopes=scopes, lifetime=600)
    eve = kernel.auction("eve", token=token)
    assert not eve.writable
    with pytest.raises(Refused, match="does not allow to publish"):
        eve.bid(100)


def test_another_epoch_begins_anew(kernel):
    """What a server in memory has lost is gone from the standing, and its clock is heard anew."""
    sue = kernel.auction("sue")
    sue.open(**LAMP)
    sue._decisions.clock._ahead += 1e9
    port, token = kernel.server.port, kernel.server.token
    kernel.lease.run(kernel.server.stop())
    kernel.server = Server([Auctions], port=port, token=token)
    kernel.lease.run(kernel.server.start())
    until(lambda: sue.standing.status == "not_open")
    sue.open(**LAMP | {"title": "Vase"})
    assert sue.standing.title == "Vase"
    assert abs(sue.now() - time.time() * 1000.0) < 10_000.0


def test_a_row_that_is_not_of_ours_is_told_of(kernel):
    """And those after it are read all the same."""
    sue = kernel.auction("sue")

    async def publish():
        channel = await kernel.server.hub.channel("auctions/lamp")
        await channel.publish({"type": "of a later version", "time": 0.0})

    kernel.lease.run(publish())
    sue.open(**LAMP)
    assert sue.standing.status == "open"
    errors = take_errors()
    assert [where for where, _ in errors] == ["message 1 of auctions/lamp"] * len(errors)
    assert errors


# The widget, without a page


def test_the_widget_follows_the_standing(kernel):
    """It is one until it is closed, and the handle shows as it, with its own text."""
    ada, bob = kernel.game("ada"), kernel.game("bob")
    panel = ada.widget()
    assert ada.widget() is panel
    assert repr(panel) == "BoardPanel('table')"
    bundle = ada._repr_mimebundle_(include=None, exclude=None)
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert data["text/plain"] == "Game('games/table as ada')"
    ada.sit()
    bob.sit()
    ada.drop(3)
    until(lambda: panel.picture["board"][-1] == "...1...")
    assert (panel.picture["last"], panel.picture["turn"], panel.picture["names"]) == (
        [5, 3],
        2,
        ["ada", "bob"],
    )
    panel.close()
    assert ada.widget() is not panel


def test_a_page_asks_and_is_answered(kernel, monkeypatch):
    """What it asks for is done, or it is told why not; after that it hears the picture with it."""
    sue, ada = kernel.auction("sue"), kernel.auction("ada")
    sue.open(**LAMP)
    until(lambda: ada.standing.status == "open")
    panel, sent = ada.widget(), []
    monkeypatch.setattr(
        panel, "send", lambda content, buffers=None: sent.append((content, panel.picture["amount"]))
    )
    panel._handle_custom_msg({"do": {"type": "bid", "amount": 99}, "key": "a"}, [])
    until(lambda: sent)
    panel._handle_custom_msg({"do": {"type": "bid", "amount": 100}, "key": "b"}, [])
    panel._handle_custom_msg({"do": {"type": "bid", "amount": 100}, "key": "b"}, [])  # said again: done once
    until(lambda: sum(len(content["answers"]) for content, _ in sent) == 3)
    (first, amount), *others = sent
    assert first == {"answers": [("a", "this bid is too low: bid 100 or more")]}
    assert amount is None
    assert {key_reason for content, _ in others for key_reason in content["answers"]} == {("b", "")}
    assert {amount for _, amount in others} == {100}
    assert ada.standing.bids == 1


def test_a_page_is_sent_what_it_needs_and_the_clock(kernel):
    """The newest bids of many; the time is that of the moment."""
    sue, ada = kernel.auction("sue"), kernel.auction("ada")
    sue.open(**LAMP)
    for amount in range(100, 600, 20):
        ada.bid(amount)
    panel = sue.widget()
    state = panel.get_state()
    assert [bid[:2] for bid in state["picture"]["bids"]] == [["ada", 300 + 20 * n] for n in range(15)]
    assert state["picture"]["count"] == 25
    assert abs(state["now"] - time.time() * 1000.0) < 5_000.0
    assert panel.get_state("now")["now"] >= state["now"]


def test_stopping_leaves_nothing(kernel):
    """The widget shows what was, and takes no part; closing it takes it away with all that it made."""
    before, threads = set(_instances), threading.active_count()
    ada = kernel.match("ada")
    panel = ada.widget()
    ada.begin("Ajax", "Benfica")
    ada.stop("it was enough")
    ada.stop()
    assert (panel.stopped, panel.state, panel.reason) == (True, "closed", "stopped: it was enough")
    assert panel.picture["home"] == "Ajax"
    with pytest.raises(Closed):
        ada.score("home")
    answers = []
    ada.ask({"type": "end"}, "key", answers.append)
    assert "stopped" in answers[0]
    panel.close()
    panel.close()
    assert set(_instances) == before
    assert threading.active_count() == threads
    late = ada.widget()
    assert (late.stopped, late.picture["home"]) == (True, "Ajax")
    late.close()
