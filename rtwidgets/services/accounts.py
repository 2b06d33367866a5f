"""Accounts: names and passwords in, short-lived signed tokens out, which the other systems take."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import math
import secrets
import sqlite3
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar
from weakref import WeakValueDictionary

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, VerifyMismatchError
from argon2.low_level import ARGON2_VERSION

from rtwidgets.errors import Refused, UsageError
from rtwidgets.loop import report
from rtwidgets.messages import MAX_USER
from rtwidgets.server import Hub, Peer, Service
from rtwidgets.server.limits import TokenBucket
from rtwidgets.server.tokens import check_scope
from rtwidgets.services.credentials import Credentials, User
from rtwidgets.services.lockouts import Lockouts

__all__ = ["Accounts", "name_key", "normal_name"]

T = TypeVar("T")

SHORTEST, LONGEST = 8, 1_000
"""Characters of a password."""
MAX_REQUEST = 16_384
"""Bytes of a request: a password of the longest kind fits, however it is escaped."""
REQUEST_RATE, REQUEST_BURST = 1.0, 10.0
"""Requests a second that one connection may make, and how many of them at once after a pause."""
IDLE = 60.0
"""Seconds without a request after which a connection is closed: it needs no token to be there."""

HASHERS = 2
"""Passwords that are hashed at the same time; each takes 64 MiB for that long."""
MAX_WAITING = 32
"""Requests with a password that are under way at the most, those that are hashed among them."""
_GRACE = 0.5  # seconds that a stopping service waits for a hash; a thread that is late ends when it has it


def normal_name(name: str) -> str:
    """Return a user's name as it is kept: in Unicode's form NFKC, with single spaces.

    Raises
    ------
    Refused
        When it is empty, too long, or has characters that nobody sees.
    """
    if len(name) <= 4 * MAX_USER:  # one that is written in pieces gets shorter
        name = unicodedata.normalize("NFKC", name)
        if name.isprintable() and 0 < len(name := " ".join(name.split())) <= MAX_USER:
            return name
    raise Refused("bad_name", f"a name has 1 to {MAX_USER} characters, all of them visible, or spaces")


def name_key(name: str) -> str:
    """Return what two names have in common that are the same but for upper and lower case."""
    for _ in range(2):  # either step may leave work for the other
        name = unicodedata.normalize("NFKC", name.casefold())
    return name


class _Message(msgspec.Struct, tag_field="type"):
    """Never shown: what it holds may be secret."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"


class _Register(_Message, tag="register"):
    user: str
    password: str


class _Login(_Message, tag="login"):
    user: str
    password: str


class _Refresh(_Message, tag="refresh"):
    refresh: str


class _Logout(_Message, tag="logout"):
    refresh: str


class _Token(_Message, tag="token"):
    user: str
    token: str
    expires: int
    lifetime: float
    refresh: str


class _LoggedOut(_Message, tag="logged_out"):
    pass


class _Error(_Message, tag="error", omit_defaults=True):
    code: str
    message: str
    seconds: int | None = None


_Request = _Register | _Login | _Refresh | _Logout
_decoder: msgspec.json.Decoder[_Request] = msgspec.json.Decoder(_Request)


def _decode(message: str | bytes) -> _Request:
    data = message if isinstance(message, bytes) else message.encode()
    with contextlib.suppress(ValueError, RecursionError):  # JSON of another kind, bad UTF-8, too deep
        if len(data) <= MAX_REQUEST:
            return _decoder.decode(data)
    # What was sent is not repeated: it may have a password in it.
    raise Refused(
        "bad_message",
        'send {"type": "register", "user": …, "password": …}, the same with "login", '
        f'or {{"type": "refresh", "refresh": …}}, the same with "logout"; in {MAX_REQUEST} bytes at the most',
    )


def _normal(password: str) -> str:
    # As RFC 8265 has it for passwords: keyboards differ in how they write the same character.
    return unicodedata.normalize("NFC", password)


