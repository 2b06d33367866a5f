"""The package y-protocols in Node as the other side of our codec."""

from __future__ import annotations

import base64
import json

import pycrdt
import pytest

from rtwidgets.yjs.awareness import Presence
from rtwidgets.yjs.protocol import Awareness, State, Step1, Update, decode, encode

TEXT = "Grüße, 世界 🌍 " * 20
NAMES = ["ada", "Zoë", "李", "🦊👩‍👩‍👧", 'quote " \\ \n', "x" * 300]


@pytest.fixture
def yjs(peers, start):
    """Say a command to y-protocols, and return what it has then."""
    process = start("node", peers / "y-protocols.mjs")

    def say(**command) -> dict:
        process.stdin.write(json.dumps(command) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        assert line, "y-protocols ended without a word"
        answer = json.loads(line)
        answer["wrote"] = [base64.b64decode(raw) for raw in answer["wrote"]]
        return answer

    return say


def read(message) -> str:
    return base64.b64encode(encode(message)).decode()


def test_documents(yjs):
    """Each sync message is read on either side, and what y-protocols wrote is written again byte for byte."""
    (raw,) = yjs(insert=TEXT)["wrote"]
    update = decode(raw)
    assert isinstance(update, Update)
    assert not update.answer
    assert encode(update) == raw
    doc = pycrdt.Doc()
    doc["content"] = content = pycrdt.Text()
    (raw,) = yjs(read=read(Step1(doc.get_state())))["wrote"]
    answer = decode(raw)
    assert isinstance(answer, Update)
    assert answer.answer
    assert encode(answer) == raw
    doc.apply_update(answer.update)
    assert str(content) == TEXT
    for own, said in (("ours 🎉 ", Update), ("again ", lambda update: Update(update, answer=True))):
        before = doc.get_state()
        content.insert(0, own)
        assert yjs(read=read(said(doc.get_update(before))))["text"] == str(content)


@pytest.mark.parametrize("name", NAMES)
def test_awareness(yjs, name):
    """Names of any characters come over in both directions, there and gone."""
    answer = yjs(awareness={"user": {"name": name}})
    (raw,) = answer["wrote"]
    message = decode(raw)
    assert isinstance(message, Awareness)
    (entry,) = message.states
    assert (entry.client, entry.clock) == (answer["client"], 1)
    assert json.loads(entry.state) == {"user": {"name": name}}
    assert encode(message) == raw
    ours = State(2**53 - 1, 3, json.dumps({"user": {"name": name}}, ensure_ascii=False).encode())
    states = yjs(read=read(Awareness([ours])))["states"]
    assert states[str(ours.client)] == {"user": {"name": name}}
    presence = Presence()
    presence.hear([ours, entry], 0.0)
    assert str(ours.client) not in yjs(read=read(Awareness(presence.remove([ours.client], 1.0))))["states"]
    (raw,) = yjs(awareness=None)["wrote"]
    assert decode(raw) == Awareness([State(entry.client, 2, None)])
    assert encode(decode(raw)) == raw
