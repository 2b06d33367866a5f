"""Run the samples of the pages: `python docs/check_samples.py`, which `make docs` does.

In `feeds.md` the JSON lines of a section are what a server sends, and the text after a sample is how its last
expression prints. `documents.md` is one story: its Python is run from the top, in an empty folder, and the
text after a sample is how its last expression prints. In the other pages the Python that begins with an
import is run as it stands.
"""

from __future__ import annotations

import ast
import contextlib
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
from websockets.asyncio.server import ServerConnection, serve

import rtwidgets as rt
from rtwidgets.loop import lease

ROOT = Path(__file__).resolve().parent.parent
FEED = "wss://feed.example/ws"
BLOCK = re.compile(r"^```(json|python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def evaluate(code: str, names: dict[str, Any]) -> object:
    """Run some lines and return what the last one gives."""
    *before, last = ast.parse(code).body
    if not isinstance(last, ast.Expr):
        raise SystemExit(f"a sample has to end with something to show:\n{code}")
    exec(compile(ast.Module(before, []), "sample", "exec"), names)  # noqa: S102 - our own pages
    return eval(compile(ast.Expression(last.value), "sample", "eval"), names)  # noqa: S307 - likewise


async def listen(messages: list[str]) -> Any:
    """Serve some messages to whoever connects, and stay."""

    async def talk(socket: ServerConnection) -> None:
        for message in messages:
            await socket.send(message)
        await socket.wait_closed()

    return await serve(talk, "127.0.0.1", 0)


async def close(server: Any) -> None:
    """End a server."""
    server.close()
    await server.wait_closed()


def feeds(page: str) -> Iterator[str]:
    """Check each section of the page about feeds; yield what differs."""
    background = lease()
    for section in page.split("\n## ")[1:]:
        blocks = BLOCK.findall(section)
        messages = [line for kind, text in blocks if kind == "json" for line in text.splitlines()]
        if not messages:
            continue
        for message in messages:
            json.loads(message)
        server = background.run(listen(messages))
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        names: dict[str, Any] = {"rt": rt}
        shown = ""
        for kind, text in blocks:
            if kind == "python":
                shown = str(evaluate(text.replace(FEED, url), names))
            elif kind == "text" and shown.split() != text.split():
                yield f"docs/feeds.md, {section.splitlines()[0]!r} shows now:\n{shown}"
        rt.stop()
        background.run(close(server))
    background.release()


def story(path: str) -> Iterator[str]:
    """Run all samples of a page, one after the other; yield what differs or went wrong out of sight."""
    blocks = [*BLOCK.findall((ROOT / path).read_text("utf-8")), ("", "")]
    names: dict[str, Any] = {"__name__": path}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for (kind, code), (after, text) in pairwise(blocks):
            if kind == "python" and after == "text":
                shown = str(evaluate(code, names))
                if shown.split() != text.split():
                    yield f"{path}, after\n{code}shows now:\n{shown}"
            elif kind == "python":
                exec(compile(code, path, "exec"), names)  # noqa: S102 - our own pages
        rt.stop()
    try:
        rt.health()
    except rt.RtError as error:
        yield f"{path}: {error}"


def pages(*paths: str) -> Iterator[str]:
    """Run the samples that stand for themselves; yield what went wrong out of sight."""
    for path in paths:
        for kind, text in BLOCK.findall((ROOT / path).read_text("utf-8")):
            if kind == "python" and text.startswith(("import", "from")):
                exec(compile(text, path, "exec"), {"__name__": path})  # noqa: S102 - our own pages
                rt.stop()
        try:
            rt.health()
        except rt.RtError as error:
            yield f"{path}: {error}"


if __name__ == "__main__":
    with pd.option_context("display.width", 200, "display.max_columns", 20):
        wrong = [
            *feeds((ROOT / "docs/feeds.md").read_text("utf-8")),
            *story("docs/documents.md"),
            *story("docs/alerts.md"),
            *pages("README.md", "docs/index.md", "docs/accounts.md"),
        ]
    sys.exit("\n\n".join(wrong) or None)
