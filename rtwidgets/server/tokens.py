"""Signed tokens: who somebody is, what they may do and until when, in a text that the server can check.

JSON Web Tokens (RFC 7519) in the compact form of RFC 7515, with the advice of RFC 8725: each algorithm has
keys of its own, so a token's header chooses among keys of one kind and never how a key is used. HS256 goes
with the server's secret, RS256 with the RSA keys of an identity provider (a JSON Web Key Set, RFC 7517). The
claims are `sub`, the user; `exp`, when it ends; `aud`, where a server asks for it; and `scope`, which is as
in RFC 8693 words with spaces between them: ``subscribe:prices publish:chat/*``.
"""

from __future__ import annotations

import math
import re
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from rtwidgets.errors import Refused, UsageError
from rtwidgets.messages import MAX_USER
from rtwidgets.server.keys import KeySet, NoKey, read_jwks, read_public_key

__all__ = ["ACTIONS", "FULL", "MAX_TOKEN", "NOTHING", "Grant", "Tokens", "check_scope"]

ACTIONS = ("subscribe", "publish", "presence")
"""What a token can allow on channels."""
MAX_TOKEN = 8_192
"""Characters of a token at the most: as long as a line of a handshake may be."""
MIN_SECRET = 32
"""Bytes of a secret at the least: as long as what HS256 makes of it (RFC 7518, section 3.2)."""
LEEWAY = 5.0
"""Seconds that the clock of who issued a token may be ahead of this one. Its end counts to the second."""

_SCOPE = re.compile(r"(subscribe|publish|presence|\*):(\*|[A-Za-z0-9._~/-]+\*?)")


def check_scope(scope: str) -> str:
    """Return `scope` if it is one.

    Raises
    ------
    UsageError
        Otherwise.
    """
    if not _SCOPE.fullmatch(scope):
        raise UsageError(
            f"{scope!r} is not a scope: write ACTION:CHANNEL, as in 'subscribe:prices', 'publish:chat/*' or "
            f"'*:*'; the actions are {', '.join(ACTIONS)} and * for all"
        )
    return scope


@dataclass(frozen=True, slots=True)
class Grant:
    """What somebody may do.

    Attributes
    ----------
    subject
        Who it is: the name in presence and chat. None for the server's own token, which lets one choose.
    scopes
        ``action:pattern`` each. An action of ``*`` is all of them; a pattern is a channel's name, or
        with a ``*`` at its end what names begin with. What is not of this form allows nothing.
    expires
        When it ends, in seconds of Unix time; None for never.
    """

    subject: str | None
    scopes: tuple[str, ...]
    expires: float | None = None

    def allows(self, action: str, channel: str) -> bool:
        """Whether it covers an action (one of `ACTIONS`) on a channel."""
        for scope in self.scopes:
            given, _, pattern = scope.partition(":")
            if given in {action, "*"} and (
                channel.startswith(pattern[:-1]) if pattern.endswith("*") else channel == pattern
            ):
                return True
        return False

    @property
    def expired(self) -> bool:
        """Whether its time is over."""
        return self.expires is not None and self.expires <= time.time()


FULL = Grant(None, ("*:*",))
"""The rights of who shows the server's own token, and of everybody where a server is open."""
NOTHING = Grant(None, ())
"""The rights of who shows no token."""


class _Config(msgspec.Struct, forbid_unknown_fields=True):
    secret: str | None = None
    public_key: str | None = None
    jwks: str | dict[str, Any] | None = None
    audience: str | None = None


