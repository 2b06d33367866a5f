"""``rtwidgets replay``: a server that answers as a feed did, in the foreground."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from rtwidgets.cli.common import log_to_stderr, run_until_told
from rtwidgets.errors import PortInUse, ServeError, UsageError

__all__ = ["replay"]


@click.command(short_help="Serve a recording, as its feed did.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=0, type=click.IntRange(0, 65535), help="Port to listen on; any free one when left out."
)
@click.option(
    "--speed",
    default="1",
    show_default=True,
    metavar="X|max",
    help="How many times as fast as it was recorded; max is as fast as the client reads.",
)
@click.option("--loop", is_flag=True, help="Begin again at the end, instead of closing the connection.")
@click.option(
    "--lenient",
    is_flag=True,
    help="Go on whatever a client says, where it said something else when recorded.",
)
def replay(  # noqa: PLR0917 (click passes them by name)
    file: Path, host: str, port: int, speed: str, loop: bool, lenient: bool
) -> None:
    """Serve the recording FILE to WebSocket clients of any kind, at every path, until Ctrl-C.

    A client gets what was received then. Where the client said something then, it is waited for to say the
    same now. The URL is printed; what clients say that was not said then is logged.

    \b
    rtwidgets replay morning.rtlog
    rtwidgets replay morning.rtlog --speed 10 --loop --port 8765
    rtwidgets replay morning.rtlog --speed max --lenient
    """  # noqa: D301 (click reads the escape)
    factor = None if speed == "max" else _number(speed)

    from rtwidgets.server.loopback import is_loopback
    from rtwidgets.testing.replaying import ReplayServer

    server = ReplayServer(file, speed=factor, strict=not lenient, loop=loop, host=host, port=port)
    log = log_to_stderr()
    if not is_loopback(host):
        log.warning("every machine that reaches this one can read the recording: it asks for no token")

    async def work() -> None:
        try:
            async with server:
                click.echo(server.url)
                await asyncio.Event().wait()
        except PortInUse as error:
            raise ServeError(
                f"port {error.port} on {error.host} is in use by another program: choose another one with "
                "--port, or leave --port out for any free one"
            ) from error

    run_until_told(work())


def _number(speed: str) -> float:
    try:
        return float(speed)
    except ValueError:
        raise UsageError(f"--speed {speed}: give a number, such as 1 or 10, or max") from None
