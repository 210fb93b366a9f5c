"""What is learnt from any server by one handshake, and that none can do harm by what it answers."""

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL

from meshca.wire.probe import HTTP2_ALPN, ISTIO_ALPN, Kind, Seen, Unseen, probe
from testkit.loopback import free_port
from testkit.process import Process
from testkit.programs import envoy, required
from tests.pki.factories import NOW, Made, intermediate, leaf, root, rsa_key
from tests.pki.validators import listener
from tests.wire.fake_proxy import Proxy, Serve, serving

OLD, NEW = root(subject="mesh root 1"), root(subject="mesh root 2")
SIGNER = intermediate(OLD)
DAY = timedelta(days=1)
LEAF = leaf(SIGNER, not_before=NOW, not_after=NOW + DAY + timedelta(minutes=2))
VERSIONS = {"TLS 1.2": SSL.TLS1_2_VERSION, "TLS 1.3": SSL.TLS1_3_VERSION}


def subjects(*roots: Made) -> frozenset[bytes]:
    return frozenset(each.certificate.subject.public_bytes() for each in roots)


def name(made: Made) -> bytes:
    return made.certificate.subject.public_bytes()


async def seen(proxy: Proxy, **how: Any) -> Seen | Unseen:
    async with serving(proxy.serve) as port:
        return await probe("127.0.0.1", port, **how)


# --- What is learnt ----------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS)
async def test_whom_it_trusts_and_who_signed_for_it_is_learnt_without_a_certificate(version: int) -> None:
    above = [SIGNER.certificate, NEW.certificate, OLD.certificate]
    trusted = [NEW.certificate, OLD.certificate]
    found = await seen(Proxy(LEAF, above, trusted, version=version))
    assert isinstance(found, Seen)
    assert found.trusted == subjects(OLD, NEW)
    assert found.root == name(OLD)
    assert (found.leaf.life, found.leaf.serial) == (DAY, LEAF.certificate.serial_number)
    assert found.leaf.names == ("spiffe://cluster.local/ns/default/sa/default",)


LEVELS = intermediate(intermediate(OLD, subject="region", path_length=1), subject="team")
CHAINS: dict[str, tuple[Made, Sequence[Made], Made]] = {
    "the intermediate alone": (LEAF, [SIGNER], OLD),
    "the roots first": (LEAF, [OLD, NEW, SIGNER], OLD),
    "a leaf right under a root, as istiod's own CA signs it": (leaf(OLD), [], OLD),
    "with that root behind it": (leaf(OLD), [OLD], OLD),
    "nothing but the leaf: what is above it cannot be seen": (LEAF, [], SIGNER),
    "an RSA key that is too short for most": (leaf(OLD, key=rsa_key(1024)), [], OLD),
}


@pytest.mark.parametrize(("shown", "above", "top"), CHAINS.values(), ids=CHAINS)
async def test_the_root_is_at_the_upper_end_of_the_chain_in_whatever_order(
    shown: Made, above: Sequence[Made], top: Made
) -> None:
    found = await seen(Proxy(shown, [each.certificate for each in above]))
    assert isinstance(found, Seen)
    assert found.root == name(top)
    assert found.trusted == frozenset(), "it named none"


async def test_two_certificates_that_sign_one_another_have_no_upper_end_and_are_read_all_the_same() -> None:
    one, other = root(subject="one"), root(subject="other")
    around = [intermediate(other, subject="one"), intermediate(one, subject="other")]
    found = await seen(Proxy(leaf(one), [each.certificate for each in around]))
    assert isinstance(found, Seen)


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
async def test_a_real_envoy_tells_it(version: str, tmp_path: Path) -> None:
    (tmp_path / "chain.pem").write_bytes(LEAF.pem + SIGNER.pem)
    (tmp_path / "leaf.key").write_bytes(LEAF.key_pem)
    (tmp_path / "root.pem").write_bytes(NEW.pem + OLD.pem)
    port = free_port()
    config = tmp_path / "envoy.json"
    config.write_text(json.dumps({"static_resources": {"listeners": [listener(tmp_path, port, version)]}}))
    command = [str(required(envoy)), "-c", str(config), "-l", "off", "--concurrency", "1", "--use-dynamic-base-id"]
    with Process(command, tmp_path / "envoy.log"):
        found: Seen | Unseen = Unseen(Kind.REFUSED)
        for _ in range(300):
            found = await probe("127.0.0.1", port)
            if found != Unseen(Kind.REFUSED):
                break
            await asyncio.sleep(0.1)
    assert isinstance(found, Seen), found
    assert (found.trusted, found.root, found.leaf.life) == (subjects(OLD, NEW), name(OLD), DAY)