class Tokens:
    """Issues signed tokens and checks them.

    Parameters
    ----------
    secret
        At least 32 bytes (as UTF-8) to sign with, and to check what this server or others with the same
        secret signed (HS256). Random when None: then tokens are of no use after a restart.
    public_key
        An RSA key in PEM form, or the path of a file with it, for tokens that somebody else signed (RS256).
    jwks
        Instead of it a key set: its https URL, the path of a file, or the set as a dict. The token's `kid`
        names the key. What a URL gave is asked for again every ten minutes, and for an unknown `kid`.
    audience
        What `aud` of a token has to be or to hold. A token that has an `aud` is for nobody else, so it is
        refused where None is configured.

    Raises
    ------
    UsageError
        When these do not hold together or cannot be read.
    """

    def __init__(
        self,
        *,
        secret: str | None = None,
        public_key: str | None = None,
        jwks: str | Mapping[str, Any] | None = None,
        audience: str | None = None,
    ) -> None:
        if secret is not None and len(secret.encode(errors="surrogatepass")) < MIN_SECRET:
            raise UsageError(
                f"the secret is too short: take {MIN_SECRET} random bytes or more, such as "
                "secrets.token_urlsafe(32)"
            )
        if public_key is not None and jwks is not None:
            raise UsageError("public_key and jwks are two ways to say the same: leave one out")
        self.audience = audience
        self._secret = secret or secrets.token_urlsafe(MIN_SECRET)
        self._keys: KeySet | None = None
        if public_key is not None:
            self._keys = read_public_key(public_key)
        elif jwks is not None:
            self._keys = read_jwks(jwks)

    @classmethod
    def from_config(cls, config: Mapping[str, Any] | None) -> Tokens:
        """Make it of plain data: the parameters by name.

        Raises
        ------
        UsageError
            For options it does not have, and as for the parameters.
        """
        try:
            checked = msgspec.convert(dict(config or {}), _Config)
        except (msgspec.ValidationError, TypeError, ValueError) as error:
            names = ", ".join(field.name for field in msgspec.structs.fields(_Config))
            raise UsageError(
                f"options of jwt: {error}. It has: {names}"
            ) from None  # the cause has the values
        return cls(**msgspec.structs.asdict(checked))

    def __repr__(self) -> str:
        return "Tokens()" if self.audience is None else f"Tokens(audience={self.audience!r})"

    def issue(self, subject: str, *, scopes: Iterable[str] = (), lifetime: float) -> str:
        """Return a new token, signed with the secret.

        Parameters
        ----------
        subject
            Whose it is: 1 to 100 characters.
        scopes
            What it allows; see `Grant`.
        lifetime
            Seconds from now, rounded up to whole ones.

        Raises
        ------
        UsageError
            When the subject, a scope or the lifetime is none.
        """
        import jwt

        if not 0 < len(subject) <= MAX_USER:
            raise UsageError(f"a user's name has 1 to {MAX_USER} characters, not {len(subject)}")
        if not 0 < lifetime < math.inf:
            raise UsageError(f"a token lives for some seconds, not {lifetime}")
        now = time.time()
        claims: dict[str, Any] = {"sub": subject, "iat": int(now), "exp": math.ceil(now + lifetime)}
        claims["scope"] = " ".join(check_scope(scope) for scope in scopes)
        if self.audience is not None:
            claims["aud"] = self.audience
        return jwt.encode(claims, self._secret, algorithm="HS256")

    def verify(self, token: str) -> Grant:
        """Return what a token allows.

        Raises
        ------
        Refused
            With the code ``token_expired`` when that is all that is wrong with it, else ``unauthorized``.
        """
        import jwt

        if len(token) > MAX_TOKEN or not token.isascii():
            raise Refused("unauthorized", "the token is none of this server")
        try:
            header = jwt.get_unverified_header(token)
            algorithm = header.get("alg")
            if algorithm == "HS256":
                key: Any = self._secret
            elif algorithm == "RS256" and self._keys is not None:
                key = self._keys.find(header.get("kid"))
            else:
                raise Refused("unauthorized", "the token is not signed in a way that this server takes")
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self.audience,
                leeway=LEEWAY,
                options={"require": ["exp", "sub"], "enforce_minimum_key_length": True},
            )
        except jwt.ExpiredSignatureError:
            raise Refused("token_expired", "the token has expired: get a new one") from None
        except jwt.InvalidAudienceError:
            raise Refused("unauthorized", "the token is for another audience than this server") from None
        except jwt.PyJWTError as error:
            raise Refused("unauthorized", f"the token is none of this server: {error}") from None
        return _grant(claims)

    async def check(self, token: str) -> Grant:
        """Do as `verify`, but fetch the key set first where its URL is configured and that is needed.

        Raises
        ------
        Refused
            As `verify`; with the code ``unavailable`` when the key set cannot be had now.
        """
        if self._keys is not None and _is_foreign(token):
            await self._keys.refresh()
            try:
                return self.verify(token)
            except NoKey:
                await self._keys.refresh(unknown=True)
        return self.verify(token)


def _is_foreign(token: str) -> bool:
    import jwt

    try:
        return token.isascii() and jwt.get_unverified_header(token).get("alg") == "RS256"
    except jwt.PyJWTError:
        return False


def _grant(claims: Mapping[str, Any]) -> Grant:
    subject, scope, expires = claims["sub"], claims.get("scope", ""), float(int(claims["exp"]))
    if not 0 < len(subject) <= MAX_USER:
        raise Refused("unauthorized", f"the token's sub has to have 1 to {MAX_USER} characters")
    if not isinstance(scope, str):
        raise Refused("unauthorized", "the token's scope has to be text: words with spaces between them")
    grant = Grant(subject, tuple(scope.split()), expires)
    if grant.expired:  # the leeway is for those that are not valid yet
        raise Refused("token_expired", "the token has expired: get a new one")
    return grant
