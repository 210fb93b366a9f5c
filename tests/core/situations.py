"""Short words for building what is observed, so that a row of a table reads as a situation."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from meshca.core.model import Damaged, Listed, Observed, Published, Root, TargetState
from meshca.core.parse import parse_spec
from meshca.core.questions import Answer, AskReload
from meshca.core.spec import MeshCASpec
from meshca.flow.kinds import KINDS
from meshca.pki.certs import BACKDATE, Certificate
from meshca.pki.keys import Algorithm, KeySpec
from meshca.words.names import RootState
from meshca.words.reasons import Found

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
P256 = KeySpec(Algorithm.ECDSA, 256)
D, T = timedelta(minutes=5), timedelta(hours=24)
"""The default propagationDelay and maxCertificateDuration."""
LONG_AGO = NOW - timedelta(days=20)

PREPARED, ACTIVE, SOLE = RootState.PREPARED, RootState.ACTIVE, RootState.SOLE
LOADS = Answer(None, "")
IGNORES = Answer(Found.MULTI_ROOT_DISABLED, "istiod would ignore the new root")


def joined(*tables: dict[str, Any]) -> dict[str, Any]:
    """Return all rows of some tables; a row whose sentence is there already would be lost without a word."""
    sentences = [sentence for table in tables for sentence in table]
    assert len(sentences) == len(set(sentences)), sorted(each for each in sentences if sentences.count(each) > 1)
    return {sentence: row for table in tables for sentence, row in table.items()}


def spec(**fields: Any) -> MeshCASpec:
    """Return the spec of MeshCA mesh with these fields."""
    return parse_spec("mesh", fields, KINDS)


def root(revision: int, state: RootState | None = None, **changes: Any) -> Root:
    """Return a root that was made 100 days ago for ten years."""
    made = changes.pop("made", NOW - timedelta(days=100))
    ends = changes.pop("ends", made + timedelta(hours=87600))
    name = changes.pop("name", f"root {revision}")
    certificate = Certificate(
        pem=b"",
        subject=f"CN={name}",
        issuer=f"CN={name}",
        authority_id=name,
        issuer_id=name,
        fingerprint=f"{name} of {made}",
        not_before=made - BACKDATE,
        not_after=ends,
        key=changes.pop("key", P256),
    )
    source = changes.pop("source", "secret" if changes.get("given") else "generated")
    return Root(revision=revision, certificate=certificate, state=state, source=source, **changes)


def lost(revision: int, **changes: Any) -> Root:
    """Return a root whose Secret is gone."""
    return root(revision, None, has_key=False, **changes)


def listed(*bundle: int, **changes: Any) -> Listed:
    """Return a target that has a bundle alone, since long ago."""
    since = changes.pop("since", LONG_AGO)
    return replace(Listed(bundle=bundle, intact=True, written_at=since, bundle_since=since), **changes)


def damaged(*bundle: int, **changes: Any) -> Damaged:
    """Return a target that trusts these revisions, since long ago, and has no CA that works."""
    return replace(Damaged(bundle=bundle, intact=False, written_at=LONG_AGO, bundle_since=LONG_AGO), **changes)


def published(signer: Root, *bundle: int, **changes: Any) -> Published:
    """Return a target that signs under a root and trusts these revisions, since long ago."""
    made = changes.pop("made", LONG_AGO)
    since = changes.pop("since", LONG_AGO)
    ends = changes.pop("ends", made + timedelta(hours=2160))
    intermediate = Certificate(
        pem=b"",
        subject="CN=intermediate",
        issuer=signer.certificate.subject,
        authority_id=f"intermediate of {made}",
        issuer_id=signer.certificate.authority_id,
        fingerprint=f"intermediate of {made}",
        not_before=made - BACKDATE,
        not_after=ends,
        key=changes.pop("key", P256),
    )
    target = Published(
        intermediate=intermediate,
        bundle=bundle,
        intact=True,
        written_at=since,
        bundle_since=since,
        signer_since=since,
    )
    return replace(target, **changes)


def observed(roots: list[Root], *targets: TargetState, reload: Answer = LOADS, **changes: Any) -> Observed:
    """Return what is observed of targets called istio (one), or t0, t1, ... (several)."""
    names = ["istio"] if len(targets) == 1 else [f"t{index}" for index in range(len(targets))]
    return Observed(
        roots=tuple(roots),
        targets=dict(zip(names, targets, strict=True)),
        answers={AskReload(name): reload for name in names},
        **changes,
    )


def several(count: int, **fields: Any) -> MeshCASpec:
    """Return a spec with targets t0, t1, ... in namespaces of their own."""
    return spec(targets=[{"name": f"t{n}", "istio": {"namespace": f"istio-{n}"}} for n in range(count)], **fields)
