"""`rtwidgets new`, and `rtwidgets serve` of what users write."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
from websockets.sync.client import connect

from tests.test_cli import ENVIRONMENT, in_process, run

__all__ = ["run"]  # a fixture

SERVICE = """
import rtwidgets as rt
from rtwidgets.server import Service
from rtwidgets.services import Prices


@rt.service("/rooms", key="room")
async def rooms(channel):
    await channel.publish({"room": "attic"})


class Humidity(Service):
    name = path = "/humidity"


class Base(Service):
    "Has no path, so it cannot be served."
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to be in; what is imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


def run_pytest(folder):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
    return subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)


# new


def test_a_starter_works_as_it_is(run, tmp_path):
    """Its test passes, its service is served with another one by its path, and any client gets its rows."""
    made = run("new", "service", "temperatures", "--dir", "lab/mine")
    assert made.end() == 0
    files = sorted((tmp_path / "lab" / "mine").iterdir())
    assert [path.name for path in files] == ["temperatures.py", "test_temperatures.py"]
    assert all(str(path.relative_to(tmp_path)) in "\n".join(made.out) for path in files)

    tested = run_pytest(tmp_path / "lab" / "mine")
    assert tested.returncode == 0, tested.stdout
    assert "2 passed" in tested.stdout

    server = run("serve", "prices", "./lab/mine/temperatures.py", "--json")
    ready = server.ready()
    assert ready["paths"] == ["/prices", "/temperatures"]
    server.seen(r'in a notebook: rt\.connect\("temperatures", server="', server.err)
    with connect(f"{ready['url']}/temperatures?token={ready['token']}", proxy=None) as client:
        assert json.loads(client.recv())["sensor"] == "indoors"
    assert server.end(signal.SIGTERM) == 0


def test_its_test_sees_other_rows(here):
    """The written test fails when the rows are others."""
    assert in_process("new", "service", "sensors").exit_code == 0
    code = here / "sensors.py"
    code.write_text(code.read_text().replace('{"sensor"', '{"where"'))
    tested = run_pytest(here)
    assert tested.returncode == 1
    assert "KeyError: 'sensor'" in tested.stdout


def test_its_test_sees_an_error(here):
    """The written test fails when the service does, though its rows have come."""
    assert in_process("new", "service", "sensors").exit_code == 0
    code = here / "sensors.py"
    twice = code.read_text().replace("while True:", "for _ in (1, 2):").replace("sleep(0.2)", "sleep(0)")
    code.write_text(twice + '    raise OSError("it is unplugged")\n')
    tested = run_pytest(here)
    assert tested.returncode == 1
    assert "2 passed, " in tested.stdout
    assert "service /sensors: OSError: it is unplugged" in tested.stdout


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("my-rooms", "'my-rooms' is no name for a Python module: begin with a letter, and use letters"),
        ("rooms.py", "is no name for a Python module"),
        ("../rooms", "is no name for a Python module"),
        ("2rooms", "is no name for a Python module"),
        ("__main__", "is no name for a Python module"),
        ("größe", "is no name for a Python module"),
        ("", "is no name for a Python module"),
        ("x" * 101, "100 at the most"),
        ("class", "'class' is a word of Python's own"),
        ("prices", "'prices' is taken: a service of that name comes with rtwidgets"),
        ("random", "'random' is taken: Python has a module of that name"),
        ("numpy", "'numpy' is taken"),
    ],
)
def test_a_name_that_cannot_be(here, name, said):
    """A name that is none, or is taken, is one line of text and exit code 2, and no file."""
    result = in_process("new", "service", name)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("there", ["rooms.py", "test_rooms.py"])
def test_no_file_is_overwritten(here, there):
    """Where one of the files is there already, neither is written."""
    (here / there).write_text("mine")
    result = in_process("new", "service", "rooms")
    assert result.exit_code == 2
    assert result.stderr == f"Error: {there} is there already: choose another name, or a folder with --dir\n"
    assert [(path.name, path.read_text()) for path in here.iterdir()] == [(there, "mine")]


