"""Whatever an API server may give back is read: no Secret, ConfigMap or Deployment makes a pass fail."""

from base64 import b64encode
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshca.cluster import objects
from meshca.core.spec import TargetSpec
from meshca.targets.istio import istiod
from meshca.targets.port import Against
from meshca.targets.table import kind_of
from meshca.words.names import (
    ANNOTATION_BUNDLE_SINCE,
    ANNOTATION_HOME,
    ANNOTATION_INTERMEDIATE,
    ANNOTATION_REVISIONS,
    ANNOTATION_SIGNER_SINCE,
    CACERTS_KEYS,
    LABEL_MESHCA,
    LABEL_REVISION,
    LABEL_SOURCE,
    LABEL_STATE,
    TLS_CERT,
    TLS_KEY,
)
from tests.shell.test_objects import BUNDLE, INTERMEDIATE, NOW, OWNER, PAIR, ROOT
from tests.shell.test_ports import KINDS

WORDS = st.text(max_size=20) | st.sampled_from(
    ["mesh", "1", "2,1", "9" * 4301, "٣", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z", "sole", "\ud800", "-1"]
)
LABELS = st.dictionaries(st.sampled_from([LABEL_MESHCA, LABEL_REVISION, LABEL_STATE, LABEL_SOURCE]), WORDS)
ANNOTATIONS = st.dictionaries(
    st.sampled_from(
        [
            ANNOTATION_BUNDLE_SINCE,
            ANNOTATION_HOME,
            ANNOTATION_INTERMEDIATE,
            ANNOTATION_REVISIONS,
            ANNOTATION_SIGNER_SINCE,
            "kubectl.kubernetes.io/last-applied-configuration",
        ]
    ),
    WORDS,
)
FILES = st.binary(max_size=60) | st.sampled_from(
    [PAIR.certificate.pem, PAIR.key_pem, INTERMEDIATE.certificate.pem, INTERMEDIATE.key_pem]
)
DATA = st.dictionaries(
    st.sampled_from([*CACERTS_KEYS, TLS_CERT, TLS_KEY, "ca-crl.pem"]),
    FILES.map(lambda content: b64encode(content).decode()) | st.text(max_size=10),
)
OWNED = st.fixed_dictionaries(
    {},
    optional={
        "f:data": st.dictionaries(st.sampled_from([f"f:{key}" for key in CACERTS_KEYS]), st.just({})),
        "f:metadata": st.none() | st.text(max_size=3),
    },
)
RECORDS = st.lists(
    st.fixed_dictionaries(
        {"manager": st.sampled_from(["meshca", "kubectl"]), "operation": st.sampled_from(["Apply", "Update"])},
        optional={"time": WORDS, "fieldsV1": OWNED | st.none()},
    ),
    max_size=3,
)
METADATA = st.fixed_dictionaries(
    {"name": st.sampled_from(["cacerts", "mesh-root-1", "mesh-root-2"]), "namespace": st.just("istio-system")},
    optional={
        "labels": st.none() | LABELS,
        "annotations": st.none() | ANNOTATIONS,
        "managedFields": st.none() | RECORDS,
        "deletionTimestamp": WORDS,
        "creationTimestamp": st.none() | WORDS,
        "finalizers": st.none() | st.lists(WORDS, max_size=2),
        "ownerReferences": st.none() | st.lists(st.dictionaries(st.sampled_from(["uid", "kind"]), WORDS), max_size=2),
    },
)
OBJECTS = st.fixed_dictionaries(
    {"metadata": METADATA}, optional={"data": st.none() | DATA, "type": WORDS, "immutable": st.booleans()}
)


@pytest.mark.parametrize("target", KINDS.values(), ids=KINDS.keys())
@given(secret=OBJECTS)
def test_a_target_is_read(target: TargetSpec, secret: dict[str, Any]) -> None:
    against = Against(OWNER, [ROOT], NOW, lambda name, _: name == "other" or None)
    lost = kind_of(target).lost_roots(secret, against)
    kind_of(target).read(target, secret, replace(against, roots=[ROOT, *lost]))


@given(OBJECTS)
def test_a_root_is_read(secret: dict[str, Any]) -> None:
    objects.read_root(OWNER, secret)


@given(METADATA, st.dictionaries(st.just("root-cert.pem"), WORDS | FILES.map(lambda f: f.decode("latin-1"))))
def test_a_published_bundle_is_read(metadata: dict[str, Any], data: dict[str, str]) -> None:
    kind_of(BUNDLE).read(BUNDLE, {"metadata": metadata, "data": data}, Against(OWNER, [ROOT], NOW))


ENV = st.lists(
    st.fixed_dictionaries({"name": st.sampled_from(["ISTIO_MULTIROOT_MESH", "x"])}, optional={"value": WORDS}),
    max_size=2,
)
CONTAINERS = st.lists(
    st.fixed_dictionaries({"name": st.just("discovery")}, optional={"env": st.none() | ENV, "image": WORDS}),
    max_size=2,
)
DEPLOYMENTS = st.fixed_dictionaries(
    {"metadata": METADATA},
    optional={
        "spec": st.fixed_dictionaries(
            {},
            optional={
                "replicas": st.integers(0, 3),
                "template": st.fixed_dictionaries({"spec": st.fixed_dictionaries({"containers": CONTAINERS})}),
            },
        ),
        "status": st.none() | st.fixed_dictionaries({}, optional={"observedGeneration": st.integers(0, 3)}),
    },
)


@given(st.lists(DEPLOYMENTS, max_size=2))
def test_istiods_are_judged(deployments: list[dict[str, Any]]) -> None:
    istiod.judge("istio-system", deployments)
