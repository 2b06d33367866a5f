"""The command line: ``rtwidgets serve``, ``tail``, ``record`` and others. Floor 7: may use every room.

The modules of the commands import what is heavy when they run, so that ``rtwidgets --help`` is quick.
"""

from __future__ import annotations

from typing import Any

import click

import rtwidgets
from rtwidgets.cli.convert import convert
from rtwidgets.cli.demo import demo
from rtwidgets.cli.info import info
from rtwidgets.cli.new import new
from rtwidgets.cli.record import record
from rtwidgets.cli.replay import replay
from rtwidgets.cli.serve import serve
from rtwidgets.cli.tail import tail
from rtwidgets.cli.token import token
from rtwidgets.errors import RtError, UsageError

__all__ = ["main"]


class _Misused(click.ClickException):
    exit_code = 2


class _Commands(click.Group):
    """Shows the errors that a user can mend as one line, and ends with 1, or with 2 for wrong arguments."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except RtError as error:
            raise (_Misused if isinstance(error, UsageError) else click.ClickException)(str(error)) from error


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(rtwidgets.__version__, prog_name="rtwidgets")
def main() -> None:
    """Live WebSocket streams for notebooks and terminals.

    \b
    rtwidgets serve                          every service, with a token
    rtwidgets serve prices --port 8080 --open
    rtwidgets tail ws://127.0.0.1:8080 --records 'items()' --key symbol
    rtwidgets record wss://any.feed/ws morning.rtlog
    rtwidgets replay morning.rtlog --speed 10
    rtwidgets token ada --scope '*:chat/*'   a signed token for somebody
    rtwidgets new service temperatures       a starter for a service of your own
    rtwidgets demo                           the quick start, as a picture and a page
    """  # noqa: D301 (click reads the escape)


main.add_command(serve)
main.add_command(tail)
main.add_command(record)
main.add_command(replay)
main.add_command(info)
main.add_command(convert)
main.add_command(demo)
main.add_command(token)
main.add_command(new)
