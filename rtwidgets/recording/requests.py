"""What was asked of a feed, to compare with what is asked when its recording is read."""

from __future__ import annotations

import difflib
import json
from typing import Any

from rtwidgets.recording.secrets import hidden, hidden_message

__all__ = ["difference", "request_of"]


def request_of(url: str, subscribe: list[bytes]) -> dict[str, Any]:
    """Return what a connection asks for, without what may be secret.

    Parameters
    ----------
    url
        Where it goes.
    subscribe
        The messages that it sends first.

    Returns
    -------
    dict
        The `url`, and under `subscribe` each message: what its JSON says, or its text.
    """
    return {"url": hidden(url), "subscribe": [_said(hidden_message(message)) for message in subscribe]}


def difference(recorded: dict[str, Any], asked: dict[str, Any]) -> str:
    """Return what differs between two requests, as lines of a unified diff; empty when nothing does.

    The order of messages counts, that of an object's fields does not.
    """
    lines = difflib.unified_diff(_lines(recorded), _lines(asked), "recorded", "asked", lineterm="")
    return "\n".join(line.rstrip() for line in lines)


def _said(message: bytes) -> Any:
    """Return what a message holds, in a form that can be shown and compared."""
    text = message.decode("utf-8", "backslashreplace")
    try:
        return json.loads(text)
    except ValueError:
        return text


def _lines(request: dict[str, Any]) -> list[str]:
    return json.dumps(request, indent=2, sort_keys=True, ensure_ascii=False).splitlines()
