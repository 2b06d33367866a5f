"""The widgets' halves in the browser."""

from __future__ import annotations

from pathlib import Path

__all__ = ["script"]

_FOLDER = Path(__file__).parent


def script(name: str) -> str:
    """Return the text of an ES module that lies beside this file, after `kernel.js`, which it may use."""
    return "".join((_FOLDER / part).read_text(encoding="utf-8") for part in ("kernel.js", name))
