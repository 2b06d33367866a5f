"""The benchmarks run, at a small scale, and print one JSON object; their figures are not judged here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(module, *options):
    """Return what a benchmark prints with --json."""
    command = [sys.executable, "-m", f"benchmarks.{module}", "--json", *options]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=True)
    assert len(ran.stdout.splitlines()) == 1
    return json.loads(ran.stdout)


def test_ingest():
    """Each contender gets all of its rows."""
    found = run("ingest", "--rounds=1")
    assert list(found) == ["bare", "native", "foreign", "streamz", "perspective", "concat"]
    assert all(rate > 0 for rate in found.values())


def test_snapshot():
    """A snapshot shares memory and stays as it was."""
    for found in run("snapshot", "--sizes", "1000", "100000").values():
        assert found["shares_memory"]
        assert found["unchanged"]


def test_imports():
    """Importing is measured in fresh interpreters."""
    found = run("imports", "--times=1")
    assert 0 < found["added_ms"] < found["connect_ms"]


def test_memory():
    """A stream of more than the frame keeps does not make the process grow."""
    pytest.importorskip("psutil")
    assert run("memory", "--megabytes=50")["growth_mb"] < 50


def test_stalled():
    """The others get all that is published."""
    pytest.importorskip("psutil")
    assert run("stalled", "--seconds=3", "--clients=2")["deliveries_per_s"] > 10_000


def test_stress():
    """Whatever is broken in a few seconds, nothing is lost and nothing is there twice."""
    found = run("stress", "--seconds=5", "--seed=3")
    assert sum(found["faults"].values()) > 5
    assert {"server killed", "server restarted"} & set(found["faults"])
    assert found["messages"] > 0
    assert found["reconnects"] > 0
    assert found["lost"] == found["duplicated"] == found["elsewhere"] == found["errors"] == found["gaps"] == 0
    assert found["wrong"] == []


def test_durable():
    """Many publishers share commits, so that each costs less than one of its own."""
    found = run("durable", "--rounds=1", "--seconds=0.2")
    assert found["publishers_100"]["rate"] > found["publishers_100"]["commits"] > 0


def test_recovery():
    """Each way gets to the rows that a client missed; that all came once is checked there."""
    found = run("recovery", "--rounds=1", "--rows=2000")
    assert list(found) == ["memory", "sqlite"]
    for engine in found.values():
        assert list(engine) == ["recovery", "first", "websockets"]
        assert all(way["rows_per_s"] > 0 for way in engine.values())


def test_replay():
    """All that comes is recorded, and each time is found in a file, whole or cut; that is checked there."""
    pytest.importorskip("psutil")
    found = run("replay", "--rounds=1", "--rows=2000", "--seek=2", "--memory=20")
    assert list(found) == ["recording", "replay", "seek", "memory"]
    assert list(found["recording"]) == ["runs", "single", "batches"]
    assert all(each["recorded"] > 0 for each in found["recording"].values())
    assert {"replay", "replay_runs", "read_json", "loop"} <= set(found["replay"])
    assert list(found["seek"]) == ["fast", "fast_cut", "slow", "slow_cut"]
    assert all(each["growth_mb"] < 50 for each in found["memory"].values())


def test_connections():
    """All come back, with nothing lost, as is checked there, and none makes too many attempts."""
    pytest.importorskip("psutil")
    found = run("connections", "--idle=100", "--seconds=0.5", "--clients=20")
    assert list(found["idle_kib"]) == ["websockets", "plain", "v1"]
    for end in ("restart", "crash"):
        assert 1 <= found[end]["attempts_10s"] <= 10
        assert found[end]["busiest_100ms_percent"] >= 100 / 20


def test_platform():
    """Every message, bid and order arrives, and all who watch an auction see the same."""
    pytest.importorskip("psutil")
    few = ("--clients=8", "--rate=10", "--watchers=8", "--bids=10", "--orders=200", "--seconds=1")
    found = run("platform", *few)
    assert found["chat"]["room"]["p99_ms"] > 0
    assert found["auction"]["lot"]["p99_ms"] > 0
    assert list(found["orders"]) == ["together", "together_sqlite", "apart", "apart_sqlite"]
    assert all(each["decided_per_s"] > 0 for each in found["orders"].values())


def test_documents():
    """All edits come to all editors, a long past to who opens it, and a save is what was saved."""
    pytest.importorskip("psutil")
    pytest.importorskip("pycrdt.websocket")
    found = run("documents", "--editors=8", "--seconds=1", "--edits=2000", "--length=5000", "--rounds=1")
    ways = ("memory", "sqlite", "pycrdt", "json")
    assert list(found["editors"]) == [f"{way}_{count}" for count in (2, 8) for way in ways]
    assert list(found["past"]) == ["typed", "scattered"]
    assert list(found["save"]) == ["middle", "ends", "scattered", "half"]
    assert found["save"]["middle"]["edits"] == 1
    assert list(found["edit"]) == ["memory", "sqlite"]


@pytest.mark.browser
def test_keystroke():
    """Each key comes to the other browser's screen after it was pressed."""
    found = run("keystroke", "--keys=5")
    assert 0 < found["p50_ms"] <= found["p95_ms"] <= found["worst_ms"]


def test_book():
    """Each contender keeps the books of real messages."""
    found = run("book", "--rounds=1")
    assert list(found) == ["coinbase", "changes", "kraken"]
    assert all(rate > 0 for rates in found.values() for rate in rates.values())
