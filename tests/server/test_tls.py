import asyncio
import datetime as dt
import os
import socket
import ssl
import stat
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from websockets.exceptions import ConnectionClosed

from rtwidgets.errors import ServeError, UsageError
from rtwidgets.messages import MAX_MESSAGE, Cursor, Messages, Published
from rtwidgets.server import Server, outbox
from rtwidgets.server.tls import LIFETIME, Tls, _self_signed
from rtwidgets.services import Echo, service
from tests.talking import dial, dial_v1, eventually

pytestmark = pytest.mark.usefixtures("tidy")


@service("/notes", writable=True)
async def notes(channel):
    """A channel that anybody may write to."""


def trust(server, **options):
    context = ssl.create_default_context(cafile=server.certificate)
    for name, value in options.items():
        setattr(context, name, value)
    return context


@pytest.fixture
def files(tmp_path):
    """Writes a certificate and a key; returns the option that names them."""

    def write(certificate, key):
        paths = {"certificate": tmp_path / "certificate.pem", "key": tmp_path / "key.pem"}
        for name, text in (("certificate", certificate), ("key", key)):
            if text is not None:
                paths[name].write_bytes(text)
        return {name: str(path) for name, path in paths.items()}

    return write


# A certificate of its own


def test_a_self_signed_certificate():
    """It is good for this machine's names and addresses, for a short time, and only for a server."""
    tls = Tls(True, "127.0.0.1")
    certificate = x509.load_pem_x509_certificate(Path(tls.certificate).read_bytes())
    tls.close()
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"localhost", socket.gethostname()} <= set(names.get_values_for_type(x509.DNSName))
    assert {str(each) for each in names.get_values_for_type(x509.IPAddress)} >= {"127.0.0.1", "::1"}
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    left = certificate.not_valid_after_utc - dt.datetime.now(dt.UTC)
    assert dt.timedelta(0) < left <= LIFETIME <= dt.timedelta(days=30)


def test_nobody_else_can_read_the_key():
    """The folder is this user's, the key is in no file any more, and nothing of it is shown."""
    tls = Tls(True, "127.0.0.1")
    file = Path(tls.certificate)
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [each.name for each in file.parent.iterdir()] == ["certificate.pem"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"PRIVATE" not in file.read_bytes()
    assert repr(tls) == "Tls(self-signed)"
    tls.close()
    assert not file.parent.exists()


async def test_a_server_that_stops_leaves_no_certificate(tmp_path, monkeypatch):
    """What it made is gone with it."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with Server([Echo], tls=True) as server:
        assert os.listdir(tmp_path)  # noqa: PTH208
    assert not os.listdir(tmp_path)  # noqa: PTH208
    assert server.certificate is None


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_an_encrypted_connection(host):
    """The URL is wss://, and a client that trusts the certificate checks the name in it."""
    async with Server([Echo], tls=True) as server:
        assert server.url == f"wss://127.0.0.1:{server.port}"
        server.host = host
        async with dial(server, "/echo", ssl=trust(server)) as client:
            await client.send("a")
            assert await client.recv() == "Echo: a"
            assert client.transport.get_extra_info("ssl_object").version() in {"TLSv1.2", "TLSv1.3"}


async def test_who_does_not_trust_it():
    """Is not connected; the server goes on."""
    async with Server([Echo], tls=True) as server:
        with pytest.raises(ssl.SSLCertVerificationError):
            await dial(server, "/echo")
        async with dial(server, "/echo", ssl=trust(server)) as client:
            await client.send("a")
            assert await client.recv() == "Echo: a"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_older_versions_are_refused():
    """TLS 1.1 is not spoken."""
    async with Server([Echo], tls=True) as server:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await dial(server, "/echo", ssl=trust(server, maximum_version=ssl.TLSVersion.TLSv1_1))
        assert server._tls.context.minimum_version is ssl.TLSVersion.TLSv1_2


# Given ones


async def test_given_files(files):
    """They are used, and left where they are."""
    given = files(*_self_signed(["127.0.0.1"]))
    async with Server([Echo], tls=given) as server:
        assert server.certificate == given["certificate"]
        async with dial(server, "/echo", ssl=trust(server)) as client:
            await client.send("a")
            assert await client.recv() == "Echo: a"
    assert os.path.exists(given["certificate"])  # noqa: ASYNC240, PTH110


def encrypted(key):
    form = serialization.BestAvailableEncryption(b"password")
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, form)