async def test_one_protocol_of_several_is_agreed_upon() -> None:
    assert isinstance(await seen(Proxy(LEAF, alpn=[b"istio-peer-exchange"]), alpn=ISTIO_ALPN), Seen)
    assert isinstance(await seen(Proxy(LEAF, alpn=[b"h2"]), alpn=HTTP2_ALPN), Seen)


# --- What is not --------------------------------------------------------------------


async def _hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _say_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def _speak_plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(4096)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")


async def _never_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A handshake message of 16 MB, as a record after the other."""
    await reader.read(4096)
    part = b"\x16\x03\x03\x40\x00" + b"\x0b\xff\xff\xff" + bytes(0x4000 - 4)
    while True:
        writer.write(part)
        await writer.drain()


async def _drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(4096)
    for each in b"\x16\x03\x03\x40\x00" + bytes(4096):
        writer.write(bytes([each]))
        await writer.drain()
        await asyncio.sleep(0.05)


async def _refuse_the_protocol(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(4096)
    writer.write(bytes((21, 3, 3, 0, 2, 2, 120)))  # fatal, no_application_protocol (RFC 7301 3.2), as Go answers


UNSEEN: dict[str, tuple[Serve, Kind]] = {
    "it hangs up": (_hang_up, Kind.CLOSED),
    "it says nothing": (_say_nothing, Kind.TIMED_OUT),
    "it answers in plain text": (_speak_plainly, Kind.PLAIN_TEXT),
    "it says more than anybody needs": (_never_end, Kind.ALERT),
    "it says a byte at a time": (_drip, Kind.TIMED_OUT),
    "it speaks another protocol": (_refuse_the_protocol, Kind.ALERT),
    "it speaks TLS 1.1 alone": (Proxy(LEAF, version=SSL.TLS1_1_VERSION).serve, Kind.ALERT),
}


@pytest.mark.parametrize(("serve", "kind"), UNSEEN.values(), ids=UNSEEN)
async def test_is_told_by_its_kind_when(serve: Serve, kind: Kind) -> None:
    async with serving(serve) as port:
        found = await probe("127.0.0.1", port, within=1)
    assert isinstance(found, Unseen)
    assert found.kind is kind, found
    assert "\n" not in found.detail


async def test_where_nobody_listens() -> None:
    assert await probe("127.0.0.1", free_port()) == Unseen(Kind.REFUSED)
    nowhere = await probe("no-such-host.invalid", 443)
    assert isinstance(nowhere, Unseen)
    assert nowhere.kind is Kind.UNREACHABLE


# --- Whatever it answers -----------------------------------------------------------------


async def _flight(proxy: Proxy, hello: bytes) -> bytes:
    """Return what a proxy answers to a ClientHello."""
    tls = SSL.Connection(proxy.context(), None)
    tls.set_accept_state()
    tls.bio_write(hello)
    with pytest.raises(SSL.WantReadError):
        tls.do_handshake()
    return tls.bio_read(1 << 20)


def _answering(change: Callable[[bytes], bytes], proxy: Proxy) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(change(await _flight(proxy, await reader.read(4096))))
        await writer.drain()

    return serve


@given(st.binary(max_size=600), st.sampled_from([b"", b"\x16", b"\x16\x03\x03", b"\x15\x03\x03\x00\x02"]))
async def test_no_answer_raises(answer: bytes, beginning: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(beginning + answer)

    async with serving(serve) as port:
        assert isinstance(await probe("127.0.0.1", port, within=2), Unseen)


@given(st.floats(0, 1), st.integers(0, 8), st.binary(max_size=8), st.sampled_from(list(VERSIONS.values())))
async def test_no_damage_to_a_proxys_own_answer_raises(where: float, cut: int, put: bytes, version: int) -> None:
    def change(flight: bytes) -> bytes:
        at = int(where * len(flight))
        return flight[:at] + put + flight[at + cut :]

    proxy = Proxy(LEAF, [SIGNER.certificate], [OLD.certificate], version=version)
    async with serving(_answering(change, proxy)) as port:
        assert isinstance(await probe("127.0.0.1", port, within=2), Seen | Unseen)


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_no_connection_is_left_open() -> None:
    before = _open_files()
    for _ in range(20):
        await seen(Proxy(LEAF))
    await asyncio.sleep(0.1)
    assert _open_files() <= before
