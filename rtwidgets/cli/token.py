"""``rtwidgets token``: a signed token for somebody, made offline."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from rtwidgets.errors import UsageError

__all__ = ["SECRET", "read_secret", "secret_option", "token"]

SECRET = "RTWIDGETS_JWT_SECRET"  # noqa: S105 (the name of a variable)
"""The environment variable with the secret that signed tokens are made and checked with."""

Command = TypeVar("Command", bound=Callable[..., Any] | click.Command)

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def secret_option(command: Command) -> Command:
    """Give a command the option that names the file with the secret."""
    return click.option(
        "--jwt-secret-file",
        "secret_file",
        metavar="FILE",
        type=click.Path(dir_okay=False, path_type=Path),
        help=f"File with the secret of signed tokens, 32 bytes or more. Also read from {SECRET}.",
    )(command)


@click.command(short_help="Make a signed token for somebody.")
@click.argument("user")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    metavar="ACTION:CHANNEL",
    help="What it allows: subscribe, publish, presence or *, and a channel, or 'chat/*' for all that begin "
    "so. May be repeated.",
)
@click.option(
    "--lifetime",
    default="1h",
    show_default=True,
    metavar="TIME",
    help="How long it is good: 90s, 15m, 1h, 7d.",
)
@click.option("--audience", metavar="NAME", help="The server that it is for, if that has an --audience.")
@secret_option
def token(
    user: str, scopes: tuple[str, ...], lifetime: str, audience: str | None, secret_file: Path | None
) -> None:
    """Print a token for USER, signed with the secret that the servers have too.

    Make a secret once, with 'openssl rand -base64 32 > secret.txt', and keep it from others: whoever has it
    can make tokens.

    \b
    rtwidgets token ada --scope subscribe:prices --lifetime 1h --jwt-secret-file secret.txt
    rtwidgets token bob --scope '*:chat/*'
    """  # noqa: D301 (click reads the escape)
    seconds = _seconds(lifetime)
    secret = read_secret(secret_file)
    if secret is None:
        raise UsageError(
            f"there is no secret to sign with: set {SECRET}, or name a file with --jwt-secret-file "
            "('openssl rand -base64 32 > secret.txt' makes one)"
        )

    from rtwidgets.server.tokens import Tokens

    click.echo(Tokens(secret=secret, audience=audience).issue(user, scopes=scopes, lifetime=seconds))


def read_secret(file: Path | None) -> str | None:
    """Return the secret of a file, or that of the environment; None where there is neither.

    Raises
    ------
    UsageError
        When the file cannot be read.
    """
    if file is None:
        return os.environ.get(SECRET) or None
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise UsageError(f"--jwt-secret-file {str(file)!r} cannot be read: {reason}") from None


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if found is None or float(found[1]) == 0:
        raise UsageError(f"--lifetime {text!r} is no time: write 90s, 15m, 1h or 7d")
    return float(found[1]) * _UNITS[found[2]]
