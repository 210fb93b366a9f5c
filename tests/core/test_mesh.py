"""What tells of a mesh on another root, and what must not be taken for one."""

from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from meshca.core.model import Root
from meshca.pki import certs
from meshca.pki.certs import KeyPair
from meshca.pki.issue import make_root
from meshca.pki.keys import Algorithm, KeySpec
from meshca.targets.istio.mesh import Ours, Traces, is_asked, judge
from meshca.words.reasons import Found
from tests.core.situations import NOW, spec
from tests.pki.factories import Recipe, rsa_key

ISTIODS_NAME = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "cluster.local")])


def generated(revision: int) -> KeyPair:
    """Return a root as the operator makes it."""
    key, duration = KeySpec(Algorithm.ECDSA, 256), timedelta(days=3650)
    return make_root(meshca="mesh", revision=revision, organization="o", key=key, now=NOW, duration=duration)


def foreign(**parts: Any) -> bytes:
    """Return the root of a CA that istiod makes for itself."""
    return Recipe(names=ISTIODS_NAME, key=rsa_key(2048), not_before=NOW, **parts).make().pem


FIRST, SECOND, THIRD, OTHERS_FIRST = generated(1), generated(2), generated(3), generated(1)
A, B, C = (pair.certificate.pem for pair in (FIRST, SECOND, THIRD))
THEIRS = foreign(not_after=NOW + timedelta(days=3650))
EXPIRED = Recipe(subject="old", not_after=NOW - timedelta(days=1)).make().pem
UNREADABLE = b"-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n"
OURS = Ours(
    meshca="mesh",
    roots=[Root(revision=2, certificate=SECOND.certificate), Root(revision=3, certificate=THIRD.certificate)],
)
NONE_YET = Ours(meshca="mesh", roots=[])
GIVEN = Ours(meshca="mesh", roots=[], given=FIRST.certificate)


def istiod(**status: int) -> dict[str, Any]:
    """Return a Deployment of istiod with this status."""
    return {"metadata": {"name": "istiod"}, "spec": {"replicas": 1}, "status": status}


def scaled_to_nothing() -> dict[str, Any]:
    return istiod() | {"spec": {"replicas": 0}}


COMING, READY = istiod(), istiod(readyReplicas=1)