@pytest.mark.parametrize(
    ("certificate", "key", "sentence"),
    [
        (_self_signed(["a"])[0], None, r"the key '.*key\.pem' cannot be read: No such file"),
        (None, _self_signed(["a"])[1], r"the certificate '.*certificate\.pem' cannot be read: No such file"),
        (_self_signed(["a"])[0], _self_signed(["a"])[1], r"the key '.*' is not that of the certificate '.*'"),
        (_self_signed(["a"])[0], b"no key", "have to be a certificate and its private key in PEM form"),
        (b"nothing", _self_signed(["a"])[1], "have to be a certificate and its private key in PEM form"),
        (
            _self_signed(["a"])[0],
            encrypted(rsa.generate_private_key(public_exponent=65_537, key_size=2_048)),
            "the key is encrypted: 'openssl pkey",
        ),
        (
            _self_signed(["a"])[0],
            encrypted(ec.generate_private_key(ec.SECP256R1())),
            "the key is encrypted: 'openssl pkey",
        ),
    ],
)
async def test_files_that_cannot_be_used(files, certificate, key, sentence):
    """It is an error that says what to do, and the port is not taken."""
    with pytest.raises(ServeError, match=sentence):
        await Server([Echo], tls=files(certificate, key)).start()


@pytest.mark.parametrize("tls", [{}, {"certificate": "a"}, {"certificate": "a", "key": 1}, "yes", None, 1])
async def test_what_is_no_option(tls):
    """A wrong one is no reason to serve without encryption."""
    with pytest.raises(UsageError, match="tls: write True for a self-signed certificate"):
        await Server([Echo], tls=tls).start()


async def test_a_port_in_use_leaves_nothing_behind(tmp_path, monkeypatch):
    """What was made for the connections is removed when there will be none."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with Server([Echo]) as server:
        with pytest.raises(ServeError):
            await Server([Echo], tls=True, port=server.port).start()
    assert not os.listdir(tmp_path)  # noqa: PTH208


# Under load


async def test_a_stalled_reader_is_dropped(monkeypatch):
    """One that takes nothing is cut off over TLS as well, holds at most 1 MiB, and others go on."""
    monkeypatch.setattr(outbox, "STALL_TIMEOUT", 0.4)
    held = []
    async with Server([notes], tls=True) as server, dial_v1(server, ssl=trust(server)) as good:
        await good.subscribe("notes", Cursor("", 0))
        async with dial_v1(server, ssl=trust(server), max_queue=1) as stalled:
            await stalled.say('{"type":"subscribe","id":1,"channel":"notes"}')
            channel = await server.hub.channel("notes")
            await eventually(lambda: len(channel.followers) == 2)
            stalled.connection.transport.pause_reading()
            sent = 0
            while server.statistics().dropped == 0:
                await channel.publish("x" * 60_000)
                sent += 1
                for connection in server._connections:
                    plain = connection.transport._ssl_protocol._transport
                    held.append(
                        connection.transport.get_write_buffer_size()
                        + (plain.get_write_buffer_size() if plain is not None else 0)
                    )
                assert len(await good.rows(1)) == 1
            assert sent > 4
            assert max(held) <= 2**20
            await eventually(lambda: len(channel.followers) == 1)
            stalled.connection.transport.abort()
        await channel.publish("after")
        assert (await good.rows(1))[0][1] == "after"


async def test_a_slow_reader_gets_everything():
    """What waits in the log follows when the buffer has drained, in order and whole."""
    async with Server([notes], tls=True) as server, dial_v1(server, ssl=trust(server), max_queue=1) as client:
        channel = await server.hub.channel("notes")
        await channel.publish_many(
            ["x" * 20_000 + str(n) for n in range(400)]
        )  # 8 MB: many times the buffers
        await client.say('{"type":"subscribe","id":1,"channel":"notes","after":{"epoch":"","offset":0}}')
        seen = []
        while len(seen) < 400:
            await asyncio.sleep(0.001)
            run = await client.hear(Messages)
            data = msgspec.json.decode(run.data)
            seen += zip(range(run.offset, run.offset + run.count), data, strict=True)
        assert [offset for offset, _ in seen] == list(range(1, 401))
        assert all(text.endswith(f"x{n}") for n, (_, text) in enumerate(seen))


async def test_answers_that_are_not_read():
    """Who asks and does not read is cut off when a mebibyte of answers waits."""
    async with Server([notes], tls=True) as server, dial_v1(server, ssl=trust(server), max_queue=1) as client:
        client.connection.transport.pause_reading()
        with pytest.raises(ConnectionClosed):
            while True:
                await client.say('{"type":"subscribe","id":1,"channel":"' + "!" * 4_000 + '"}')
                await asyncio.sleep(0)  # saying something does not always wait for anything
        assert server.statistics().dropped == 1


async def test_a_large_message_both_ways():
    """The largest that is taken arrives whole, over many records."""
    async with Server([notes], tls=True) as server, dial_v1(server, ssl=trust(server)) as client:
        await client.subscribe("notes")
        text = "é" * ((MAX_MESSAGE - 2) // 2)
        await client.say(f'{{"type":"publish","id":1,"channel":"notes","data":"{text}"}}')
        await client.hear(Published)
        assert client.log or await client.rows(1)


# At the end


async def test_a_handshake_that_never_ends_does_not_hold_up_a_stop():
    """A client that connects and says nothing of TLS is cut off within the time of a stop."""
    server = Server([Echo], tls=True)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    await asyncio.wait_for(server.stop(), 10)
    assert await reader.read() == b""
    writer.close()
