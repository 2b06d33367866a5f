import re
import sqlite3
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from rtwidgets.errors import Refused, ServeError, UsageError
from rtwidgets.services import credentials
from rtwidgets.services.credentials import SESSION_AGE, Credentials


@pytest.fixture
def path(tmp_path):
    return tmp_path / "accounts.db"


@pytest.fixture
def book(path):
    with closing(Credentials(path)) as book:
        yield book


def test_a_user_is_found_by_key_as_it_was_added(book):
    """And not by another one."""
    added = book.add("ada", "Ada", "$hash")
    assert book.find("ada") == added
    assert (added.name, added.hash) == ("Ada", "$hash")
    assert book.find("Ada") is None


def test_a_name_is_given_once(book):
    """The first one has it, whatever the others' hash."""
    book.add("ada", "Ada", "first")
    with pytest.raises(Refused, match="somebody has the name 'ADA' already") as caught:
        book.add("ada", "ADA", "second")
    assert caught.value.code == "name_taken"
    assert book.find("ada").hash == "first"


@pytest.mark.parametrize("key", ["'; DROP TABLE users; --", '"', "%", "_", "\\", "ада", "😀"])
def test_names_are_values_and_not_sql(book, key):
    """Whatever is in them."""
    book.add(key, key, "$hash")
    assert book.find(key).name == key
    assert book.find(key + "'") is None


def test_there_is_room_for_so_many_users(book, monkeypatch):
    """One more is refused, and those who are there stay."""
    monkeypatch.setattr(credentials, "MAX_USERS", 2)
    for name in ("a", "b"):
        book.add(name, name, "")
    with pytest.raises(Refused) as caught:
        book.add("c", "c", "")
    assert caught.value.code == "full"
    assert [book.find(name) is not None for name in "abc"] == [True, True, False]


def test_a_hash_is_replaced_only_if_it_is_the_one_that_was_found(book):
    """A password that was changed in between stays changed."""
    found = book.add("ada", "Ada", "old")
    book.rehash(found, "new")
    book.rehash(found, "too late")
    assert book.find("ada").hash == "new"


# Sessions


def test_each_refresh_token_gives_the_next(book):
    """Each one another, and each works once."""
    tokens = [book.begin(book.add("ada", "Ada", ""), 0.0)]
    for n in range(5):
        name, following = book.rotate(tokens[-1], float(n))
        assert name == "Ada"
        tokens.append(following)
    assert len(set(tokens)) == 6


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_used_refresh_token_ends_its_session(book, which, caplog):
    """However old it is; the user's other sessions go on, and the log has no token."""
    user = book.add("ada", "Ada", "")
    other, tokens = book.begin(user, 0.0), [book.begin(user, 0.0)]
    for _ in range(3):
        tokens.append(book.rotate(tokens[-1], 0.0)[1])
    assert book.rotate(tokens[which], 0.0) is None
    assert book.rotate(tokens[-1], 0.0) is None
    assert book.rotate(other, 0.0) is not None
    assert "a refresh token of 'Ada' was used again" in caplog.text
    assert not any(token in caplog.text for token in tokens)


@pytest.mark.parametrize(
    "made_up", ["", "x", "zz", "00", "0" * 96, "ff" * 48, "é", "\x00", "a" * 10_000, "' OR 1=1 --"]
)
def test_a_made_up_refresh_token_is_good_for_nothing(book, made_up):
    """And ends nobody's session."""
    refresh = book.begin(book.add("ada", "Ada", ""), 0.0)
    assert book.rotate(made_up, 0.0) is None
    book.end(made_up)
    assert book.rotate(refresh, 0.0) is not None


def test_of_those_who_use_a_refresh_token_at_once_one_gets_the_next(path):
    """On servers with the same file; and after that the session is over."""
    rounds, at_once, start = 20, 4, threading.Barrier(4)
    with closing(Credentials(path)) as book:
        user = book.add("ada", "Ada", "")
        tokens = [book.begin(user, 0.0) for _ in range(rounds)]

    def use(_):
        got = []
        with closing(Credentials(path)) as book:
            for token in tokens:
                start.wait(60)
                got.append(book.rotate(token, 0.0))
        return got

    with ThreadPoolExecutor(at_once) as pool:
        users = list(pool.map(use, range(at_once)))
    with closing(Credentials(path)) as book:
        for got in zip(*users, strict=True):
            (following,) = [each[1] for each in got if each is not None]
            assert book.rotate(following, 0.0) is None


