"""Builds the document editor's bundle when the package is built or installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PATIENCE = 300
"""Seconds that npm may take: without a network it would try for long."""


class EditorBundle(BuildHookInterface[Any]):
    """Runs npm and esbuild in `js/`, unless the bundle is newer than its sources.

    Where that cannot be done the package is built all the same, and documents show in a plain text area.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the bundle, if that is possible here."""
        root = Path(self.root)
        bundle = root / "rtwidgets" / "widgets" / "static" / "editor.bundle.js"
        sources = [*(root / "js").glob("*.*js*"), root / "rtwidgets" / "widgets" / "browser" / "kernel.js"]
        if bundle.exists() and all(bundle.stat().st_mtime >= source.stat().st_mtime for source in sources):
            return
        npm = shutil.which("npm")
        if npm is None:
            self._tell("npm is not there", bundle)
            return
        install = ["install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"]
        for command in (install, ["run", "--silent", "build"]):
            try:
                done = subprocess.run(  # noqa: S603 - our own commands, and the npm of whoever builds
                    [npm, *command],
                    cwd=root / "js",
                    capture_output=True,
                    text=True,
                    check=False,
                    timeout=PATIENCE,
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                self._tell(f"`npm {command[0]}` failed", bundle, str(error))
                return
            if done.returncode:
                self._tell(f"`npm {command[0]}` failed", bundle, done.stderr.strip() or done.stdout.strip())
                return

    def _tell(self, what: str, bundle: Path, why: str = "") -> None:
        instead = (
            "an older one is used, which may not work with the rest"
            if bundle.exists()
            else "documents will show in a plain text area"
        )
        self.app.display_warning(
            f"{what}, so the document editor was not built: {instead}. "
            "For the editor install Node.js with npm, and then rtwidgets again.\n"
            f"{why}".rstrip()
        )
