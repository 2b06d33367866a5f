"""Encrypted connections: a certificate that was given, or one made for this machine."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import shutil
import socket
import ssl
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rtwidgets.errors import ServeError, UsageError

__all__ = ["LIFETIME", "Tls"]

LIFETIME = dt.timedelta(days=30)
"""How long a certificate that is made here is good for."""
HANDSHAKE_TIMEOUT, SHUTDOWN_TIMEOUT = 4.0, 1.0
"""Seconds for the handshake and the good-bye of TLS. A server that stops waits for those that have begun."""
_SET_BACK = dt.timedelta(minutes=5)  # for clocks that are behind


class Tls:
    """What a server needs for TLS, 1.2 or newer (RFC 9325).

    Parameters
    ----------
    given
        True to make a self-signed certificate for the loopback addresses, this machine's name and `host`; or
        ``{"certificate": path, "key": path}``, both in PEM form, the certificate with those that lead from
        it to a known authority.
    host
        Where the server listens.

    Attributes
    ----------
    certificate
        Path of the certificate, for clients that are to trust it.
    context
        For the server's sockets.

    Raises
    ------
    UsageError
        When `given` is neither.
    ServeError
        When a file cannot be used.
    """

    def __init__(self, given: bool | Mapping[str, str], host: str) -> None:
        self._folder: Path | None = None
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        if given is True:
            self._make(host)
        else:
            self._load(given)

    def __repr__(self) -> str:
        return "Tls(self-signed)" if self._folder is not None else "Tls(given)"

    def arguments(self) -> dict[str, Any]:
        """Return what to hand to the call that listens."""
        return {
            "ssl": self.context,
            "ssl_handshake_timeout": HANDSHAKE_TIMEOUT,
            "ssl_shutdown_timeout": SHUTDOWN_TIMEOUT,
        }

    def close(self) -> None:
        """Remove what was made."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _make(self, host: str) -> None:
        certificate, key = _self_signed([*_names(), host])
        self._folder = Path(tempfile.mkdtemp(prefix="rtwidgets-tls-"))  # for this user alone
        self.certificate = str(self._folder / "certificate.pem")
        key_file = self._folder / "key.pem"
        try:
            _write(Path(self.certificate), certificate)
            _write(key_file, key)
            self.context.load_cert_chain(self.certificate, key_file)
            key_file.unlink()  # it is in memory now
        except BaseException:
            self.close()
            raise

    def _load(self, given: object) -> None:
        wanted = {"certificate", "key"}
        if not isinstance(given, Mapping) or given.keys() != wanted or not all(map(_is_path, given.values())):
            raise UsageError(
                'tls: write True for a self-signed certificate, or {"certificate": path, "key": path}'
            )
        paths = {name: os.fspath(path) for name, path in given.items()}
        for name, path in paths.items():
            try:
                Path(path).read_bytes()
            except OSError as error:
                raise ServeError(f"tls: the {name} {path!r} cannot be read: {error.strerror}") from error
        self.certificate = str(Path(paths["certificate"]).absolute())
        try:
            self.context.load_cert_chain(self.certificate, paths["key"], password=_refuse_password)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                sentence = f"the key {paths['key']!r} is not that of the certificate {paths['certificate']!r}"
            else:
                sentence = (
                    f"{paths['certificate']!r} and {paths['key']!r} have to be a certificate and its private "
                    "key in PEM form: text that begins with -----BEGIN"
                )
            raise ServeError(f"tls: {sentence}") from error


def _is_path(value: object) -> bool:
    return isinstance(value, str | os.PathLike)


def _refuse_password() -> str:
    # OpenSSL would ask on the terminal, where nobody may be.
    raise ServeError(
        "tls: the key is encrypted: 'openssl pkey -in key.pem -out plain.pem' makes one that is not, for "
        "a place that only the server can read"
    )


def _write(path: Path, text: bytes) -> None:
    path.touch(0o600, exist_ok=False)  # before there is anything in it to read
    path.write_bytes(text)


def _names() -> list[str]:
    return ["localhost", "127.0.0.1", "::1", socket.gethostname()]


def _self_signed(hosts: list[str]) -> tuple[bytes, bytes]:
    """Return a certificate for some names and addresses, and its key, in PEM form (RFC 5280)."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    alternatives: list[x509.GeneralName] = []
    for host in dict.fromkeys(hosts):
        try:
            address = ipaddress.ip_address(host.strip("[]"))
        except ValueError:
            if host.isascii() and 0 < len(host) <= 253:
                alternatives.append(x509.DNSName(host))
        else:
            if not address.is_unspecified:
                alternatives.append(x509.IPAddress(address))
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "rtwidgets on this machine")])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    now = dt.datetime.now(dt.UTC)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SET_BACK)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private
