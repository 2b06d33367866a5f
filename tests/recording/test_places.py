"""Which file belongs to which connection."""

import threading

import pytest

from rtwidgets.errors import ConnectError
from rtwidgets.recording.places import Shelf, shelf


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("wss://ws.kraken.com", "ws.kraken.com"),
        ("wss://ws.kraken.com/", "ws.kraken.com"),
        ("wss://Stream.Binance.com:9443/ws/btcusdt@trade", "stream.binance.com-ws-btcusdt-trade"),
        ("wss://user:hush@feed.example.org/v1/?token=hush#x", "feed.example.org-v1"),
        ("ws://127.0.0.1:40123/../../etc/passwd", "127.0.0.1-..-..-etc-passwd"),
        ("ws://[::1]:8765/feed", "1-feed"),
        ("ws://x/" + "long" * 100, "x-" + ("long" * 100)[:118]),
        ("ws://", "feed"),
    ],
)
def test_a_file_has_the_name_of_host_and_path(tmp_path, url, name):
    """Ports, which may be chosen anew, and queries and names of users, which may be secret, are left out."""
    assert Shelf(tmp_path).path(url) == tmp_path / f"{name}.rtlog"


def test_the_same_url_again_is_another_file(tmp_path):
    """In order; what has the same host and path counts as the same, and no file is given twice."""
    here = Shelf(tmp_path)
    urls = ["ws://x/feed", "ws://x/feed?depth=5", "ws://x:8765/Feed", "ws://x/feed-2", "ws://x/other"]
    names = ["x-feed", "x-feed-2", "x-feed-3", "x-feed-2-2", "x-other"]
    assert [here.path(url).stem for url in urls] == names


def test_what_is_found_is_what_was_written(tmp_path):
    """By another process that asks for the same URLs in the same order."""
    urls = ["ws://x/feed", "ws://x/feed-2", "ws://x/feed", "ws://y"]
    written, found = Shelf(tmp_path / "new"), Shelf(tmp_path / "new")
    paths = [written.path(url) for url in urls]
    for path in paths:
        path.touch()
    assert [found.find(url) for url in urls] == paths
    assert len(set(paths)) == 4


def test_a_process_may_read_what_it_wrote(tmp_path):
    """Both begin with the first recording."""
    here = Shelf(tmp_path)
    paths = [here.path("ws://x") for _ in range(2)]
    for path in paths:
        path.touch()
    assert [here.find("ws://x") for _ in range(2)] == paths


def test_what_another_process_wrote_is_removed(tmp_path):
    """When it is recorded again: a reader would begin with the old connections."""
    (tmp_path / "x.rtlog").write_text("old")
    assert not Shelf(tmp_path).path("ws://x").exists()


def test_a_recording_that_is_not_there(tmp_path):
    """Is an error that says which ones there are, and how to make one; it may be asked for again."""
    here = Shelf(tmp_path)
    words = f"cannot connect to ws://x/ws: there is no recording x-ws.rtlog of it in {tmp_path}, only "
    advice = "pytest --rt-record=DIR or the environment variable RTWIDGETS_RECORD=DIR"
    with pytest.raises(ConnectError) as raised:
        here.find("ws://x/ws?token=hush")
    assert str(raised.value).startswith(f"{words}nothing: make one")
    assert str(raised.value).endswith(advice)
    for n in range(12):
        (tmp_path / f"{n:02}.rtlog").touch()
    with pytest.raises(ConnectError) as raised:
        here.find("ws://x/ws")
    assert f"{words}{', '.join(f'{n:02}.rtlog' for n in range(10))} and 2 more: make" in str(raised.value)
    (tmp_path / "x-ws.rtlog").touch()
    assert here.find("ws://x/ws").name == "x-ws.rtlog"
    with pytest.raises(ConnectError, match=r"there is no recording x-ws-2\.rtlog of it"):
        here.find("ws://x/ws")


def test_a_folder_has_one_shelf(tmp_path, monkeypatch):
    """However it is named; a change of the working directory does not move it."""
    monkeypatch.chdir(tmp_path)
    here = shelf("recordings")
    assert shelf(tmp_path / "recordings") is here
    assert shelf(f"{tmp_path}/other/../recordings/") is here
    monkeypatch.chdir("/")
    assert here.path("ws://x") == tmp_path / "recordings" / "x.rtlog"


def test_threads_get_names_of_their_own(tmp_path):
    """Each its own, when several ask at once."""
    here, paths, begin = Shelf(tmp_path), [], threading.Barrier(8)

    def ask():
        begin.wait()
        paths.extend(here.path("ws://x") for _ in range(50))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(paths)) == 400
