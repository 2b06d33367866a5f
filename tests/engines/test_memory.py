import re

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


async def test_a_log_keeps_what_its_engine_was_told():
    """And no more."""
    engine = MemoryEngine(max_messages=3)
    await engine.publish("a", [b"1", b"2", b"3", b"4"])
    assert (await engine.open("a")).read(0).pieces == [b"2", b"3", b"4"]


@pytest.mark.parametrize(
    ("url", "limits"),
    [
        ("memory://", (10_000, 2**26, 300.0)),
        ("memory://?max_messages=200000&max_age=3600", (200_000, 2**26, 3_600.0)),
        ("memory://?max_bytes=5&max_age=inf", (10_000, 5, float("inf"))),
    ],
)
async def test_an_engine_is_named_by_its_url(url, limits):
    """With how much of each channel it keeps."""
    engine = open_engine(url)
    assert isinstance(engine, MemoryEngine)
    log = await engine.open("a")
    assert (log.max_messages, log.max_bytes, log.max_age) == limits


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("redis://localhost", "use 'memory://'"),
        ("redis://localhost?db=1", "use 'memory://'"),
        ("memory://here", "there is no engine for 'memory://here'"),
        ("memory://?max_message=1", "the options are max_messages=NUMBER, max_bytes=NUMBER and max_age=SEC"),
        ("memory://?max_messages=many", "'max_messages=many' at the end of 'memory://"),
        ("memory://?max_messages=0", "max_messages is 0: give a number above 0"),
        ("memory://?max_bytes=-1", "max_bytes is -1: give a number above 0"),
        ("memory://?max_age=nan", "max_age is nan: give a number above 0"),
    ],
)
def test_a_url_that_does_not_do_is_refused(url, sentence):
    """With a sentence that says how to write it."""
    with pytest.raises(UsageError, match=re.escape(sentence)):
        open_engine(url)


async def test_a_compacted_channel_keeps_all_until_it_is_compacted():
    """Whatever the engine keeps of others."""
    engine = MemoryEngine(max_messages=2)
    log = await engine.open("a", compacted=True)
    await engine.publish("a", [b"1", b"2", b"3", b"4"])
    assert log.read(0).pieces == [b"1", b"2", b"3", b"4"]
    await engine.compact("a", 3, b"1-3")
    assert (log.read(0).offset, log.read(0).pieces) == (3, [b"1-3", b"4"])
    assert await engine.open("a") is log
    await engine.publish("b", [b"1", b"2", b"3"])
    with pytest.raises(ValueError, match="cannot compact"):
        await engine.compact("b", 2, b"no")
