import msgspec
import pytest

from rtwidgets.engines import MemoryEngine
from rtwidgets.errors import Refused
from rtwidgets.server import Hub
from rtwidgets.services import Chat

chat = Chat(Hub(MemoryEngine()))


def test_what_is_said_is_signed_and_dated():
    """By the server, whatever the client claims."""
    said = chat.accept(msgspec.Raw(b'{"text":"hi","user":"eve","time":1}'), "ada")
    assert (said.user, said.text) == ("ada", "hi")
    assert said.time > 1e12


@pytest.mark.parametrize("length", [1, 4_000])
def test_lengths_that_are_taken(length):
    """One to four thousand characters, whatever bytes those are."""
    assert chat.accept(msgspec.Raw(msgspec.json.encode({"text": "😀" * length})), "ada").text == "😀" * length


@pytest.mark.parametrize(
    "data", [b"", b"null", b"[]", b'{"text":""}', b'{"text":null}', b'{"text":"\xff"}', b'{"text":"\\ud800"}',
             b'{"text":"x","type":"edit"}', b'{"text":"' + b"x" * 4_001 + b'"}', b'{"a":' + b"[" * 100_000]
)  # fmt: skip
def test_what_is_refused(data):
    """Anything else, with a reason."""
    with pytest.raises(Refused) as caught:
        chat.accept(msgspec.Raw(data), "ada")
    assert caught.value.code == "bad_message"
