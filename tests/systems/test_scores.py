"""Live scores, as who reports them and those who watch see them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json

import pytest

from rtwidgets.messages import Cursor
from rtwidgets.server import Server
from rtwidgets.services.scores import Scores
from rtwidgets.testing import FaultProxy
from tests.systems.clients import DIALECTS, V1, Plain
from tests.talking import eventually

pytestmark = pytest.mark.usefixtures("tidy")

CHANNEL = "scores/final"
BEGIN, END = {"type": "begin", "home": "Lions", "away": "Bears"}, {"type": "end"}
HOME, AWAY = {"type": "score", "side": "home"}, {"type": "score", "side": "away", "points": 3}

numbers = itertools.count(1)

dialects = pytest.mark.parametrize("dialect", DIALECTS)


async def log_of(server):
    """Return the channel's rows."""
    channel = await server.hub.channel(CHANNEL)
    return [json.loads(piece) for piece in channel.log.read(0).pieces]


async def report(client, message, kind, key=None):
    """Report something that is taken; return the row that comes of it."""
    key = key or f"request {next(numbers)}"
    await client.say(message, key)
    while (row := await client.row(kind)).get("id") != key:
        pass
    return row


def standing(row):
    return row["home_points"], row["away_points"]


@dialects
async def test_a_match_is_reported_and_everybody_watches(dialect):
    """Those who watch see the same rows in either dialect, each with the standing after it."""
    async with (
        Server([Scores]) as server,
        Plain.join(server, CHANNEL) as eve,
        V1.join(server, CHANNEL) as dan,
        dialect.join(server, CHANNEL, "ada") as ada,
    ):
        assert eve.state["phase"] == "scheduled"
        assert standing(await report(ada, BEGIN, "begun")) == (0, 0)
        assert standing(await report(ada, HOME | {"player": "Lee"}, "scored")) == (1, 0)
        assert standing(await report(ada, AWAY, "scored")) == (1, 3)
        assert (await report(ada, {"type": "note", "text": "rain"}, "noted"))["text"] == "rain"
        assert standing(await report(ada, END, "ended")) == (1, 3)
        rows = await log_of(server)
        for client in (eve, dan, ada):
            await eventually(lambda client=client: len(client.rows) == 5)
            assert client.rows == rows
        assert {row["user"] for row in rows} == {"ada"}
        for earlier, later in itertools.pairwise(rows):
            assert earlier["time"] <= later["time"]
            assert earlier["elapsed"] <= later["elapsed"]


@dialects
async def test_a_wrong_score_is_taken_back(dialect):
    """By the event of its row, which is its offset, once; the standing is that of the others."""
    async with (
        Server([Scores]) as server,
        dialect.join(server, CHANNEL, "ada") as ada,
        Plain.join(server, CHANNEL) as eve,
    ):
        await report(ada, BEGIN, "begun")
        wrong = await report(ada, AWAY, "scored")
        await report(ada, HOME, "scored")
        row = await report(ada, {"type": "correct", "event": wrong["event"]}, "corrected")
        assert standing(row) == (1, 0)
        assert (row["corrects"], row["side"], row["points"]) == (wrong["event"], "away", 3)
        await ada.say({"type": "correct", "event": wrong["event"]})
        assert (await ada.refusal())["code"] == "no_such_event"
        assert standing(await report(ada, HOME, "scored")) == (2, 0)
        await eventually(lambda: len(eve.rows) == 5)
        assert [standing(row) for row in eve.rows] == [(0, 0), (0, 3), (1, 3), (1, 0), (2, 0)]
        async with Plain.join(server, CHANNEL) as late:
            assert standing(late.state) == (2, 0)
            assert [row["event"] for row in late.state["scores"]] == [3, 5]


@dialects
async def test_what_may_not_be_reported(dialect):
    """It is refused with a code, who reports is told why, and nobody else sees any of it."""

    async def refused(client, message, code):
        await client.say(message)
        refusal = await client.refusal()
        assert refusal["code"] == code
        assert len(refusal["message"]) > 10

    async with (
        Server([Scores]) as server,
        dialect.join(server, CHANNEL, "ada") as ada,
        dialect.join(server, CHANNEL, "bob") as bob,
        dialect.join(server, CHANNEL) as guest,
    ):
        await refused(ada, HOME, "not_begun")
        await refused(guest, BEGIN, "no_name")
        await refused(ada, {"type": "begin"}, "bad_message")
        await report(ada, BEGIN, "begun")
        await refused(ada, BEGIN, "begun")
        await refused(bob, BEGIN, "begun")
        await refused(bob, HOME, "not_reporter")
        await refused(bob, END, "not_reporter")
        await refused(ada, {"type": "correct", "event": 1}, "no_such_event")
        await report(ada, END, "ended")
        await refused(ada, HOME, "ended")
        await refused(ada, BEGIN, "ended")
        await eventually(lambda: len(guest.rows) == 2)
        assert len(await log_of(server)) == 2