def test_a_session_ends_when_it_was_not_used_for_long(book):
    """Each use puts that off."""
    refresh, now = book.begin(book.add("ada", "Ada", ""), 0.0), 0.0
    for _ in range(3):
        now += SESSION_AGE - 1.0
        _, refresh = book.rotate(refresh, now)
    assert book.rotate(refresh, now + SESSION_AGE) is None


def test_a_session_that_was_ended_is_over(book):
    """Told with any token of it; the others go on."""
    user = book.add("ada", "Ada", "")
    first, other = book.begin(user, 0.0), book.begin(user, 0.0)
    _, second = book.rotate(first, 0.0)
    book.end(first)
    assert book.rotate(second, 0.0) is None
    assert book.rotate(other, 0.0) is not None


def test_sessions_do_not_pile_up(book, path, monkeypatch):
    """Of one user the newest stay, and those that are over are deleted; other users keep theirs."""
    monkeypatch.setattr(credentials, "MAX_SESSIONS", 3)
    ada, eve = book.add("ada", "Ada", ""), book.add("eve", "Eve", "")
    kept = book.begin(ada, 0.0)
    tokens = [book.begin(eve, float(n)) for n in range(10)]
    assert [book.rotate(token, 10.0) is not None for token in tokens] == [False] * 7 + [True] * 3
    _, kept = book.rotate(kept, 10.0)
    book.begin(ada, 11.0 + SESSION_AGE)
    with closing(sqlite3.connect(path)) as sql:
        assert sql.execute("SELECT count(*) FROM sessions").fetchone() == (1,)


# The file


def test_everything_is_there_again(path):
    """Users and sessions, after the file was closed and opened."""
    with closing(Credentials(path)) as book:
        user = book.add("ada", "Ada", "$hash")
        refresh = book.begin(user, 0.0)
    with closing(Credentials(path)) as book:
        assert book.find("ada") == user
        assert book.rotate(refresh, 0.0) is not None


def test_no_refresh_token_is_in_the_file(path):
    """Nor a part of one, as text or as bytes."""
    with closing(Credentials(path)) as book:
        refresh = book.begin(book.add("ada", "Ada", ""), 0.0)
        _, following = book.rotate(refresh, 0.0)
        written = b"".join(each.read_bytes() for each in path.parent.iterdir())
    assert b"ada" in written
    for token in (refresh, following):
        for part in (token[:16], token[-16:]):
            assert part.encode() not in written
            assert bytes.fromhex(part) not in written


@pytest.mark.parametrize("before", [None, 0o644])
def test_the_file_is_for_its_owner_only(path, before):
    """Whether it was made just now or had been put there; so are those beside it."""
    if before is not None:
        Credentials(path).close()
        path.chmod(before)
    with closing(Credentials(path)) as book:
        book.add("ada", "Ada", "")
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    assert modes == dict.fromkeys(["accounts.db", "accounts.db-shm", "accounts.db-wal"], 0o600)


def test_there_is_no_moment_in_which_others_could_read_a_new_file(path, monkeypatch):
    """It is its owner's before SQLite opens it."""
    modes, connect = [], sqlite3.connect

    def watch(*args, **options):
        modes.append(stat.S_IMODE(path.stat().st_mode))
        return connect(*args, **options)

    monkeypatch.setattr(sqlite3, "connect", watch)
    Credentials(path).close()
    assert modes == [0o600]


def test_a_file_that_is_not_ours_stays_as_it_is(path):
    """Another program's database, a newer version's, and what is no database at all."""
    with closing(sqlite3.connect(path)) as sql:
        sql.execute("CREATE TABLE birds (name TEXT)")
    before = path.read_bytes()
    with pytest.raises(UsageError, match="is a database of another program"):
        Credentials(path)
    assert path.read_bytes() == before
    path.unlink()
    Credentials(path).close()
    with closing(sqlite3.connect(path)) as sql:
        sql.execute("PRAGMA user_version = 99")
    with pytest.raises(UsageError, match="is of a newer rtwidgets"):
        Credentials(path)
    path.write_text("a diary, and a long one" * 1_000)
    with pytest.raises(UsageError, match="is not a database"):
        Credentials(path)


def test_what_cannot_be_opened_is_said(path):
    """With what to do."""
    path.mkdir()
    with pytest.raises(ServeError, match=re.escape(f"cannot open {path} for accounts") + ".*mend its rights"):
        Credentials(path)


def test_a_hash_is_not_shown(book):
    """Not in the repr of the user who has it."""
    assert repr(book.add("ada", "Ada", "$hash")) == "User('Ada')"
