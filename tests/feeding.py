"""A foreign feed on a real socket, for tests that are not coroutines."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from tests.waiting import until

__all__ = ["Feed", "feeding"]


class Feed:
    """What the server has heard, and a way to make it say more."""

    def __init__(self) -> None:
        self.url = ""
        self.heard: list[str] = []
        self.connections: list[ServerConnection] = []
        """Those on which all was said that there was to say, oldest first."""

    def say(self, *messages: str | bytes) -> None:
        """Send messages on the newest connection, once there is one."""
        until(lambda: self.connections)
        for message in messages:
            self.connections[-1].send(message)

    def cut(self) -> None:
        """End the newest connection, once there is one."""
        until(lambda: self.connections)
        self.connections[-1].close(1012, "restarting")


@contextlib.contextmanager
def feeding(*messages: str | bytes, greetings: int = 1) -> Iterator[Feed]:
    """Serve a feed which says these messages to each who has sent so many greetings."""
    feed = Feed()
    opened: list[ServerConnection] = []

    def talk(connection: ServerConnection) -> None:
        opened.append(connection)
        with contextlib.suppress(ConnectionClosed):
            feed.heard.extend(str(connection.recv()) for _ in range(greetings))
            for message in messages:
                connection.send(message)
            feed.connections.append(connection)
            for said in connection:
                feed.heard.append(str(said))

    with serve(talk, "127.0.0.1", 0) as server:
        feed.url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}/feed"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield feed
        finally:
            for connection in opened:
                connection.close()
            server.shutdown()
            thread.join()


def rows(numbers: Sequence[float], symbol: str = "A") -> list[str]:
    """Return messages with a number each."""
    return [f'{{"symbol":"{symbol}","price":{n}}}' for n in numbers]
