"""Whose certificates a client believes."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

from rtwidgets.errors import UsageError

__all__ = ["pinned", "trusting"]

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def trusting(path: str) -> ssl.SSLContext:
    """Return a context that believes the certificates of a file in PEM form, or those they have signed.

    Raises
    ------
    UsageError
        When the file cannot be read or has no certificate.
    """
    try:
        return ssl.create_default_context(cafile=path)
    except ssl.SSLError as error:
        raise UsageError(f"ca={path!r} has no certificate in PEM form: it begins with -----BEGIN") from error
    except OSError as error:
        raise UsageError(f"ca={path!r} cannot be read: {error.strerror}") from error


def pinned(path: str) -> ssl.SSLContext:
    """Return a context that believes the first certificate of a file, at whatever address, and no other.

    For a server of the same kernel: it may have a certificate for the name by which others know it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_flags |= (
        ssl.VERIFY_X509_PARTIAL_CHAIN
    )  # one that an authority has signed will do by itself
    found = _CERTIFICATE.search(Path(path).read_text(encoding="ascii", errors="replace"))
    assert found is not None  # the server has loaded it
    context.load_verify_locations(cadata=found[0])
    return context
