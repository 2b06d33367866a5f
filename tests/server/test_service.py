import pytest

from rtwidgets.engines import MemoryEngine
from rtwidgets.errors import UsageError
from rtwidgets.server import Hub, Service
from rtwidgets.server.service import Route
from rtwidgets.services import BUILT_IN, Chat, Echo, Prices, choose, service


@pytest.mark.parametrize(
    ("route", "path", "params"),
    [
        ("/prices", "/prices", {}),
        ("/prices", "/prices/", None),
        ("/prices", "/pricesx", None),
        ("/prices", "prices", None),
        ("/a.b", "/a.b", {}),
        ("/a.b", "/axb", None),
        ("/chat/{room}", "/chat/lobby", {"room": "lobby"}),
        ("/chat/{room}", "/chat/caf%C3%A9", {"room": "café"}),
        ("/chat/{room}", "/chat/", None),
        ("/chat/{room}", "/chat/a/b", None),
        ("/chat/{room}", "/chat/a%2Fb", None),
        ("/a/{x}/b/{y}", "/a/1/b/2", {"x": "1", "y": "2"}),
    ],
)
def test_routes(route, path, params):
    """A path matches as a whole; a named part is one part."""
    assert Route(route).match(path) == params


@pytest.mark.parametrize(
    "path", ["", "prices", "/", "/a//b", "/a/", "/{A}", "/{}", "/a{b}", "/a b", "/a?b", "/{a", "/a%20b"]
)
def test_what_is_no_service_path(path):
    """The sentence says how to write one."""
    with pytest.raises(UsageError, match="is not a service path"):
        Route(path)


def test_the_channel_of_a_path_is_the_path():
    """Without the first slash, named parts filled in."""
    assert Route("/chat/{room}").channel({"room": "lobby", "token": "x"}) == "chat/lobby"


def test_unknown_options_are_refused_with_those_there_are():
    """And options of the wrong type with what is wrong."""
    hub = Hub(MemoryEngine())
    with pytest.raises(UsageError, match=r"options of 'prices': .*It has: rate, symbols, start"):
        Prices(hub, options={"speed": 3})
    with pytest.raises(UsageError, match=r"options of 'prices': .*rate"):
        Prices(hub, options={"rate": 0})
    with pytest.raises(UsageError, match="It has: none"):
        Echo(hub, options={"x": 1})
    with pytest.raises(UsageError, match="symbols is empty"):
        Prices(hub, options={"symbols": []})
    with pytest.raises(UsageError, match="above 0"):
        Prices(hub, options={"symbols": {"A": 0.0}})


def test_services_are_chosen_by_name():
    """All for None; unknown ones are refused with those there are."""
    assert choose(None) == list(BUILT_IN.values())
    assert choose(["chat", "prices"]) == [Chat, Prices]
    assert choose("echo") == [Echo]
    with pytest.raises(UsageError, match="no service 'nope'; there is: echo, ws, prices, chat"):
        choose(["nope"])


def test_what_a_service_of_ones_own_may_look_like():
    """A fixed path with a channel's name, and a coroutine function."""

    def plain(channel):
        pass

    for path in ("temperatures", "/a b", "/rooms/{room}", "/température"):
        with pytest.raises(UsageError):
            service(path)
    with pytest.raises(UsageError, match="async def plain"):
        service("/temperatures")(plain)


async def test_a_service_says_whether_its_channels_are_compacted():
    """The channel is made as it says."""

    class Kept(Service):
        name, path, compacted = "kept", "/kept/{name}", True

    hub = Hub(MemoryEngine())
    assert (await Kept(hub).channel({"name": "a"})).log.compacted
    assert not (await Chat(hub).channel({"room": "a"})).log.compacted
