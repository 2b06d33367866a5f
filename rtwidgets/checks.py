"""What users give, whom no type checker has warned: checks of it, and how to show it. Floor 1."""

from __future__ import annotations

from urllib.parse import urlsplit

from rtwidgets.errors import UsageError

__all__ = ["check_websocket", "is_amount", "is_count", "is_local", "is_positive", "without_secrets"]


def is_count(value: object, least: int = 1) -> bool:
    """Whether a value that a user gave is a whole number of at least so much."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_amount(value: object) -> bool:
    """Whether a value that a user gave is a finite number of at least 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")


def is_positive(value: object) -> bool:
    """Whether a value that a user gave is a number above 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def check_websocket(url: str) -> None:
    """Raise a `UsageError` for what is not the URL of a WebSocket."""
    if not url.startswith(("ws://", "wss://")):
        raise UsageError(f"{url!r} is not a WebSocket URL: write ws://host:port/path or wss://…")


def is_local(url: str) -> bool:
    """Whether a URL is of this machine."""
    return urlsplit(url).hostname in {"localhost", "127.0.0.1", "::1"}


def without_secrets(url: str) -> str:
    """Return a URL as it may be shown: without its query, user and password."""
    head, slashes, rest = url.partition("?")[0].partition("#")[0].partition("//")
    if not slashes:
        return head
    place, slash, path = rest.partition("/")
    return f"{head}//{place.rpartition('@')[2]}{slash}{path}"
