import pytest

from rtwidgets.engines import MemoryEngine, memory, open_engine
from rtwidgets.errors import UsageError


async def test_a_channel_has_one_log():
    """The same object each time, another one for another channel."""
    engine = MemoryEngine()
    assert await engine.open("a") is await engine.open("a")
    assert await engine.open("a") is not await engine.open("b")


async def test_messages_get_contiguous_offsets():
    """From 1, and several at once are together."""
    engine = MemoryEngine()
    assert await engine.publish("a", [b"1"]) == 1
    assert await engine.publish("a", [b"2", b"3"]) == 3
    assert await engine.publish("b", [b"1"]) == 1
    assert (await engine.open("a")).read(0).pieces == [b"1", b"2", b"3"]


async def test_a_key_lands_once():
    """A repeated publish appends nothing and returns the first one's offset; keys are each channel's own."""
    engine = MemoryEngine()
    await engine.publish("a", [b"0"])
    assert await engine.publish("a", [b"1"], idempotency="k") == 2
    assert await engine.publish("a", [b"other"], idempotency="k") == 2
    assert await engine.publish("b", [b"1"], idempotency="k") == 1
    assert await engine.publish("a", [b"2"], idempotency="l") == 3
    assert (await engine.open("a")).last == 3


async def test_keys_are_forgotten_oldest_first(monkeypatch):
    """So many are remembered, whichever channel they belong to."""
    monkeypatch.setattr(memory, "_KEYS_KEPT", 3)
    engine = MemoryEngine()
    for key in "abcd":
        await engine.publish("x", [b"1"], idempotency=key)
    assert len(engine._landed) == 3
    assert await engine.publish("x", [b"1"], idempotency="b") == 2
    assert await engine.publish("x", [b"1"], idempotency="a") == 5


async def test_a_closed_engine_has_forgotten_everything():
    """Logs begin anew, in another epoch."""
    engine = MemoryEngine()
    await engine.publish("a", [b"1"], idempotency="k")
    epoch = (await engine.open("a")).epoch
    await engine.close()
    log = await engine.open("a")
    assert (log.last, log.epoch == epoch) == (0, False)


def test_an_engine_is_named_by_its_url():
    """Unknown ones are refused with those there are."""
    assert isinstance(open_engine("memory://"), MemoryEngine)
    with pytest.raises(UsageError, match="use 'memory://'"):
        open_engine("redis://localhost")
