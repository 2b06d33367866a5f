"""Every error that rtwidgets raises. Floor 1 of the house: imports nothing of ours.

::

    RtError                       something a user can mend; the sentence says how
    ├── UsageError                a call that cannot be carried out as it was written
    │   ├── ChannelNameError      a channel name with characters that names may not have
    │   ├── SchemaError           a schema, column or dtype that does not hold together
    │   └── NotRunning            a name that nothing in this kernel answers to
    ├── ServeError                a server that could not be started
    │   └── PortInUse             another program has the port
    ├── ConnectError              a stream that could not be opened
    │   ├── Unreachable           nobody answers at the address
    │   ├── Unauthorized          the token is missing or wrong
    │   ├── Forbidden             the server refuses this Origin
    │   └── NotFound              the server has no such path or channel
    ├── Refused                   the server understood a request and said no
    ├── ProtocolError             bytes from a peer that are no message of its protocol
    ├── BadUpdate                 bytes that are no update of a document
    ├── DocumentLost              a document that the server has lost and begun anew
    ├── Closed                    the stream or server was stopped
    ├── WaitTimeout               rows that did not come in time (also a TimeoutError)
    ├── TextTimeout               a document that did not become what was waited for (also a TimeoutError)
    └── BackgroundErrors          what went wrong out of sight since the last look
"""

from __future__ import annotations

import errno
from collections.abc import Sequence

__all__ = [
    "BackgroundErrors",
    "BadUpdate",
    "ChannelNameError",
    "Closed",
    "ConnectError",
    "DocumentLost",
    "Forbidden",
    "NotFound",
    "NotRunning",
    "PortInUse",
    "ProtocolError",
    "Refused",
    "RtError",
    "SchemaError",
    "ServeError",
    "TextTimeout",
    "Unauthorized",
    "Unreachable",
    "UsageError",
    "WaitTimeout",
]


class RtError(Exception):
    """Base of every error that rtwidgets raises on purpose."""


class UsageError(RtError):
    """A call that cannot be carried out as it was written."""


class ChannelNameError(UsageError):
    """A channel name with characters that names may not have."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return (
            f"{self.name!r} is not a channel name: use 1 to 200 letters, digits, '-', '_', '.' or '~', "
            "in parts separated by '/', such as 'chat/lobby'"
        )


class SchemaError(UsageError):
    """A schema, column or dtype that does not hold together."""


class NotRunning(UsageError):
    """A name that nothing in this kernel answers to."""


class ServeError(RtError):
    """A server that could not be started."""

    @classmethod
    def of(cls, host: str, port: int, error: OSError) -> ServeError:
        """Return the error to show for a port that cannot be listened on; `PortInUse` where that is why."""
        if error.errno == errno.EADDRINUSE:
            return PortInUse(host, port)
        return cls(f"cannot listen on {host} port {port}: {error.strerror or error}")


class PortInUse(ServeError):
    """Another program has the port."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self.host = host
        self.port = port

    def __str__(self) -> str:
        return (
            f"port {self.port} on {self.host} is in use by another program: "
            "choose another one, or port=0 for any free port"
        )


class ConnectError(RtError):
    """A stream that could not be opened."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(url, reason)
        self.url = url
        self.reason = reason

    def __str__(self) -> str:
        return f"cannot connect to {self.url}: {self.reason}"


class Unreachable(ConnectError):
    """Nobody answers at the address."""


class Unauthorized(ConnectError):
    """The token is missing or wrong."""


class Forbidden(ConnectError):
    """The server refuses this Origin."""


class NotFound(ConnectError):
    """The server has no such path or channel."""


class Refused(RtError):
    """The server understood a request and said no.

    Attributes
    ----------
    code
        A short machine-readable word, such as ``"unknown_channel"``.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return self.message


class ProtocolError(RtError):
    """Bytes from a peer that are no message of its protocol.

    Attributes
    ----------
    reason
        What was wrong with them.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"not a y-websocket message: {self.reason}; the other side must speak y-protocols 1"


class BadUpdate(RtError):
    """Bytes that are no update of a document, or one that cannot be merged into it.

    Attributes
    ----------
    missing
        Whether it builds on others that are not here.
    """

    def __init__(self, reason: str, *, missing: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.missing = missing

    def __str__(self) -> str:
        return f"the update of the document was not taken: {self.reason}"


class DocumentLost(RtError):
    """A document that the server has lost and begun anew.

    Attributes
    ----------
    name
        The document's.
    text
        What its copy here had.
    """

    def __init__(self, name: str, text: str) -> None:
        super().__init__(name, text)
        self.name = name
        self.text = text

    def __str__(self) -> str:
        return (
            f"the server has lost document {self.name!r} and begun it anew; what it was here "
            f"({len(self.text)} characters) is kept in .discarded"
        )


class Closed(RtError):
    """The stream or server was stopped."""


class WaitTimeout(RtError, TimeoutError):
    """Rows that did not come in time.

    Attributes
    ----------
    came, wanted
        Rows that came, and rows waited for.
    """

    def __init__(self, name: str, came: int, wanted: int, timeout: float, hint: str) -> None:
        super().__init__(name, came, wanted, timeout, hint)
        self.name = name
        self.came = came
        self.wanted = wanted
        self.timeout = timeout
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.name}: {self.came} of {self.wanted} rows came in {self.timeout:g} s ({self.hint})"


class TextTimeout(RtError, TimeoutError):
    """A document that did not become what was waited for in time."""

    def __init__(self, name: str, timeout: float, hint: str) -> None:
        super().__init__(name, timeout, hint)
        self.name = name
        self.timeout = timeout
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.name}: the text did not become what was waited for in {self.timeout:g} s ({self.hint})"


class BackgroundErrors(RtError):
    """What went wrong out of sight since the last look.

    Attributes
    ----------
    errors
        Pairs of the place where it happened and the exception, oldest first.
    """

    def __init__(self, errors: Sequence[tuple[str, BaseException]]) -> None:
        super().__init__(errors)
        self.errors = tuple(errors)

    def __str__(self) -> str:
        lines = [f"{where}: {type(error).__name__}: {error}" for where, error in self.errors]
        count = f"{len(lines)} background error" + ("s" if len(lines) != 1 else "")
        return "\n".join([count, *(f"  {line}" for line in lines)])
