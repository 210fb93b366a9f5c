"""A root whose key is elsewhere: the whole way of a request, with a kind of custody that the tables get for a while."""

from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from meshca.cluster.access import Access
from meshca.cluster.objects import data_of
from meshca.core.fields import Fields
from meshca.core.questions import Pending
from meshca.core.spec import SourceSpec
from meshca.custody import table
from meshca.custody.port import Custody, RootRequest, SigningRequest
from meshca.errors import PKIError
from meshca.pki import certs, issue
from meshca.pki.certs import Certificate, KeyPair
from meshca.words.names import TLS_CERT, TLS_CSR, TLS_KEY
from meshca.words.reasons import Unfit
from meshca.words.ref import Ref
from testkit.controlplane import EmbeddedControlPlane
from tests.shell.one_mesh import HOME, OneMesh, one_mesh

Json = dict[str, Any]

REQUEST = Ref(HOME, "mesh.istio.request-1")
CACERTS = Ref("istio-system", "cacerts")
SPEC: Json = {
    "root": {"source": {"ceremony": {}}},
    "targets": [{"name": "istio", "istio": {"rootReload": "Live"}}],
}
DAY = timedelta(days=1)


class FromCeremony(SourceSpec):
    """`ceremony` of `spec.root.source`."""

    kind = "ceremony"


@dataclass
class Ceremony(Custody[SourceSpec]):
    """Keys in a safe. A person signs, days later, and puts the certificate beside the request."""

    is_remote = True
    safe: dict[bytes, KeyPair] = field(default_factory=dict)
    refuses: bool = False

    async def make(self, request: RootRequest, given: KeyPair | None) -> KeyPair:
        _ = given
        facts = {name: getattr(request, name) for name in request.__slots__}
        root = issue.make_root(**facts)
        self.safe[root.certificate.pem] = root
        return KeyPair(root.certificate, b"")

    async def sign(self, access: Access, root: Json, request: SigningRequest) -> Certificate | Pending:
        _ = access, root
        assert request.secret is not None, "a request is stored before anybody is asked"
        if self.refuses:
            raise PKIError(Unfit.ROOT_EXPIRED, "the safe does not open")
        signed = data_of(request.secret).get(TLS_CERT)
        return Pending("nobody has signed") if signed is None else certs.parse(signed)

    def sign_by_hand(self, root: Json, csr: bytes, now: Any) -> bytes:
        return issue.sign_intermediate(self.safe[data_of(root)[TLS_CERT]], csr, now=now, duration=90 * DAY).pem


def read(source: Fields, _: str) -> FromCeremony:
    source.sub("ceremony", ())
    return FromCeremony()


@dataclass(frozen=True)
class Mesh(OneMesh):
    """A MeshCA whose roots are in the safe."""

    ceremony: Ceremony

    async def put(self, signed: bytes) -> None:
        """Put a certificate beside its request."""
        await self.store.patch(REQUEST, {"data": {TLS_CERT: b64encode(signed).decode()}})

    async def sign(self) -> bytes:
        """Hold the ceremony."""
        root, request = await self.get(Ref(HOME, "mesh-root-1")), await self.get(REQUEST)
        return self.ceremony.sign_by_hand(root, data_of(request)[TLS_CSR], self.clock.now())


@pytest.fixture
def ceremony(monkeypatch: pytest.MonkeyPatch) -> Ceremony:
    """A kind of custody more: a line in the table."""
    kind = Ceremony()
    monkeypatch.setitem(table._TABLE, "ceremony", table.Row(read, FromCeremony, kind))
    monkeypatch.setitem(table.SOURCES, "ceremony", read)
    return kind


@pytest.fixture
async def mesh(embedded: EmbeddedControlPlane, ceremony: Ceremony) -> AsyncIterator[Mesh]:
    async with one_mesh(embedded, SPEC) as made:
        yield Mesh(made.store, made.clock, made.registry, made.reconciler, made.listed, ceremony)


