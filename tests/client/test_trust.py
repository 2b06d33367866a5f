import asyncio
import ssl
from pathlib import Path

import pytest

from rtwidgets.client import Multiplex, State, link, pinned, trusting
from rtwidgets.client.backoff import Backoff
from rtwidgets.errors import ConnectError, Unreachable, UsageError
from rtwidgets.server import Server
from rtwidgets.server.tls import _self_signed
from rtwidgets.services import Echo

pytestmark = pytest.mark.usefixtures("tidy")


@pytest.fixture
def written(tmp_path):
    """Writes a certificate and a key for some names; returns the option that names the files."""

    def write(*names):
        given = {}
        for name, text in zip(("certificate", "key"), _self_signed(list(names)), strict=True):
            file = tmp_path / f"{name}-{'-'.join(names)}.pem"
            file.write_bytes(text)
            given[name] = str(file)
        return given

    return write


async def reaches(server, trust):
    """Whether a link stands."""
    multiplex = Multiplex(server.url, server.token, trust=trust)
    try:
        await multiplex._wait_open()
    finally:
        await multiplex.close()
    return True


async def test_a_certificate_that_is_trusted(written):
    """A link stands with the certificate as `ca`, or as the very one that is meant."""
    async with Server([Echo], tls=written("127.0.0.1")) as server:
        assert await reaches(server, lambda: trusting(server.certificate))
        assert await reaches(server, lambda: pinned(server.certificate))


async def test_a_certificate_for_another_name(written):
    """Is good where it is the very one that is meant, and nowhere else."""
    async with Server([Echo], tls=written("example.org")) as server:
        with pytest.raises(ConnectError, match=r"is not to be trusted .*IP address mismatch"):
            await reaches(server, lambda: trusting(server.certificate))
        assert await reaches(server, lambda: pinned(server.certificate))


async def test_an_unknown_certificate_is_final(written):
    """The link ends with an error that says what to do, and does not try again."""
    other = written("127.0.0.1", "other")["certificate"]
    async with Server([Echo], tls=written("127.0.0.1")) as server:
        for trust in (lambda: None, lambda: trusting(other), lambda: pinned(other)):
            multiplex = Multiplex(server.url, server.token, trust=trust)
            error = await asyncio.wait_for(asyncio.shield(multiplex.link.ended), 20)
            assert type(error) is ConnectError
            assert "pass ca=… with the path of its certificate" in str(error)
            assert multiplex.link.state is State.CLOSED
            await multiplex.close()


async def test_it_is_final_later_too(written, monkeypatch):
    """Somebody else who answers at the address is not spoken to."""
    monkeypatch.setattr(link, "Backoff", lambda: Backoff(0.01, 0.05))
    async with Server([Echo], tls=written("127.0.0.1")) as server:
        context = trusting(server.certificate)
        multiplex = Multiplex(server.url, server.token, trust=lambda: context)
        await multiplex._wait_open()
    async with Server([Echo], tls=written("127.0.0.1", "other"), port=server.port):
        error = await asyncio.wait_for(asyncio.shield(multiplex.link.ended), 20)
        assert "its certificate is not to be trusted" in str(error)
    await multiplex.close()


async def test_no_tls_at_the_other_end():
    """Is told, and may be another thing next time."""
    async with Server([Echo]) as server:
        multiplex = Multiplex(server.url.replace("ws", "wss"), server.token)
        with pytest.raises(
            Unreachable, match=r"no encrypted connection came about .* its URL begins with ws://"
        ):
            await multiplex._wait_open()
        await multiplex.close()


@pytest.mark.parametrize(("content", "sentence"), [(None, "No such file"), ("no certificate", "in PEM form")])
def test_a_ca_that_cannot_be_used(tmp_path, content, sentence):
    """Is an error where it is named."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(UsageError, match=sentence):
        trusting(str(file))


def test_only_what_is_named_is_trusted(written):
    """Not what this machine trusts otherwise; and the name is checked, except for the very one."""
    given = written("a")["certificate"]
    for make, hostname in ((trusting, True), (pinned, False)):
        context = make(given)
        assert context.cert_store_stats()["x509"] == 1
        assert (context.check_hostname, context.verify_mode) == (hostname, ssl.CERT_REQUIRED)
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2


async def test_the_very_one_is_the_first_of_a_chain(written, tmp_path):
    """Those that follow it in the file, which have signed it, vouch for nobody else."""
    one, other = written("one"), written("127.0.0.1", "other")
    chain = tmp_path / "chain.pem"
    for each in (one, other):
        with chain.open("ab") as file:
            file.write(Path(each["certificate"]).read_bytes())  # noqa: ASYNC240
    async with Server([Echo], tls=other) as server:
        with pytest.raises(ConnectError, match="not to be trusted"):
            await reaches(server, lambda: pinned(str(chain)))
