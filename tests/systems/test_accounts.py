"""Accounts: a password for a short-lived token, which the systems that decide things take as a name."""

import json

import pytest

from rtwidgets.server import Server
from rtwidgets.services import Accounts, Auctions, Inventory, Orders
from tests.systems.clients import DIALECTS
from tests.talking import dial

pytestmark = pytest.mark.usefixtures("tidy")
PASSWORD = "correct horse battery staple"


async def ask(server, token=None, **request):
    """Ask the accounts, as a plain client without any token of its own."""
    async with dial(server, "/accounts", token=token) as client:
        await client.send(json.dumps(request))
        return json.loads(await client.recv())


@pytest.fixture(params=DIALECTS)
def dialect(request):
    return request.param


async def test_who_has_logged_in_buys_and_bids_under_that_name(dialect):
    """A user's token is a name to orders and auctions. Who has none may only watch."""
    async with Server([Accounts, Orders, Inventory, Auctions]) as server:
        await ask(server, server.token, type="register", user="ada", password=PASSWORD)
        token = (await ask(server, type="login", user="ada", password=PASSWORD))["token"]
        async with dialect.join(server, "orders", "ada", token=token) as ada:
            await ada.say({"type": "order", "id": "1", "item": "lamp", "quantity": 1})
            assert (await ada.row("rejected"))["user"] == "ada"
        async with (
            dialect.join(server, "auctions/lamp", "sue") as sue,
            dialect.join(server, "auctions/lamp", "ada", token=token) as ada,
        ):
            await sue.say({"type": "open", "title": "A lamp", "start": 1, "increment": 1, "seconds": 600})
            await ada.row("opened")
            await ada.say({"type": "bid", "amount": 5})
            assert (await sue.row("bid"))["user"] == "ada"
        async with dialect.join(server, "orders") as guest:
            await guest.say({"type": "order", "id": "2", "item": "lamp", "quantity": 1})
            assert (await guest.refusal())["code"] == "no_name"


async def test_a_wrong_password_is_no_way_in():
    """To anything."""
    async with Server([Accounts]) as server:
        await ask(server, server.token, type="register", user="ada", password=PASSWORD)
        answer = await ask(server, type="login", user="ada", password="wrong horse battery staple")
        assert (answer["type"], answer["code"]) == ("error", "wrong_password")
