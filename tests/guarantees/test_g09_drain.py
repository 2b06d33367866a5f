"""G9: SIGTERM parts with the clients one after the other, and ends the process beside a stalled peer too."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from tests.talking import upgrade

LIMIT = 10.0
"""Seconds that the promise gives."""


def test_a_server_that_is_told_to_end_does_so_in_time():
    """With a peer that reads nothing and one half-way in its handshake; the others are told to come back."""
    serve = ["serve", "prices", "ws", "--open", "--json", "--rate", "10000"]
    command = [sys.executable, "-m", "rtwidgets", *serve]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            url = json.loads(process.stdout.readline())["url"]
            port = int(re.search(r":(\d+)$", url)[1])
            with (
                socket.create_connection(("127.0.0.1", port)) as deaf,
                socket.create_connection(("127.0.0.1", port)) as halfway,
                connect(f"{url}/ws", proxy=None) as one,
                connect(f"{url}/ws", proxy=None) as two,
            ):
                deaf.sendall(upgrade("/prices"))
                halfway.sendall(upgrade()[:20])
                one.send("here")
                assert one.recv() == "here"
                began = time.monotonic()
                process.send_signal(signal.SIGTERM)
                for client in (one, two):
                    with pytest.raises(ConnectionClosedError, match="1012"):
                        client.recv()
                assert process.wait(timeout=2 * LIMIT) == 0
                assert time.monotonic() - began < LIMIT
        finally:
            process.kill()
