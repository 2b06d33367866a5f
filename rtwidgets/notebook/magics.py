"""`%load_ext rtwidgets` and the `%rt` magic."""

from __future__ import annotations

import argparse
import inspect
import shlex
from typing import Any, NoReturn

from IPython.core.error import UsageError as ShellUsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_magic, magics_class
from IPython.display import display

from rtwidgets.errors import NotRunning, RtError, UsageError
from rtwidgets.notebook.running import running
from rtwidgets.notebook.servers import RunningServer
from rtwidgets.stream import Stream
from rtwidgets.widgets import Status

__all__ = ["RtMagics", "load", "unload"]


class _Parser(argparse.ArgumentParser):
    """Raises what it has to say, since leaving the kernel would be too much."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}\n{self.format_usage().strip()}")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise UsageError(message or "")


def _parser() -> _Parser:
    parser = _Parser(prog="%rt", add_help=False)
    verbs = parser.add_subparsers(dest="verb", required=True, parser_class=_Parser)
    up = verbs.add_parser("up", add_help=False)
    serve = verbs.add_parser("serve", add_help=False)
    for verb in (up, serve):
        verb.add_argument("--port", type=int, default=0)
        verb.add_argument("--seed", type=int)
        verb.add_argument("--process", action="store_true")
    serve.add_argument("services", nargs="*")
    connect = verbs.add_parser("connect", add_help=False)
    connect.add_argument("channel")
    connect.add_argument("--as", dest="name")
    connect.add_argument("--key")
    connect.add_argument("--time")
    connect.add_argument("--records")
    verbs.add_parser("status", add_help=False)
    verbs.add_parser("stop", add_help=False)
    return parser


@magics_class
class RtMagics(Magics):
    """The ``%rt`` magic."""

    @line_magic
    def rt(self, line: str) -> object:
        """Start, connect, look and stop.

        ::

            %rt up [--seed N] [--port N] [--process]     a server, its streams as variables, a dashboard
            %rt serve [SERVICE ...] [--seed N] [--port N] [--process]
            %rt connect CHANNEL|URL [--as NAME] [--key COLUMN] [--time COLUMN] [--records PATH]
            %rt status
            %rt stop

        ``up`` binds ``server`` and ``prices``; ``serve`` binds ``server``; ``connect`` binds the stream
        under NAME, or under the channel's name with what is no letter or digit as ``_``.
        """
        if line.strip() in ("", "help", "-h", "--help"):
            print(inspect.cleandoc(str(type(self).__dict__["rt"].__doc__)))  # noqa: T201 - the cell asks for it
            return None
        try:
            given = _parser().parse_args(shlex.split(line))
            result: object = getattr(self, f"_{given.verb}")(given)
        except (RtError, ValueError) as error:
            # IPython shows its own usage errors as one line, without a traceback through this file.
            raise ShellUsageError(f"%rt: {error}") from error
        return result

    def _up(self, given: argparse.Namespace) -> None:
        try:
            server = running.servers.newest()
        except NotRunning:
            server = running.servers.serve(port=given.port, seed=given.seed, process=given.process)
        prices = running.streams.connect("prices", server=server)
        self._bind(server=server, prices=prices)
        display(running.dashboard(prices))  # type: ignore[no-untyped-call]

    def _serve(self, given: argparse.Namespace) -> RunningServer:
        server = running.servers.serve(
            port=given.port, seed=given.seed, services=given.services or None, process=given.process
        )
        self._bind(server=server)
        return server

    def _connect(self, given: argparse.Namespace) -> Stream:
        stream = running.streams.connect(given.channel, key=given.key, time=given.time, records=given.records)
        name = given.name or "".join(c if c.isalnum() else "_" for c in stream.name)
        if not name.isidentifier():
            raise UsageError(f"{name!r} is not a name for a variable: give one with --as NAME")
        self._bind(**{name: stream})
        return stream

    def _status(self, given: argparse.Namespace) -> Status:
        return running.status()

    def _stop(self, given: argparse.Namespace) -> None:
        running.stop()

    def _bind(self, **names: Any) -> None:
        assert self.shell is not None
        self.shell.push(names)  # type: ignore[no-untyped-call]


def load(shell: InteractiveShell) -> None:
    """Register the magic; loading again changes nothing."""
    if "rt" not in shell.magics_manager.magics["line"]:
        shell.register_magics(RtMagics)


def unload(shell: InteractiveShell) -> None:
    """Stop everything, close what it showed and take the magic away."""
    running.close()
    shell.magics_manager.magics["line"].pop("rt", None)
    shell.magics_manager.registry.pop("RtMagics", None)
