"""The public keys that foreign tokens are checked with: RSA keys, from a file or from a URL (RFC 7517)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, build_opener

from rtwidgets.checks import without_secrets
from rtwidgets.errors import Refused, RtError, ServeError, UsageError
from rtwidgets.loop import aside, report
from rtwidgets.server.loopback import is_loopback

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

__all__ = ["KeySet", "NoKey", "read_jwks", "read_public_key"]

REFRESH_AFTER = 600.0
"""Seconds after which a key set is fetched again, so that a key that was withdrawn is not taken for ever."""
REFRESH_EVERY = 10.0
"""Seconds between two fetches at the least, whatever tokens are shown: anybody can make up a key's name."""
FETCH_TIMEOUT = 5.0
"""Seconds that the host of a key set has for each step of its answer."""
MAX_JWKS = 2**20
"""Bytes of a key set at the most."""
MIN_BITS = 2048
"""Length of an RSA key at the least (RFC 7518, section 3.3)."""


class NoKey(Refused):
    """A token's key is not in the set, as far as it is known."""

    def __init__(self) -> None:
        super().__init__("unauthorized", "the token is signed with a key that this server does not know")


class KeySet:
    """RSA keys by the name that a token's `kid` gives.

    Parameters
    ----------
    keys
        Those that are known at first; a key without a name has the name None.
    url
        Where newer ones are; None when these are all.
    """

    def __init__(self, keys: Mapping[str | None, RSAPublicKey], url: str | None = None) -> None:
        self._keys = dict(keys)
        self._url = url
        self._fetched: float | None = None
        self._tried: float | None = None
        self._fetching = asyncio.Lock()

    def __repr__(self) -> str:
        return f"KeySet({len(self._keys)} keys)"

    def find(self, kid: str | None) -> RSAPublicKey:
        """Return the key of a name. A token that names none is checked with the only key, if there is one.

        Raises
        ------
        NoKey
            When there is no such key.
        """
        if len(self._keys) == 1 and (kid is None or None in self._keys):
            return next(iter(self._keys.values()))
        if kid is None or kid not in self._keys:
            raise NoKey
        return self._keys[kid]

    async def refresh(self, *, unknown: bool = False) -> None:
        """Fetch the set if it is old, or if a name is unknown; not more than once in `REFRESH_EVERY` seconds.

        Raises
        ------
        Refused
            With the code ``unavailable`` when nobody can tell, because the last fetch failed.
        """
        if self._url is None:
            return
        if self._is_due(unknown=unknown):
            async with self._fetching:
                if self._is_due(unknown=unknown):  # nobody fetched it while this one waited
                    await self._fetch(self._url)
        if self._fetched is None or (unknown and self._fetched != self._tried):
            raise Refused("unavailable", "the keys to check tokens with cannot be fetched: try later")

    def _is_due(self, *, unknown: bool) -> bool:
        now = time.monotonic()
        if self._tried is not None and now - self._tried < REFRESH_EVERY:
            return False
        return unknown or self._fetched is None or now - self._fetched >= REFRESH_AFTER

    async def _fetch(self, url: str) -> None:
        began = time.monotonic()
        try:
            self._keys = _keys(await aside(lambda: json.loads(_get(url)), "fetching a key set"), "it")
        except (OSError, HTTPException, ValueError, RtError) as error:
            # Those that are known are good for longer than most failures last.
            report("the keys of tokens", ServeError(f"{without_secrets(url)} gave no key set: {error}"))
        else:
            self._fetched = began
        self._tried = began  # not before: those who come meanwhile wait for what comes of it


def read_public_key(given: str) -> KeySet:
    """Return the set with the one key of a PEM text, or of a file with one.

    Raises
    ------
    UsageError
        When it is not an RSA public key, or cannot be read.
    """
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    is_text = given.lstrip().startswith("-----BEGIN")
    try:
        key = load_pem_public_key((given if is_text else _read(given, "public_key")).encode())
    except ValueError:
        key = None
    if not isinstance(key, RSAPublicKey) or key.key_size < MIN_BITS:
        raise UsageError(
            f"public_key is no RSA public key of {MIN_BITS} bits or more in PEM form: it begins with "
            "-----BEGIN PUBLIC KEY-----, and 'openssl rsa -in private.pem -pubout' makes it of a private one"
        )
    return KeySet({None: key})


def read_jwks(given: str | Mapping[str, Any]) -> KeySet:
    """Return the key set of a URL, a file or a dict. A URL is not asked before the first token comes.

    Raises
    ------
    UsageError
        When it is not a key set with an RSA key in it, cannot be read, or the URL is not to be trusted.
    """
    if not isinstance(given, str):
        return KeySet(_keys(given, "the dict"))
    if "://" not in given:
        try:
            return KeySet(_keys(json.loads(_read(given, "jwks")), given))
        except (ValueError, RecursionError) as error:
            raise UsageError(f"jwks: {given} is not JSON: {error}") from error
    try:
        parts = urlsplit(given)
        trusted = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    except ValueError:
        trusted = False
    if not trusted:
        raise UsageError(
            f"jwks={without_secrets(given)!r}: whoever can change what comes from there can make tokens, "
            "so give an https URL, or download the set and give its path"
        )
    return KeySet({}, given)


def _keys(jwks: object, where: str) -> dict[str | None, RSAPublicKey]:
    """Return the keys of a set that RS256 can use, as section 5 of RFC 7517 says: the others are left out."""
    import jwt

    given = jwks.get("keys") if isinstance(jwks, Mapping) else None
    keys: dict[str | None, Any] = {}
    for each in given if isinstance(given, list) else []:
        if (
            not isinstance(each, dict)
            or each.get("kty") != "RSA"
            or each.get("use", "sig") != "sig"
            or each.get("alg", "RS256") != "RS256"
        ):
            continue
        try:
            public = {name: each[name] for name in ("kty", "n", "e")}
            key = jwt.PyJWK(public, "RS256").key
        except (jwt.PyJWTError, KeyError, ValueError):
            continue
        kid = each.get("kid")
        if key.key_size >= MIN_BITS and (kid is None or isinstance(kid, str)):
            keys[kid] = key
    if not keys:
        raise UsageError(
            f"{where} has no RSA key of {MIN_BITS} bits or more for signatures with RS256: "
            'a key set is {"keys": [{"kty": "RSA", "kid": …, "n": …, "e": …}]}'
        )
    return keys


def _read(path: str, option: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise UsageError(f"{option}: {path!r} cannot be read: {reason or error}") from error


class _NoRedirects(HTTPRedirectHandler):
    """The host that was named is the one that is trusted."""

    def redirect_request(self, *_: object) -> None:
        """Follow none: it is then an error of its status."""
        return


def _get(url: str) -> bytes:
    handlers: list[Any] = [_NoRedirects()]
    if is_loopback(urlsplit(url).hostname or ""):
        handlers.append(ProxyHandler({}))
    try:
        with build_opener(*handlers).open(url, timeout=FETCH_TIMEOUT) as answer:
            body: bytes = answer.read(MAX_JWKS + 1)
    except HTTPError as error:
        with error:
            raise OSError(f"it answered {error.code}") from None
    if len(body) > MAX_JWKS:
        raise ValueError(f"it is larger than {MAX_JWKS} bytes")
    return body
