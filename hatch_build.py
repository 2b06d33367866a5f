"""Builds the document editor's bundle when the package is built or installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
BUNDLE = ROOT / "rtwidgets" / "widgets" / "static" / "editor.bundle.js"
SOURCES = [
    *(ROOT / "js" / name for name in ("package.json", "build.mjs", "editor.js")),
    ROOT / "rtwidgets" / "widgets" / "browser" / "kernel.js",
]
WITHOUT = (
    "Documents will show in a plain text area: install Node.js with npm, and rtwidgets again, for the editor."
)


class EditorBundle(BuildHookInterface[Any]):
    """Runs npm and esbuild in `js/`, unless the bundle is newer than its sources."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the bundle, if that is possible here."""
        sources = [source for source in SOURCES if source.exists()]
        if BUNDLE.exists() and all(BUNDLE.stat().st_mtime >= source.stat().st_mtime for source in sources):
            return
        npm = shutil.which("npm")
        if npm is None:
            self._tell(f"npm is not there, so the document editor is not built. {WITHOUT}")
            return
        install = ["install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"]
        for command in (install, ["run", "--silent", "build"]):
            done = subprocess.run(
                [npm, *command], cwd=ROOT / "js", capture_output=True, text=True, check=False
            )
            if done.returncode:
                self._tell(
                    f"npm {command[0]} failed, so the document editor is not built. {WITHOUT}\n{done.stderr.strip()}"
                )
                return

    def _tell(self, sentence: str) -> None:
        self.app.display_warning(sentence)
        print(sentence, file=sys.stderr)