async def test_an_intermediate_that_somebody_signs_days_later(mesh: Mesh) -> None:
    status = await mesh.passes()
    request = await mesh.get(REQUEST)
    assert set(request["data"]) == {TLS_KEY, TLS_CSR}
    assert await mesh.store.get(CACERTS) is None
    assert data_of(await mesh.get(Ref(HOME, "mesh-root-1")))[TLS_KEY] == b"", "the key is in the safe"
    assert status["targets"][0]["state"] == "Absent"
    assert "waits for the signature of root 1: nobody has signed" in str(status)

    await mesh.passes()
    assert (await mesh.get(REQUEST))["data"] == request["data"], "a restart, or the next look, asks for the same key"

    signed = await mesh.sign()
    await mesh.put(signed)
    status = await mesh.passes()
    written = data_of(await mesh.get(CACERTS))
    assert written["ca-cert.pem"] == signed
    assert written["ca-key.pem"] == data_of(request)[TLS_KEY]
    assert await mesh.store.get(REQUEST) is None, "its key is where it belongs"
    assert status["conditions"][0]["status"] == "True"
    assert status["phase"] == "Steady"


async def test_the_certificate_of_another_key_is_used_for_nothing(mesh: Mesh) -> None:
    await mesh.passes()
    root = await mesh.get(Ref(HOME, "mesh-root-1"))
    other = issue.make_request(meshca="mesh", target="istio", organization="o", key=certs.parse(await mesh.sign()).key)
    await mesh.put(mesh.ceremony.sign_by_hand(root, other.csr, mesh.clock.now()))
    status = await mesh.passes()
    assert await mesh.store.get(CACERTS) is None
    assert "has another key than the request" in str(status["conditions"])
    assert {each["type"] for each in status["conditions"]} >= {"Stalled"}

    await mesh.put(await mesh.sign())
    assert (await mesh.passes())["phase"] == "Steady", "the right one was put in its place"


async def test_whoever_signs_nothing_now_holds_up_nothing_else(mesh: Mesh) -> None:
    await mesh.passes()
    await mesh.put(await mesh.sign())
    await mesh.passes()
    mesh.ceremony.refuses = True
    mesh.ask(SPEC | {"targets": [*SPEC["targets"], {"name": "east", "istio": {"namespace": "istio-east"}}]})
    await mesh.store.patch(CACERTS, {"data": {"root-cert.pem": ""}})
    status = await mesh.passes()
    assert data_of(await mesh.get(CACERTS))["root-cert.pem"], "it is put back without a signature"
    assert await mesh.get(Ref(HOME, "mesh.east.request-1"))
    assert [each["state"] for each in status["targets"]] == ["Published", "Absent"]
    assert "the safe does not open" in str(status)


async def test_what_was_deleted_is_asked_for_and_put_back_as_a_repair(mesh: Mesh) -> None:
    await mesh.passes()
    await mesh.put(await mesh.sign())
    await mesh.passes()
    await mesh.store.delete_secret(await mesh.get(CACERTS))
    for _ in range(3):
        assert "unseenSince" in (await mesh.passes())["targets"][0], "what was there is known, however long that takes"
    await mesh.put(await mesh.sign())
    status = await mesh.passes()
    assert status["targets"][0]["state"] == "Published"
    assert "SecretRepaired" in [each["reason"] for each in status["history"]]


async def test_a_request_of_which_the_key_is_lost_is_made_anew(mesh: Mesh) -> None:
    await mesh.passes()
    before = await mesh.get(REQUEST)
    await mesh.store.patch(REQUEST, {"data": {TLS_CSR: b64encode(b"junk").decode()}})
    await mesh.passes()
    after = await mesh.get(REQUEST)
    assert data_of(after)[TLS_KEY] != data_of(before)[TLS_KEY]
    assert data_of(after)[TLS_CSR].startswith(b"-----BEGIN CERTIFICATE REQUEST-----")


async def test_no_key_is_shown_while_a_signature_is_waited_for(mesh: Mesh) -> None:
    status = await mesh.passes()
    assert "PRIVATE" not in f"{status} {mesh.resource!r} {mesh.resource.memory!r}"
