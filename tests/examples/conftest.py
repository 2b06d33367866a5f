"""The examples, run as they are, and servers for them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import rtwidgets as rt
from tests.interop.conftest import peers, start

__all__ = ["peers", "start"]  # fixtures

EXAMPLES = Path(__file__).parents[2] / "examples"
GO_LIBRARIES = "/usr/share/gocode"  # where Debian's packages put them


@pytest.fixture
def up():
    """Start a server in the background, as `rtwidgets.serve`; nothing may go wrong in it out of sight."""
    yield rt.serve
    rt.stop()
    assert rt.health() == "healthy"


@pytest.fixture(scope="session")
def node_folder(peers, tmp_path_factory) -> Path:
    """The examples in Node, beside the packages that they need."""
    folder = tmp_path_factory.mktemp("node")
    shutil.copytree(
        EXAMPLES / "node", folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules")
    )
    (folder / "node_modules").symlink_to(peers / "node_modules")
    return folder


@pytest.fixture(scope="session")
def go():
    """Run a command of Go, without modules: libraries are Debian's."""
    if shutil.which("go") is None or not Path(GO_LIBRARIES, "src/github.com/gorilla/websocket").is_dir():
        pytest.fail(
            "Go is missing: install golang-go and golang-github-gorilla-websocket-dev, then run `make test`"
        )
    settings = {"GO111MODULE": "off", "GOPATH": GO_LIBRARIES, "CGO_ENABLED": "0"}

    def go(*arguments: str) -> None:
        done = subprocess.run(
            ["go", *arguments],
            cwd=EXAMPLES / "go",
            env=os.environ | settings,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    return go


@pytest.fixture(scope="session")
def go_folder(go, tmp_path_factory) -> Path:
    """The examples in Go, built."""
    folder = tmp_path_factory.mktemp("go")
    go("build", "-o", f"{folder}/", "./prices", "./gateway")
    return folder