async def test_what_a_plain_client_is_sent_first():
    """The teams, the phase, the standing, the scores and the last events; then what comes after that."""
    async with Server([Scores]) as server, Plain.join(server, CHANNEL, "ada") as ada:
        await report(ada, BEGIN, "begun")
        for _ in range(12):
            await report(ada, HOME, "scored")
            await report(ada, {"type": "note", "text": "x"}, "noted")
        async with Plain.join(server, CHANNEL) as late:
            rows = await log_of(server)
            assert late.state.pop("now") >= rows[-1]["time"]
            assert late.state == {
                "type": "state", "event": 25, "time": rows[-1]["time"], "phase": "live", "home": "Lions",
                "away": "Bears", "home_points": 12, "away_points": 0, "reporter": "ada",
                "began": rows[0]["time"], "scores": rows[1::2], "events": rows[-20:],
            }  # fmt: skip
            row = await report(ada, AWAY, "scored")
            await eventually(lambda: late.rows)
            assert late.rows == [row]


@dialects
async def test_a_reporter_who_is_cut_off_goes_on(dialect):
    """A score whose answer was lost is sent again, and counts once."""
    async with (
        Server([Scores]) as server,
        FaultProxy("127.0.0.1", server.port) as proxy,
        Plain.join(server, CHANNEL) as eve,
    ):
        async with dialect.join(server, CHANNEL, "ada", through=proxy) as ada:
            await report(ada, BEGIN, "begun")
            proxy.cut_after(1)  # byte of the answer
            await ada.say(HOME, "one")
            await eventually(lambda: proxy.connections == 0)
            assert len(ada.rows) == 1
        await eventually(lambda: len(eve.rows) == 2)  # it has landed, but ada cannot know
        back = {"after": ada.cursor} if dialect is V1 else {}
        async with dialect.join(server, CHANNEL, "ada", through=proxy, **back) as ada:
            await ada.say(HOME, "one")
            assert standing(await report(ada, HOME, "scored", "two")) == (2, 0)
        rows = await log_of(server)
        assert [row.get("id") for row in rows[1:]] == ["one", "two"]
        await eventually(lambda: len(eve.rows) == 3)
        assert eve.rows == rows


@dialects
async def test_a_match_outlasts_the_server(dialect, tmp_path):
    """Where its log is in a file: who reports, the standing, and what can be taken back."""
    engine = f"sqlite:///{tmp_path}/scores.db"
    async with Server([Scores], engine=engine) as server, dialect.join(server, CHANNEL, "ada") as ada:
        await report(ada, BEGIN, "begun")
        await report(ada, HOME, "scored", "one")
        await report(ada, AWAY, "scored")
        before = await log_of(server)
    async with (
        Server([Scores], engine=engine) as server,
        dialect.join(server, CHANNEL, "ada") as ada,
        dialect.join(server, CHANNEL, "bob") as bob,
        Plain.join(server, CHANNEL) as eve,
    ):
        assert await log_of(server) == before
        assert (standing(eve.state), eve.state["phase"]) == ((1, 3), "live")
        await bob.say(HOME)
        assert (await bob.refusal())["code"] == "not_reporter"
        await ada.say(HOME, "one")  # the same as before
        row = await report(ada, {"type": "correct", "event": 2}, "corrected")
        assert standing(row) == (0, 3)
        assert row["event"] == 4
        assert row["elapsed"] >= before[-1]["elapsed"]
        await report(ada, END, "ended")
        await eventually(lambda: len(eve.rows) == 2)
        assert eve.rows == (await log_of(server))[3:]


@dialects
async def test_of_two_who_begin_at_once_one_reports(dialect):
    """The other one is told who does."""
    async with (
        Server([Scores]) as server,
        dialect.join(server, CHANNEL, "ada") as ada,
        dialect.join(server, CHANNEL, "bob") as bob,
    ):
        await asyncio.gather(ada.say(BEGIN), bob.say(BEGIN))
        await eventually(lambda: ada.refusals + bob.refusals)
        (begun,) = await log_of(server)
        (refusal,) = ada.refusals + bob.refusals
        assert (refusal["code"], begun["user"]) == ("begun", "ada" if bob.refusals else "bob")
        assert begun["user"] in refusal["message"]


@dialects
async def test_who_comes_in_the_middle_misses_nothing(dialect):
    """Whenever that is: what they are shown first and what follows is all there was."""
    back = {"after": Cursor("", 0)} if dialect is V1 else {}
    async with Server([Scores]) as server, Plain.join(server, CHANNEL, "ada") as ada:
        await report(ada, BEGIN, "begun")
        async with contextlib.AsyncExitStack() as stack:

            async def keep_coming():
                joins = [dialect.join(server, CHANNEL, **back) for _ in range(8)]
                return [await stack.enter_async_context(join) for join in joins]

            coming = asyncio.create_task(keep_coming())
            for _ in range(15):
                await report(ada, HOME, "scored")
            rows = await log_of(server)
            for client in await coming:
                shown = [] if dialect is V1 else client.state["events"]
                await eventually(lambda client=client, shown=shown: len(shown + client.rows) == len(rows))
                assert shown + client.rows == rows
