import asyncio
import time

import pytest

from rtwidgets.errors import Refused
from rtwidgets.server.access import Access
from rtwidgets.server.rights import Rights
from rtwidgets.server.tokens import FULL, Grant
from tests.talking import eventually

access = Access("s3cret")


def ada(*scopes, lasts=60.0):
    return Grant("ada", scopes, time.time() + lasts)


def code_of(function, *arguments):
    with pytest.raises(Refused) as caught:
        function(*arguments)
    return caught.value.code


def test_what_is_required():
    """An action is allowed as the token says, and the refusal names the scope that would do."""
    rights = Rights(access, ada("subscribe:prices"))
    rights.require("subscribe", "prices")
    with pytest.raises(
        Refused, match=r"does not allow to publish to 'prices': its scope needs publish:prices"
    ):
        rights.require("publish", "prices")
    assert code_of(rights.require, "subscribe", "chat/a") == "forbidden"


def test_nothing_is_allowed_after_the_end():
    """To the moment, whether or not anybody has noticed yet."""
    rights = Rights(access, ada("*:*", lasts=-0.001))
    assert code_of(rights.require, "subscribe", "prices") == "token_expired"
    assert not rights.allows("subscribe", "prices")


def test_names():
    """A subject is the only name, and who has none chooses."""
    assert Rights(access, ada()).name("ada") == "ada"
    assert code_of(Rights(access, ada()).name, "bob") == "forbidden"
    assert Rights(access, FULL).name("bob") == "bob"


async def test_the_end_is_told_once():
    """When the token expires, and not again."""
    told = []
    rights = Rights(access, ada(lasts=0.05))
    rights.watch(lambda: told.append(rights.grant.expired))
    await eventually(lambda: told)
    await asyncio.sleep(0)
    assert told == [True]
    assert rights._timer is None


async def test_who_is_gone_is_told_nothing():
    """Nor is there a timer left, nor one for a token without an end."""
    rights = Rights(access, ada(lasts=0.01))
    rights.watch(lambda: pytest.fail("told"))
    rights.close()
    assert rights._timer is None
    await asyncio.sleep(0.05)
    forever = Rights(access, FULL)
    forever.watch(lambda: pytest.fail("told"))
    assert forever._timer is None


async def test_a_new_token_puts_the_end_off():
    """Then it is told at the end of the new one."""
    told = []
    rights = Rights(access, ada(lasts=0.2))
    rights.watch(lambda: told.append(1))
    await rights.renew(access.tokens.issue("ada", scopes=["publish:a"], lifetime=60))
    assert rights.grant.scopes == ("publish:a",)
    assert rights._timer.when() - asyncio.get_running_loop().time() > 30
    rights.close()
    assert not told


async def test_whose_new_token_is_taken():
    """The same user's, which is good; otherwise all stays as it was."""
    rights = Rights(access, ada("subscribe:a"))
    before = rights.grant
    for wrong, code in [
        (access.tokens.issue("bob", lifetime=60), "forbidden"),
        ("s3cret", "forbidden"),
        ("nonsense", "unauthorized"),
    ]:
        with pytest.raises(Refused) as caught:
            await rights.renew(wrong)
        assert caught.value.code == code
        assert rights.grant is before
    own = Rights(access, FULL)
    await own.renew("s3cret")
    with pytest.raises(Refused):
        await own.renew(access.tokens.issue("ada", lifetime=60))


async def test_a_clock_that_was_set_back(monkeypatch):
    """The end is where the token says, however early the timer rings."""
    told = []
    rights = Rights(access, ada(lasts=0.05))
    rights.watch(lambda: told.append(1))
    monkeypatch.setattr("rtwidgets.server.rights.time.time", lambda: rights.grant.expires - 100)
    await asyncio.sleep(0.1)
    assert not told
    assert rights._timer is not None
    rights.close()