def _unmatched(hasher: PasswordHasher) -> str:
    """Return a hash that takes as long to verify as any other, and that no password has."""
    salt, digest = (
        base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=")
        for size in (hasher.salt_len, hasher.hash_len)
    )
    costs = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v={ARGON2_VERSION}${costs}${salt}${digest}"


class Accounts(Service):
    """Names and passwords at ``/accounts``, without a token: this is where clients get one.

    Answers `register` and `login` with a signed token, which is good for `lifetime` seconds, and a refresh
    token, which is good once, for the next pair. Passwords are hashed with Argon2id, in the low-memory
    profile of RFC 9106, and those of names that nobody has as well, so that the answer and the time it takes
    do not tell who is registered. Plain clients only: it has no channels.
    """

    class Options(msgspec.Struct, forbid_unknown_fields=True):
        """`database` is a file; without one all is forgotten when the server stops.

        `lifetime` is a token's, in seconds, and `scopes` are what it allows. After `attempts` wrong passwords
        a name is locked, for 1 s and then for twice as long each time, up to 15 min. To register a client has
        to show the server's own token, unless `registration` is ``"open"``: then anybody gets what `scopes`
        allow.
        """

        database: str | None = None
        lifetime: Annotated[float, msgspec.Meta(ge=1, le=86_400)] = 900.0
        scopes: list[str] = msgspec.field(default_factory=lambda: ["subscribe:*", "publish:*", "presence:*"])
        attempts: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 5
        registration: Literal["token", "open"] = "token"

    name = "accounts"
    path = "/accounts"
    has_channels = False
    public = True
    hasher: ClassVar[PasswordHasher] = PasswordHasher()

    def __init__(
        self, hub: Hub, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(hub, seed=seed, options=options)
        database = self.options.database
        self._path = None if database is None else Path(database).absolute()
        if self._path is not None and not self._path.parent.is_dir():
            raise UsageError(
                f"options of 'accounts': the folder {self._path.parent} does not exist: "
                "make it, or choose another database"
            )
        for scope in self.options.scopes:
            check_scope(scope)
        self._lockouts = Lockouts(self.options.attempts)
        self._nobody = _unmatched(self.hasher)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._waiting = 0
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="rtwidgets-accounts")
        self._hashers = ThreadPoolExecutor(HASHERS, thread_name_prefix="rtwidgets-passwords")
        self._book: Credentials | None = None
        self._opened = asyncio.Event()

    def clock(self) -> float:
        """Return the time that lock-outs go by, in seconds."""
        return time.monotonic()

    async def run(self) -> None:
        """Keep the file open while the server runs."""
        loop = asyncio.get_running_loop()
        try:
            self._book = await loop.run_in_executor(self._disk, Credentials, self._path)
            self._opened.set()
            await loop.create_future()
        finally:
            book, self._book = self._book, None  # what waits for a thread ends by this
            self._opened.set()
            if book is not None:
                await loop.run_in_executor(self._disk, book.close)
            pools = [self._disk, self._hashers]
            ends = [loop.run_in_executor(None, pool.shutdown) for pool in pools]
            await asyncio.wait(ends, timeout=_GRACE)

    async def talk(self, peer: Peer) -> None:
        """Answer requests, until the client goes or has made none for a minute."""
        await self._opened.wait()
        made = TokenBucket(REQUEST_RATE, REQUEST_BURST)
        messages = aiter(peer)
        while True:
            try:
                async with asyncio.timeout(IDLE):
                    message = await anext(messages)
            except (StopAsyncIteration, TimeoutError):
                return
            if wait := made.take(asyncio.get_running_loop().time()):
                await asyncio.sleep(wait)
            try:
                answer = await self._answer(_decode(message), trusted=peer.trusted)
            except Refused as refusal:
                answer = _Error(refusal.code, refusal.message)
            await peer.send(answer)

    async def _answer(self, request: _Request, *, trusted: bool) -> _Message:
        match request:
            case _Register(user, password):
                if not trusted and self.options.registration != "open":
                    raise Refused(
                        "forbidden",
                        "to register here takes the server's own token in the handshake, as ?token=…: "
                        "ask whoever runs it",
                    )
                with self._place():
                    return await self._register(normal_name(user), password)
            case _Login(user, password):
                name = normal_name(user)
                # One after the other for each name, or many at once would all be before the first failure.
                turn = self._turns.setdefault(name_key(name), asyncio.Lock())
                with self._place():
                    async with turn:
                        return await self._login(name_key(name), password)
            case _Refresh(refresh):
                rotated = await self._stored(Credentials.rotate, refresh, time.time())
                if rotated is None:
                    raise Refused("bad_refresh", "this refresh token is used up or its session over: log in")
                return self._token(*rotated)
            case _Logout(refresh):
                await self._stored(Credentials.end, refresh)
                return _LoggedOut()

    async def _register(self, name: str, password: str) -> _Token:
        if not SHORTEST <= len(password) <= LONGEST:
            raise Refused(
                "weak_password",
                f"a password has {SHORTEST} to {LONGEST} characters, not {len(password)}: choose another one",
            )
        key = name_key(name)
        # The file itself gives a name once; but for one that is taken no hash should be made.
        if await self._stored(Credentials.find, key) is not None:
            raise Refused("name_taken", f"somebody has the name {name!r} already: choose another one")
        made = await self._hashed(self._hash, password)
        return await self._begin(await self._stored(Credentials.add, key, name, made))

    async def _login(self, key: str, password: str) -> _Token | _Error:
        if wait := math.ceil(self._lockouts.wait(key, self.clock())):
            return _Error("locked", f"too many wrong passwords for this name: try again in {wait} s", wait)
        user: User | None = await self._stored(Credentials.find, key)
        right = await self._hashed(self._matches, self._nobody if user is None else user.hash, password)
        if user is None or not right:
            self._lockouts.failed(key, self.clock())
            raise Refused("wrong_password", "there is no user of this name with this password")
        self._lockouts.passed(key)
        if self.hasher.check_needs_rehash(user.hash):
            made = await self._hashed(self._hash, password)
            await self._stored(Credentials.rehash, user, made)
        return await self._begin(user)

    async def _begin(self, user: User) -> _Token:
        return self._token(user.name, await self._stored(Credentials.begin, user, time.time()))

    def _token(self, name: str, refresh: str) -> _Token:
        lifetime: float = self.options.lifetime
        token = self.hub.tokens.issue(name, scopes=self.options.scopes, lifetime=lifetime)
        expires = self.hub.tokens.verify(token).expires
        assert expires is not None
        return _Token(name, token, round(expires * 1000.0), lifetime, refresh)

    def _matches(self, hash: str, password: str) -> bool:
        try:
            return self.hasher.verify(hash, _normal(password))
        except VerifyMismatchError:
            return False

    def _hash(self, password: str) -> str:
        return self.hasher.hash(_normal(password))

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        """Take a place among the requests with a password."""
        if self._waiting >= MAX_WAITING:
            raise Refused("busy", "too many log in at this moment: try again in some seconds")
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def _stored(self, method: Callable[..., T], *args: object) -> T:
        """Have the file do something."""
        return await self._on(self._disk, lambda book: method(book, *args))

    async def _hashed(self, function: Callable[..., T], *args: str) -> T:
        """Have a password hashed."""
        return await self._on(self._hashers, lambda _: function(*args))

    def _open_book(self) -> Credentials:
        if self._book is None:
            raise Refused("unavailable", "the server stops, or cannot open its accounts: try again later")
        return self._book

    async def _on(self, pool: ThreadPoolExecutor, work: Callable[[Credentials], T]) -> T:
        self._open_book()
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, lambda: work(self._open_book()))
        except (sqlite3.Error, Argon2Error) as error:
            report("service /accounts", error)
            raise Refused(
                "unavailable", "the server cannot read or write its accounts now: try again later"
            ) from error
