"""``rtwidgets serve``: a server in the foreground."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rtwidgets.cli.common import TOKEN, assignments, log_to_stderr, run_until_told
from rtwidgets.cli.token import read_secret, secret_option
from rtwidgets.errors import PortInUse, ServeError, UsageError

if TYPE_CHECKING:
    from rtwidgets.server import Server, Service

__all__ = ["serve"]


@click.command(short_help="Serve echo, prices, chat and the like, or your own.")
@click.argument("services", nargs=-1, metavar="[SERVICE]...")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=0, type=click.IntRange(0, 65535), help="Port to listen on; any free one when left out."
)
@click.option(
    "--token",
    envvar=TOKEN,
    help=f"What clients have to show; a random one when left out. Also read from {TOKEN}, "
    "which other users of the machine cannot see.",
)
@click.option(
    "--open",
    "opened",
    is_flag=True,
    help="Ask for no token. On loopback only; a single service answers at / as well.",
)
@click.option("--seed", type=int, help="Make the same prices on every run.")
@click.option(
    "--origin",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="A web page's origin that may connect, such as https://hub.example.org, beside loopback ones "
    "and files. May be repeated.",
)
@secret_option
@click.option(
    "--jwks",
    metavar="URL",
    help="Take signed tokens of an identity provider: the https URL or the path of its key set.",
)
@click.option("--public-key", metavar="FILE", help="The same, with its RSA public key in PEM form.")
@click.option("--audience", metavar="NAME", help="What signed tokens have to be for: their aud.")
@click.option("--tls", is_flag=True, help="Encrypt, with a self-signed certificate for this machine.")
@click.option("--certificate", metavar="FILE", help="Encrypt, with this certificate in PEM form.")
@click.option("--key", metavar="FILE", help="The certificate's private key in PEM form.")
@click.option("--rate", type=float, metavar="R", help="Ticks a second of prices.")
@click.option("--symbol", "symbols", multiple=True, metavar="S", help="A symbol of prices. May be repeated.")
@click.option(
    "--option",
    "given_options",
    multiple=True,
    metavar="SERVICE.NAME=JSON",
    callback=assignments,
    help="An option of a service, such as 'prices.symbols={\"GOLD\": 2400}'. May be repeated.",
)
@click.option(
    "--engine",
    default="memory://",
    show_default=True,
    metavar="URL",
    help="Where logs live: sqlite:///file.db has chat, documents and your own services' channels again after "
    "a restart. How much of each channel is kept may follow: "
    "'?max_messages=200000&max_bytes=100000000&max_age=3600'.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print url, token and paths as a line of JSON when ready."
)
@click.option("--verbose", "-v", is_flag=True, help="Log every connection, and tracebacks.")
@click.pass_context
def serve(  # noqa: PLR0917 (click passes them by name)
    ctx: click.Context,
    services: tuple[str, ...],
    host: str,
    port: int,
    token: str | None,
    opened: bool,
    seed: int | None,
    origins: tuple[str, ...],
    secret_file: Path | None,
    jwks: str | None,
    public_key: str | None,
    audience: str | None,
    tls: bool,
    certificate: str | None,
    key: str | None,
    rate: float | None,
    symbols: tuple[str, ...],
    given_options: list[tuple[str, Any]],
    engine: str,
    as_json: bool,
    verbose: bool,
) -> None:
    """Serve all services, or those named: echo, ws (a raw echo), prices, chat, accounts,
    documents, orders, inventory, auctions, scores, games.

    A service of your own is named by its file, or as module:Name; 'rtwidgets new service' writes one.

    The URL and the token are logged, with a line to paste into a notebook. Ctrl-C and SIGTERM end it.

    \b
    rtwidgets serve
    rtwidgets serve prices chat --seed 1 --rate 50 --symbol AAPL --symbol MSFT
    rtwidgets serve echo --port 8765 --open
    rtwidgets serve prices ./temperatures.py mypackage.rooms:Humidity
    rtwidgets serve --tls --jwt-secret-file secret.txt
    """  # noqa: D301 (click reads the escape)
    if opened and ctx.get_parameter_source("token") is click.core.ParameterSource.COMMANDLINE:
        raise UsageError("--open asks for no token: leave one of --open and --token out")
    if opened and (secret_file or jwks or public_key or audience):
        raise UsageError("--open asks for no token: leave it out to have signed tokens checked")
    if (certificate is None) != (key is None):
        raise UsageError("--certificate and --key go together: give both")
    options = _options(given_options, rate, symbols)
    signed = {"jwks": jwks, "public_key": public_key, "audience": audience}

    from rtwidgets.cli.targets import find_services
    from rtwidgets.server import Server

    chosen = find_services(services)
    log = log_to_stderr(verbose=verbose)

    async def work() -> None:
        asyncio.get_running_loop().set_exception_handler(_unhandled)
        server = Server(
            chosen,
            host=host,
            port=port,
            token=token,
            open=opened,
            jwt=signed | {"secret": read_secret(secret_file)},
            tls=tls if certificate is None or key is None else {"certificate": certificate, "key": key},
            origins=origins,
            seed=seed,
            options=options,
            engine=engine,
        )
        try:
            await server.start()
        except PortInUse as error:
            raise ServeError(
                f"port {error.port} on {error.host} is in use by another program: choose another one with "
                "--port, or leave --port out for any free one"
            ) from error
        try:
            for line in _greeting(server, chosen):
                log.info("%s", line)
            if as_json:
                ready: dict[str, Any] = {"url": server.url, "token": server.token, "paths": server.paths}
                if server.certificate is not None:
                    ready["certificate"] = server.certificate
                click.echo(json.dumps(ready))
            await asyncio.Event().wait()
        finally:
            await server.stop()
            log.info("stopped")

    run_until_told(work())


def _options(
    given: Sequence[tuple[str, Any]], rate: float | None, symbols: Sequence[str]
) -> dict[str, dict[str, Any]]:
    options: dict[str, dict[str, Any]] = {}
    for target, value in given:
        service, dot, name = target.partition(".")
        if not service or not dot or not name:
            raise UsageError(
                f"--option {target}=… names no service: write it as SERVICE.NAME=JSON, as in prices.rate=50"
            )
        options.setdefault(service, {})[name] = value
    if rate is not None:
        options.setdefault("prices", {})["rate"] = rate
    if symbols:
        options.setdefault("prices", {})["symbols"] = list(symbols)
    return options


def _greeting(server: Server, services: Sequence[type[Service]]) -> list[str]:
    """Return what to log when the server listens: where it is, and what to type to read from it."""
    token = server.token
    lines = [f"serving at {server.url}: {', '.join(server.paths)}"]
    if token is None:
        lines.append("open: every program on this machine may connect, without a token")
        if len(services) == 1 and "{" not in services[0].path:
            lines.append(f"{services[0].path} answers at {server.url}/ as well")
    else:
        lines.append(f"token: {token}")
    place = f'server="{server.url}"' + ("" if token is None else f', token="{token}"')
    if server.certificate is not None:
        lines.append(f"certificate: {server.certificate}")
        place += f', ca="{server.certificate}"'
    for service in services:
        if service.name == "chat":
            lines.append(f'in a notebook: rt.chat("lobby", name="you", {place})')
        elif service.has_channels and "{" not in service.path:
            lines.append(f'in a notebook: rt.connect("{service.path[1:]}", {place})')
    return lines


def _unhandled(loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
    from rtwidgets.loop import report

    report("event loop", context.get("exception") or RuntimeError(context["message"]))