SERVED: dict[str, tuple[Traces, Ours]] = {
    "nothing is there": (Traces(), NONE_YET),
    "istiod is there and not Ready: it has no CA yet": (Traces(deployments=[COMING]), NONE_YET),
    "istiod is scaled to nothing and left nothing": (Traces(deployments=[scaled_to_nothing()]), NONE_YET),
    "the mesh is on our root and lost its cacerts": (Traces(published=B, deployments=[READY]), OURS),
    "the mesh is in the middle of a rotation of ours": (Traces(published=C + B, deployments=[READY]), OURS),
    "an old istio-ca-secret is left, and the mesh has been ours since": (
        Traces(published=B, own_ca=THEIRS, deployments=[READY]),
        OURS,
    ),
    "istiod's copy still has a root of ours whose key is destroyed": (Traces(published=C + A), OURS),
    "a mesh on the root that is given, which is set up again": (Traces(published=A, deployments=[READY]), GIVEN),
    "our roots with a comment and another kind of block between": (
        Traces(published=b"# ours\n" + B + b"-----BEGIN X509 CRL-----\nbm8=\n-----END X509 CRL-----\n"),
        OURS,
    ),
    "istiod's own CA is a root that was imported before": (Traces(published=B, own_ca=B, deployments=[READY]), OURS),
}
BLOCKED: dict[str, tuple[Traces, Ours, str]] = {
    "a stock mesh": (
        Traces(published=THEIRS, own_ca=THEIRS, deployments=[READY]),
        NONE_YET,
        "a mesh runs in namespace istio-system on another root, O=cluster.local (SHA-256 ",
    ),
    "a stock mesh beside other targets of ours": (Traces(published=THEIRS, deployments=[READY]), OURS, "another root"),
    "a stock mesh whose istiod is just being restarted": (
        Traces(published=THEIRS, own_ca=THEIRS, deployments=[COMING]),
        NONE_YET,
        "a mesh runs",
    ),
    "istiod's own CA alone, before it has told anybody": (
        Traces(own_ca=THEIRS, deployments=[COMING]),
        NONE_YET,
        "a mesh runs",
    ),
    "the old revision is scaled to nothing and the new one runs": (
        Traces(published=THEIRS, deployments=[scaled_to_nothing(), READY]),
        NONE_YET,
        "a mesh runs",
    ),
    "our root and another": (Traces(published=B + THEIRS, deployments=[READY]), OURS, "cluster.local (SHA-256 "),
    "another root that has expired": (Traces(published=EXPIRED, deployments=[READY]), OURS, "until 2025-12-31T"),
    "a root that cannot be read": (Traces(published=UNREADABLE, deployments=[READY]), OURS, "cannot be read"),
    "our root and one that cannot be read": (Traces(published=B + UNREADABLE), OURS, "cannot be read"),
    "garbage": (Traces(published=b"\x00garbage", deployments=[READY]), OURS, "a root that cannot be read"),
    "an empty ConfigMap": (Traces(published=b"", deployments=[READY]), OURS, "a root that cannot be read"),
    "an istio-ca-secret without a certificate": (Traces(own_ca=b"", deployments=[READY]), OURS, "cannot be read"),
    "a bundle longer than any mesh can use": (Traces(published=B * 300), OURS, "cannot be read"),
    "the root of a MeshCA of this name that is gone": (
        Traces(published=OTHERS_FIRST.certificate.pem, deployments=[READY]),
        OURS,
        "mesh root 1",
    ),
    "a newer root of that MeshCA's beside ours": (Traces(published=B + generated(9).certificate.pem), OURS, "root 9"),
    "istiod's own CA is the root that is given": (
        Traces(published=A, own_ca=A, deployments=[READY]),
        GIVEN,
        "mesh root 1",
    ),
    "istiod runs on a root that cannot be seen": (
        Traces(deployments=[READY]),
        NONE_YET,
        "which root its mesh trusts cannot be seen",
    ),
    "istio-ca-secret is left, and no istiod": (
        Traces(own_ca=THEIRS),
        NONE_YET,
        "remove what is left, and the target is served: kubectl -n istio-system delete secret/istio-ca-secret",
    ),
    "both are left, and istiod is scaled to nothing": (
        Traces(published=THEIRS, own_ca=THEIRS, deployments=[scaled_to_nothing()]),
        NONE_YET,
        "kubectl -n istio-system delete secret/istio-ca-secret configmap/istio-ca-root-cert",
    ),
    "istiod runs elsewhere and tells its root here": (
        Traces(published=THEIRS),
        NONE_YET,
        "kubectl -n istio-system delete configmap/istio-ca-root-cert",
    ),
}
TARGET = spec().targets[0]


@pytest.mark.parametrize(("traces", "ours"), SERVED.values(), ids=SERVED)
def test_is_served(traces: Traces, ours: Ours) -> None:
    assert judge(TARGET, traces, ours, was_published=False) is None


@pytest.mark.parametrize(("traces", "ours", "words"), BLOCKED.values(), ids=BLOCKED)
def test_is_left_alone(traces: Traces, ours: Ours, words: str) -> None:
    found = judge(TARGET, traces, ours, was_published=False)
    assert found is not None
    assert found.reason is Found.MESH_HAS_ANOTHER_CA
    assert words in found.message
    assert "istio-system/cacerts is not written" in found.message
    assert not found.is_transient


def test_the_root_is_named_by_subject_fingerprint_and_end() -> None:
    root = certs.parse(THEIRS)
    found = judge(TARGET, Traces(published=THEIRS, deployments=[READY]), NONE_YET, was_published=False)
    assert found is not None
    assert f"{root.subject} (SHA-256 {root.fingerprint}, until {root.not_after:%Y-%m-%dT%H:%M:%SZ})" in found.message


def test_a_mesh_that_was_served_and_tells_no_root_gets_its_secret_back() -> None:
    assert judge(TARGET, Traces(deployments=[READY]), OURS, was_published=True) is None


def test_a_message_fits_into_an_event_for_names_of_any_length() -> None:
    long = b"".join(Recipe(subject=f"{number}" * 64).make().pem for number in range(5))
    found = judge(TARGET, Traces(published=long, own_ca=THEIRS, deployments=[READY]), NONE_YET, was_published=False)
    assert found is not None
    assert len(found.message.encode()) <= 1024
    assert "and 3 more" in found.message


@pytest.mark.parametrize(("name", "asked"), [("cacerts", True), ("cacerts-blue", False)])
def test_only_what_istiod_reads_is_asked_about(name: str, asked: bool) -> None:
    target = spec(targets=[{"name": "t", "istio": {"namespace": "ns", "secretName": name}}]).targets[0]
    assert is_asked(target) is asked
