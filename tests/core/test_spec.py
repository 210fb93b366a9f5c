"""The operator's reader of specs gives the verdicts of the CRD, from the same table."""

from datetime import UTC, datetime, timedelta

import pytest

from meshca.core.parse import parse_spec
from meshca.core.spec import DeletionPolicy
from meshca.custody.generated import Generated
from meshca.custody.secret import FromSecret
from meshca.errors import SpecError
from meshca.flow.kinds import KINDS
from meshca.pki.keys import Algorithm, KeySpec
from meshca.targets.config_map import ConfigMapTarget
from meshca.targets.istio.kind import IstioTarget
from meshca.words.ref import CONFIG_MAPS, Ref
from tests.crd.specs import ACCEPTED, REFUSED, Accepted, Refused


@pytest.mark.parametrize("case", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_what_the_crd_accepts_is_accepted(case: Accepted) -> None:
    assert parse_spec(case.name, case.spec or {}, KINDS).name == case.name


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_what_the_crd_refuses_is_refused_by_the_same_field(case: Refused) -> None:
    with pytest.raises(SpecError) as refused:
        parse_spec(case.name, case.spec, KINDS)
    assert refused.value.field == case.field or refused.value.field.startswith(f"{case.field}[")


def test_the_defaults_are_those_of_the_crd() -> None:
    bare = parse_spec("mesh", {}, KINDS)
    stored = parse_spec("mesh", ACCEPTED["an empty spec gets every default"].stored, KINDS)
    assert bare == stored
    assert bare.root.source == Generated()
    assert bare.root.organization == "cluster.local"
    assert bare.root.key == KeySpec(Algorithm.ECDSA, 256)
    assert (bare.root.duration, bare.root.renew_before) == (timedelta(hours=87600), timedelta(hours=17520))
    assert (bare.leaf_duration, bare.propagation_delay) == (timedelta(hours=24), timedelta(minutes=5))
    assert bare.targets == (IstioTarget(name="istio", ref=Ref("istio-system", "cacerts"), asks=True),)
    assert (bare.suspend, bare.deletion_policy) == (False, DeletionPolicy.RETAIN)


def test_a_whole_spec_is_read_field_by_field() -> None:
    spec = parse_spec(
        "east",
        {
            "trustDomain": "example.org",
            "root": {
                "source": {"secret": {"name": "mine"}},
                "privateKey": {"algorithm": "RSA"},
                "subject": {"organization": "Example"},
                "issuedAfter": "2026-01-31T12:00:00.7+02:00",
            },
            "intermediate": {"privateKey": {"algorithm": "ECDSA", "size": 384}},
            "targets": [{"name": "a", "istio": {"namespace": "n", "secretName": "s", "rootReload": "Live"}}],
            "trustBundle": {"configMap": {}},
            "suspend": True,
            "deletionPolicy": "Delete",
        },
        KINDS,
    )
    assert spec.root.source == FromSecret(ref=Ref("", "mine"))
    assert spec.root.key == KeySpec(Algorithm.RSA, 3072)
    assert spec.root.organization == "Example"
    assert spec.root.issued_after == datetime(2026, 1, 31, 10, tzinfo=UTC), "cut to the second, as certificates are"
    assert spec.intermediate.key == KeySpec(Algorithm.ECDSA, 384)
    assert spec.targets == (
        IstioTarget(name="a", ref=Ref("n", "s"), asks=False),
        ConfigMapTarget(name="ConfigMap east-trust-bundle", ref=Ref("", "east-trust-bundle", CONFIG_MAPS)),
    )
    assert (spec.suspend, spec.deletion_policy) == (True, DeletionPolicy.DELETE)