def test_a_folder_that_cannot_be_made(here):
    """A file in the way is named in one line, with exit code 2."""
    (here / "file").write_text("")
    result = in_process("new", "service", "rooms", "--dir", "file/below")
    assert result.exit_code == 2
    assert result.stderr == "Error: cannot write to file/below: Not a directory\n"


# serve


def test_all_services_of_a_file(run, tmp_path):
    """A file stands for all services that it defines, and none that it builds on; it may import its
    neighbours."""
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "all_of_us.py").write_text(f"from neighbour import PERCENT\n{SERVICE}")
    (tmp_path / "below" / "neighbour.py").write_text("PERCENT = 41")
    ready = run("serve", "below/all_of_us.py", "--json").ready()
    assert ready["paths"] == ["/rooms", "/humidity"]


@pytest.mark.parametrize("target", ["below/house.py:rooms", "below.house:rooms"])
def test_one_service_of_several(run, tmp_path, target):
    """``file.py:Name`` and ``module:Name`` stand for one service; a single one answers at / when open."""
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "house.py").write_text(SERVICE)
    ready = run("serve", target, "--open", "--json").ready()
    assert ready["paths"] == ["/rooms"]
    with connect(ready["url"], proxy=None) as client:
        assert json.loads(client.recv()) == {"room": "attic"}


def test_a_service_named_twice(here):
    """Is one service; two names of one file do not run its code twice."""
    from rtwidgets.cli.targets import find_services

    (here / "house_of_two.py").write_text(SERVICE)
    rooms, humidity = find_services(["house_of_two.py", "./house_of_two.py:Humidity", "house_of_two:rooms"])
    assert (rooms.path, humidity.path) == ("/rooms", "/humidity")


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        (["nowhere.py"], "there is no file nowhere.py"),
        (["house"], "documents"),  # what there is
        (["house"], "; or one of your own: house.py"),
        (["nonsense"], "; or one of your own: file.py, file.py:Name or module:Name"),
        ([":rooms"], "there is no service ':rooms'"),
        (["house.py:Attic"], "there is no service 'Attic' in house.py; there is: rooms, Humidity"),
        (["house:Base"], "there is no service 'Base' in house; there is: rooms, Humidity"),
        (["empty:x"], "there is no service 'x' in empty; there is: none"),
        (["empty.py"], "there is no service in empty.py: write @rt.service('/name') above a coroutine"),
        (["none.such:Name"], "none.such cannot be imported: ModuleNotFoundError: No module named 'none'"),
        (
            ["broken.py"],
            "broken.py cannot be imported: ZeroDivisionError: division by zero (broken.py, line 2)",
        ),
        (["broken:x"], "broken cannot be imported: ZeroDivisionError: division by zero (broken.py, line 2)"),
        (["odd.py"], "odd.py cannot be imported: SyntaxError: invalid syntax (odd.py, line 1)"),
        (["wrong.py"], "UsageError: 'attic' is not a service path: write it as '/name'"),
        (["wrong.py"], "(wrong.py, line 3)"),
        (["below/json.py"], "below/json.py cannot be imported: Python has a module 'json' already"),
        (["house.py", "house_too.py"], "two services have the path /rooms: leave one of them out"),
    ],
)
def test_what_cannot_be_served(here, targets, said):
    """Is one line of text that says where to look, and exit code 2."""
    (here / "below").mkdir()
    for name, code in {
        "house.py": SERVICE,
        "house_too.py": SERVICE,
        "empty.py": "from rtwidgets.services import Prices",
        "broken.py": "\n1 / 0",
        "odd.py": "def (:",
        "wrong.py": "import rtwidgets as rt\n\n@rt.service('attic')\nasync def attic(channel): ...",
        "below/json.py": "",
    }.items():
        (here / name).write_text(code)
    result = in_process("serve", *targets)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
