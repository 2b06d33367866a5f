"""``rtwidgets new``: a starter for a service of one's own, with a test that passes as it is."""

from __future__ import annotations

import importlib.util
import keyword
import re
from pathlib import Path
from string import Template

import click

from rtwidgets.errors import UsageError

__all__ = ["new"]

_SERVICE = Template('''\
"""The service /$name: a starter, to be made your own.

    rtwidgets serve $name.py      serves it; Ctrl-C ends it
    pytest test_$name.py          tests it

In a notebook, `from $name import $name` offers it on the server there.
"""

import asyncio
import random

import rtwidgets as rt


# `key` is the field that tells rows apart, here one sensor from the other: in a chart
# each has a line of its own. With `writable=True` clients may publish rows as well.
@rt.service("/$name", key="sensor")
async def $name(channel):
    """Publish the readings of two made-up sensors, five times a second."""
    indoors, outdoors = 21.0, 12.0
    while True:
        indoors += random.gauss(0, 0.1)
        outdoors += random.gauss(0, 0.2)
        # A row is what JSON can hold. It gets its offset and its time from the server.
        await channel.publish({"sensor": "indoors", "value": round(indoors, 2)})
        await channel.publish({"sensor": "outdoors", "value": round(outdoors, 2)})
        await asyncio.sleep(0.2)
''')

_TEST = Template('''\
"""Tests of the service /$name, on a real server."""

import json

import pytest
import rtwidgets as rt
from websockets.sync.client import connect

from $name import $name as service


@pytest.fixture
def server():
    """A server in the background with the services that were imported, and no others."""
    with rt.serve(services=[]) as server:
        yield server
    assert rt.health() == "healthy"  # or it raises what went wrong in the service


def test_any_websocket_client_gets_rows(server):
    """A plain client, such as a browser, is sent each row as a message of JSON."""
    url = f"{server.url}{service.path}?token={server.token}"
    with connect(url, proxy=None) as client:
        row = json.loads(client.recv(timeout=30))
    assert row["sensor"] in {"indoors", "outdoors"}
    assert isinstance(row["value"], float)


def test_rows_become_a_frame(server):
    """`rt.connect` has the rows as a pandas frame."""
    stream = rt.connect(service.name)
    frame = stream.wait(rows=4, timeout=30)
    assert set(frame["sensor"]) == {"indoors", "outdoors"}
    assert frame["value"].between(-50, 100).all()
    stream.stop()
''')


@click.group(short_help="Write a starter for a service of your own.")
def new() -> None:
    """Write a starter for something of your own.

    \b
    rtwidgets new service temperatures
    """  # noqa: D301 (click reads the escape)


@new.command(short_help="NAME.py and test_NAME.py.")
@click.argument("name")
@click.option(
    "--dir",
    "folder",
    default=Path(),
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the two files; this one when left out.",
)
def service(name: str, folder: Path) -> None:
    """Write a service to NAME.py, which is served at /NAME, and a test of it to test_NAME.py.

    Both work as they are. No file is overwritten.

    \b
    rtwidgets new service temperatures
    rtwidgets serve temperatures.py
    """  # noqa: D301 (click reads the escape)
    _check_name(name)
    code, test = folder / f"{name}.py", folder / f"test_{name}.py"
    for path in (code, test):
        if path.exists():
            raise UsageError(f"{path} is there already: choose another name, or a folder with --dir")
    _check_free(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, template in ((code, _SERVICE), (test, _TEST)):
            with path.open("x", encoding="utf-8") as file:
                file.write(template.substitute(name=name))
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror or error}") from error
    click.echo(f"{code}: the service /{name}; 'rtwidgets serve {code}' serves it")
    click.echo(f"{test}: its test; 'pytest {test}' runs it")


def _check_name(name: str) -> None:
    """Refuse what cannot name a file to import, a function and a channel alike."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,99}", name):
        raise UsageError(
            f"{name!r} is no name for a Python module: begin with a letter, and use letters, digits and '_', "
            "100 at the most, as in 'room_temperatures'"
        )
    if keyword.iskeyword(name):
        raise UsageError(f"{name!r} is a word of Python's own: choose another name")


def _check_free(name: str) -> None:
    """Refuse a name that a service or a module has, which the new one would hide or be hidden by."""
    from rtwidgets.services import BUILT_IN

    if name in BUILT_IN:
        raise UsageError(
            f"{name!r} is taken: a service of that name comes with rtwidgets; choose another name"
        )
    spec = importlib.util.find_spec(name)
    if spec is not None and spec.origin is not None:  # a mere folder has no origin, and hides nothing
        raise UsageError(f"{name!r} is taken: Python has a module of that name; choose another one")
