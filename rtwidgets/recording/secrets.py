"""What may be secret, and how it is left out of recordings."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import unquote_plus

__all__ = ["hidden", "hidden_message"]

_HIDDEN = "***"
_WORDS = {
    *("token", "key", "secret", "password", "passwd", "pwd", "pass", "passphrase", "bearer", "jwt"),
    *("signature", "sign", "sig", "auth", "authorization", "authentication", "credential", "credentials"),
}
_ENDS = ("token", "apikey", "accesskey", "privatekey", "listenkey", "secret", "password", "signature")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")  # apiKey, API_KEY and api-key are two words each

# Requests to be let in whose secrets have no name: {"op": "auth", "args": ["the key", 1662350400, "…"]}.
_ACTIONS = ("op", "method", "event", "type", "action", "command", "cmd", "request")
_LOGINS = {"auth", "authenticate", "authentication", "authorize", "login", "logon"}


def hidden(url: str) -> str:
    """Return a URL without what may be secret.

    User, password and fragment are left out; values of the query whose name says token, key, secret,
    password, signature, auth or the like become ``***``. The rest stays as it was written. What is part of
    the path cannot be told from other paths.
    """
    head, question, query = url.partition("#")[0].partition("?")
    scheme, slashes, rest = head.partition("//")
    place, slash, path = rest.partition("/")
    fields = re.split("([&;])", query)
    return f"{scheme}{slashes}{place.rpartition('@')[2]}{slash}{path}{question}{''.join(map(_field, fields))}"


def hidden_message(message: bytes) -> bytes:
    """Return a message that was sent without what may be secret.

    In a JSON message the values of fields whose name says token, key, secret, password, signature, auth or
    the like become ``***``, in depth; in a request to log in so does text that stands in a list. A message
    without such fields, and one that is no JSON, is returned as it is.
    """
    try:
        value = json.loads(message)
        shown = _shown(value)
        if shown == value:
            return message
        return json.dumps(shown, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    except ValueError:
        return message
    except RecursionError:  # what cannot be looked through cannot be shown either
        return _HIDDEN.encode()


def _field(field: str) -> str:
    """Return a field of a query as it may be shown."""
    name, equals, _ = field.partition("=")
    return f"{name}={_HIDDEN}" if equals and _is_secret(unquote_plus(name)) else field


def _shown(value: Any, login: bool = False) -> Any:
    if isinstance(value, dict):
        login = login or any(_is_login(value.get(name)) for name in _ACTIONS)
        return {
            name: _HIDDEN if _is_secret(name) else _shown(each, login and not isinstance(each, str))
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [_shown(each, login) for each in value]
    return _HIDDEN if login and isinstance(value, str) else value


def _is_secret(name: str) -> bool:
    return name.lower().endswith(_ENDS) or not _WORDS.isdisjoint(_words(name))


def _is_login(action: object) -> bool:
    return isinstance(action, str) and not _LOGINS.isdisjoint(_words(action))


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]
