"""A JupyterLab server of its own: a process that reads nothing of the user's settings and leaves nothing."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rtwidgets.errors import ServeError, UsageError

__all__ = ["LabServer"]

# Read by JupyterLab below the user's own settings, of which there are none here.
_SETTINGS: dict[str, dict[str, Any]] = {
    "@jupyterlab/notebook-extension:tracker": {
        "windowingMode": "none",  # every cell is in the page, also those out of sight
        "autoStartDefaultKernel": True,  # a notebook without a kernel's name would open a dialog
        "scrollPastEnd": False,  # empty space at the end of a picture
    },
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    "@jupyterlab/extensionmanager-extension:plugin": {"enabled": False},
}

_PAGE = {
    # Would look for Node.js and for updates.
    "buildCheck": False,
    "buildAvailable": False,
    "disabledExtensions": {
        "@jupyterlab/apputils-extension:announcements": True,
        "@jupyterlab/cell-toolbar-extension": True,  # icons on top of the active cell's code
        "@jupyterlab/extensionmanager-extension": True,
    },
}


class LabServer:
    """One ``jupyter lab`` process on a free port of the loopback address.

    It is the JupyterLab of the running interpreter. Its configuration, data, runtime, workspace and
    IPython folders are in a temporary folder, so that neither side sees the other's settings.

    Parameters
    ----------
    root
        The folder that it serves and runs notebooks in.
    env
        Variables to add to the environment of the server and of its kernels.
    timeout
        Seconds that it may take until it answers.

    Raises
    ------
    UsageError
        `root` is not a folder, or JupyterLab is not installed.
    ServeError
        The process ended, or did not answer in time; the sentence holds the end of its log.
    """

    def __init__(self, root: Path, *, env: Mapping[str, str] | None = None, timeout: float = 60) -> None:
        if not root.is_dir():
            raise UsageError(f"{root} is not a folder: give the folder that holds the notebooks")
        if importlib.util.find_spec("jupyterlab") is None:
            raise UsageError("JupyterLab is not installed: pip install 'rtwidgets[demo]'")
        self.root = root.resolve()
        self.token = secrets.token_hex(24)
        self.url = ""
        self._home = Path(tempfile.mkdtemp(prefix="rtwidgets-lab-"))
        self._log = self._home / "server.log"
        self._last_log = ""
        try:
            self._write_settings()
            self._process = self._start(env or {})
        except BaseException:
            shutil.rmtree(self._home, ignore_errors=True)
            raise
        try:
            self._wait_until_ready(timeout)
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self._process.pid

    @property
    def log(self) -> str:
        """What the server has written so far; the token does not occur in it."""
        with contextlib.suppress(FileNotFoundError):
            self._last_log = self._log.read_text(errors="replace").replace(self.token, "<token>")
        return self._last_log

    def request(self, method: str, path: str, *, timeout: float = 10) -> Any:
        """Call the server's REST API.

        Parameters
        ----------
        method, path
            Such as ``"GET"`` and ``"api/sessions"``.
        timeout
            Seconds.

        Returns
        -------
        The decoded JSON, or None for an empty answer.
        """
        request = urllib.request.Request(  # noqa: S310 - the URL is this server's own
            self.url + path, method=method, headers={"Authorization": f"token {self.token}"}
        )
        # No proxy: the server is on this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=timeout) as answer:
            body = answer.read()
        return json.loads(body) if body else None

    def stop(self) -> None:
        """End the kernels, then the server, and remove its folder. A second call does nothing."""
        if self._process.poll() is None:
            # Asked for before the server is told to end: it has only a few seconds for all kernels then.
            with contextlib.suppress(OSError, ValueError):
                for kernel in self.request("GET", "api/kernels"):
                    self.request("DELETE", f"api/kernels/{kernel['id']}")
            self._signal(signal.SIGTERM)
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                # Kernels left behind watch for their parent and end by themselves.
                self._signal(signal.SIGKILL)
                self._process.wait()
        _ = self.log
        shutil.rmtree(self._home, ignore_errors=True)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _write_settings(self) -> None:
        config = self._home / "config" / "labconfig"
        config.mkdir(parents=True)
        (config / "default_setting_overrides.json").write_text(json.dumps(_SETTINGS))
        (config / "page_config.json").write_text(json.dumps(_PAGE))

    def _start(self, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        home = self._home
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("JUPYTERLAB_", "JPY_")) and name != "JUPYTER_CONFIG_PATH"
        }
        environment = {
            **inherited,
            "JUPYTER_CONFIG_DIR": str(home / "config"),
            "JUPYTER_DATA_DIR": str(home / "data"),
            "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
            "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
            "IPYTHONDIR": str(home / "ipython"),
            # The folders above come before those of the virtual environment.
            "JUPYTER_PREFER_ENV_PATH": "0",
            # Not on the command line, which every user of the machine can read.
            "JUPYTER_TOKEN": self.token,
            **env,
        }
        command = [
            *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
            "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.port={_free_port()}",
            "--ServerApp.port_retries=50",
            f"--ServerApp.root_dir={self.root}",
            "--ServerApp.quit_button=False",
            "--LabApp.expose_app_in_browser=True",
            "--LabApp.extension_manager=readonly",
            "--LabApp.news_url=",
        ]
        with self._log.open("wb") as log:
            return subprocess.Popen(
                command,
                cwd=self.root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _wait_until_ready(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        # The server names its port here: the one asked for may have been taken meanwhile.
        info = self._home / "runtime" / f"jpserver-{self._process.pid}.json"
        while True:
            if (code := self._process.poll()) is not None:
                raise ServeError(f"JupyterLab ended with code {code} before it was ready:\n{self._tail()}")
            with contextlib.suppress(OSError, ValueError):
                self.url = json.loads(info.read_text())["url"]
                self.request("GET", "api/status", timeout=2)
                return
            if time.monotonic() > deadline:
                raise ServeError(f"JupyterLab did not answer within {timeout:g} s:\n{self._tail()}")
            time.sleep(0.1)

    def _tail(self) -> str:
        return "\n".join(self.log.splitlines()[-20:])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
