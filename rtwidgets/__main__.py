"""``python -m rtwidgets``: the command line."""

from __future__ import annotations

from rtwidgets.cli import main

if __name__ == "__main__":
    main(prog_name="rtwidgets")
