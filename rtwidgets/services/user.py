"""Services that users write: a coroutine with a decorator, in a notebook cell or a module."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from rtwidgets.errors import Refused, UsageError
from rtwidgets.messages import check_channel
from rtwidgets.server import Channel, Fields, Hub, Service
from rtwidgets.server.service import Route

__all__ = ["UserService", "service"]

Body = Callable[[Channel], Awaitable[None]]


class UserService(Service):
    """Base of the classes that `service` makes: one path, one channel, one coroutine."""

    body: Body
    writable = False

    def __init__(
        self, hub: Hub, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(hub, seed=seed, options=options)

    async def run(self) -> None:
        """Run the user's coroutine."""
        await type(self).body(await self.channel({}))

    def accept(self, data: msgspec.Raw, user: str) -> object:
        """Let clients publish anything where the service is writable."""
        if not self.writable:
            return super().accept(data, user)
        try:
            return msgspec.json.decode(data)
        except (ValueError, RecursionError) as error:
            raise Refused("bad_message", f"send JSON: {error}") from error


def service(
    path: str,
    *,
    key: str | None = None,
    time: str | None = None,
    conflate: bool = False,
    writable: bool = False,
) -> Callable[[Body], type[UserService]]:
    """Make a service of a coroutine function that takes a `Channel` and publishes to it.

    Parameters
    ----------
    path
        Where it is served, such as ``"/temperatures"``; the channel has the same name without the slash.
    key, time
        The fields of its rows that hold their key and their time, if they have such. Rows with no time of
        their own get the time at which they were published.
    conflate
        Send a client that falls far behind the last row of each key instead of all rows; it is told how many
        were left out. For rows that stand for a state, such as prices; not for events.
    writable
        Let clients publish to the channel too.

    Raises
    ------
    UsageError
        When `path` is not a path, `conflate` is set without a key, or what is decorated is not a coroutine
        function.
    """
    if not isinstance(path, str):
        raise UsageError('a service needs a path: write @rt.service("/name") above the coroutine')
    route = Route(path)
    if "{" in path:
        raise UsageError(
            f"{path!r} has a part in braces: a service of your own has one channel, at a fixed path"
        )
    if conflate and key is None:
        raise UsageError("conflate=True keeps the last row of each key: name the key's field with key=")
    name = check_channel(route.channel({}))

    def decorate(body: Body) -> type[UserService]:
        if not inspect.iscoroutinefunction(body):
            raise UsageError(
                f"write the service as 'async def {getattr(body, '__name__', 'name')}(channel):'"
            )
        members = {
            "__doc__": body.__doc__,
            "name": name,
            "path": path,
            "fields": Fields(key, time, conflate),
            "body": staticmethod(body),
            "writable": writable,
        }
        return type(body.__name__, (UserService,), members)

    return decorate
