"""G11: `/ready` fails soon after the engine is lost, `/live` does not, and `/metrics` tells how it goes."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from rtwidgets.messages import Cursor, Gap, Messages, Publish, Published
from rtwidgets.server import Server, outbox
from rtwidgets.server.hub import FLUSH_INTERVAL
from rtwidgets.services import service
from tests.talking import dial_v1, eventually, upgrade

LIMIT = 5.0
"""Seconds that the promise gives."""


def ask(port, path, token=None):
    """Return status and body of a plain request."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


# Probes


@pytest.fixture
def durable(tmp_path):
    """A server in a process of its own, with its logs in a file."""
    serve = ["serve", "chat", "--token", "secret", "--json", "--engine", f"sqlite:///{tmp_path}/logs.db"]
    command = [sys.executable, "-m", "rtwidgets", *serve]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            url = json.loads(process.stdout.readline())["url"]
            port = int(re.search(r":(\d+)$", url)[1])
            yield SimpleNamespace(pid=process.pid, url=url, port=port, token="secret")
        finally:
            process.kill()


@contextlib.contextmanager
def no_disk(pid):
    """The system takes nothing more from a process that it wants to write to a file, as on a full disk."""
    resource = pytest.importorskip("resource")
    if not hasattr(resource, "prlimit"):
        pytest.skip("limits of other processes are for Linux")
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def stuck(pid):
    """Each thread of a process but the first one stands still, as with a disk that does not answer."""
    if not sys.platform.startswith("linux"):
        pytest.skip("a thread of another process can be held on Linux")
    attach, detach, wait_all = 16, 17, 0x40000000  # from linux/ptrace.h and linux/wait.h
    libc = ctypes.CDLL(None, use_errno=True)
    threads = [int(thread.name) for thread in Path(f"/proc/{pid}/task").iterdir()]
    threads.remove(pid)
    assert threads  # the engine's
    with contextlib.ExitStack() as held:
        for thread in threads:
            if libc.ptrace(attach, thread, None, None):
                assert ctypes.get_errno() == errno.EPERM
                pytest.skip("this system does not let a process be traced")
            held.callback(libc.ptrace, detach, thread, None, None)
            os.waitpid(thread, wait_all)
        yield


@pytest.mark.parametrize(
    ("loss", "reason"),
    [(no_disk, "the engine fails: .* cannot write logs.db"), (stuck, "the engine does not answer in 2 s")],
    ids=["fails", "hangs"],
)
def test_a_server_that_has_lost_its_engine_is_not_ready(durable, loss, reason):
    """It says so in time and goes on saying that it lives; with its engine back it is ready, and works."""
    assert ask(durable.port, "/ready") == (200, "ready\n")
    with loss(durable.pid):
        lost = time.monotonic()
        status, body = ask(durable.port, "/ready")
        assert time.monotonic() - lost < LIMIT
        assert status == 503
        assert re.match(f"not ready: {reason}", body)
        assert ask(durable.port, "/live") == (200, "alive\n")
        assert ask(durable.port, "/ready")[0] == 503
    assert ask(durable.port, "/ready") == (200, "ready\n")

    async def publish():
        async with dial_v1(durable) as client:
            await client.say(Publish(1, "chat/lobby", {"text": "hello"}))
            return await client.hear(Published)

    assert asyncio.run(publish()) == Published(1, 1)


# Metrics


@service("/log")
async def log(channel):
    """Filled by the tests."""


async def told_by(server):
    """Return the metrics of a server by name."""
    status, text = await asyncio.to_thread(ask, server.port, "/metrics", server.token)
    assert status == 200
    return {
        sample.name.removeprefix("rtwidgets_"): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("rtwidgets_") and not sample.name.endswith("_created")
    }


async def test_metrics_are_what_prometheus_reads():
    """Counts of what went on, by names that say their unit."""
    async with Server([log]) as server, dial_v1(server) as one, dial_v1(server) as two:
        answer = await one.subscribe("log")
        await two.subscribe("log")
        channel = await server.hub.channel("log")
        for number in range(3):
            await channel.publish({"n": number})
        await one.rows(3)
        await two.rows(3)
        await two.subscribe("log", Cursor(answer.epoch, 1))
        assert await told_by(server) == {
            "connections": 2,
            "channels": 1,
            "lag": 0,
            "queue_bytes": 0,
            "messages_total": 3,
            "deliveries_total": 3 + 3 + 2,
            "dropped_total": 0,
            "gaps_total": 0,
            "conflated_total": 0,
            "recoveries_total": 1,
        }


async def test_who_reads_too_slowly_shows_in_the_metrics(monkeypatch):
    """The messages and bytes that wait for it, and those that it has lost when it reads on."""
    monkeypatch.setattr(outbox, "STALL_TIMEOUT", 1_000)
    async with Server([log], engine="memory://?max_messages=20") as server:
        channel = await server.hub.channel("log")
        async with dial_v1(server, max_queue=1) as slow:
            await slow.subscribe("log")
            while channel.lag < 40:
                await channel.publish("x" * 100_000)
                await asyncio.sleep(2 * FLUSH_INTERVAL)
            told = await told_by(server)
            assert told["lag"] == channel.lag
            assert told["queue_bytes"] > outbox.WRITE_HIGH
            assert told["gaps_total"] == 0
            gap = await slow.hear(Gap)
            read = sum(run.count for run in slow.log if isinstance(run, Messages))
            assert gap.first == read + 1
            await slow.rows(channel.log.last - gap.last)
            told = await told_by(server)
            assert told["lag"] == told["queue_bytes"] == told["dropped_total"] == 0
            assert told["gaps_total"] == 1
            assert told["deliveries_total"] == channel.log.last - (gap.last - gap.first + 1)


async def test_who_reads_nothing_shows_in_the_metrics():
    """Its end is counted."""
    async with Server([log]) as server:
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(("127.0.0.1", server.port))
            deaf.sendall(upgrade(f"/log?token={server.token}"))
            await eventually(lambda: server.statistics().connections == 1)
            channel = await server.hub.channel("log")
            while server.statistics().queue_bytes <= outbox.WRITE_HIGH:
                await channel.publish("x" * 100_000)
                await asyncio.sleep(2 * FLUSH_INTERVAL)
            await eventually(lambda: server.statistics().dropped)
        told = await told_by(server)
        assert (told["connections"], told["dropped_total"], told["lag"]) == (0, 1, 0)
