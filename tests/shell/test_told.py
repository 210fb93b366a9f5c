"""What istiod tells the workloads of each namespace, read from the ConfigMaps of a whole cluster."""

from datetime import UTC, datetime
from typing import Any

import pytest

from meshca.pki import certs
from meshca.targets.istio.told import Told, judge
from tests.pki.factories import Made, Recipe

Json = dict[str, Any]

A, B, OTHER = (Recipe(subject=each).make() for each in ("A", "B", "another mesh's"))
ONLY_A = frozenset({certs.parse(A.pem).fingerprint})
BOTH = ONLY_A | {certs.parse(B.pem).fingerprint}
EARLY, LATE = "2026-01-01T10:00:00Z", "2026-01-01T11:00:00Z"
AT_LATE = datetime(2026, 1, 1, 11, tzinfo=UTC)


def told(namespace: str, *roots: Made, changed: str = EARLY, fields: str = "f:data") -> Json:
    managed = [{"manager": "istiod", "time": changed, "fieldsV1": {fields: {}}}]
    metadata = {"namespace": namespace, "creationTimestamp": EARLY, "managedFields": managed}
    pem = b"".join(each.pem for each in roots).decode()
    return {"metadata": metadata, "data": {"root-cert.pem": pem}}


CLUSTERS: dict[str, tuple[list[Json], Told]] = {
    "none anywhere": ([], Told(None, {}, None)),
    "istiod has told its own namespace alone": ([told("istio-system", A)], Told(ONLY_A, {}, None)),
    "another namespace is behind": (
        [told("istio-system", B, A, changed=LATE), told("shop", A)],
        Told(BOTH, {"shop": ONLY_A}, AT_LATE),
    ),
    "the last that was changed counts": (
        [told("istio-system", B, A), told("shop", B, A, changed=LATE)],
        Told(BOTH, {"shop": BOTH}, AT_LATE),
    ),
    "a new namespace had the roots from the beginning": (
        [told("istio-system", B, A), told("new", B, A)],
        Told(BOTH, {"new": BOTH}, None),
    ),
    "another label is no change of what it says": (
        [told("istio-system", A, changed=LATE, fields="f:metadata")],
        Told(ONLY_A, {}, None),
    ),
    "another mesh of the cluster is none of its business": (
        [told("istio-system", A), told("theirs", OTHER, changed=LATE)],
        Told(ONLY_A, {}, None),
    ),
    "without its own nobody knows whose the others are": ([told("shop", A)], Told(None, {}, None)),
    "what cannot be read names no root": (
        [
            told("istio-system", A),
            {"metadata": {"namespace": "shop"}},
            {"metadata": {"namespace": "bank"}, "data": None},
        ],
        Told(ONLY_A, {}, None),
    ),
}


@pytest.mark.parametrize(("found", "wanted"), CLUSTERS.values(), ids=CLUSTERS.keys())
def test_what_a_cluster_is_told(found: list[Json], wanted: Told) -> None:
    assert judge(found, "istio-system") == wanted
