"""What an API server's refusal means to people: a table of its own sentences."""

from typing import NamedTuple

import pytest

from meshca.core.actions import Action, CreateRoot, DestroyRoot, WriteBundle, WriteCA
from meshca.core.outcomes import Obstacle
from meshca.core.parse import parse_spec
from meshca.errors import ConflictError, InternalError, MeshCAError, PKIError, StoreError
from meshca.flow.kinds import KINDS
from meshca.flow.refusals import explain, is_for_people, is_lasting
from meshca.words.names import RootState
from meshca.words.reasons import Found, Reason

SPEC = parse_spec("mesh", {"trustBundle": {"configMap": {}}}, KINDS)
CACERTS = WriteCA("istio", 1, (1,), issue=True)
ROOT = CreateRoot(2, RootState.PREPARED)
CONFIG_MAP = WriteBundle("ConfigMap mesh-trust-bundle", (1,))


class Row(NamedTuple):
    """An error and its action, and what is said of it: the reason, and words that must be in it."""

    error: MeshCAError
    action: Action
    reason: Reason
    words: tuple[str, ...]


def refused(status: int, message: str) -> StoreError:
    reason = Found.FORBIDDEN if status == 403 else Found.API_ERROR
    kind = ConflictError if status == 409 else StoreError
    return kind(reason, message, status=status)


QUOTA = 'configmaps "x" is forbidden: exceeded quota: few, requested: count/configmaps=1, used: 1, limited: 1'
WEBHOOK = 'admission webhook "guard.example.com" denied the request: no'
POLICY = "ValidatingAdmissionPolicy 'frozen' with binding 'frozen' denied request: no"
RBAC = 'secrets "cacerts" is forbidden: User "system:serviceaccount:a:b" cannot patch resource "secrets"'
IMMUTABLE = "Secret is invalid: data: Forbidden: field is immutable when `immutable` is set"
MANAGER = 'Apply failed with 1 conflict: conflict with "argocd-controller": .data.root-cert.pem'
ENDING = "unable to create new content in namespace istio-system because it is being terminated"

LASTING: dict[str, Row] = {
    "a right is missing in a target's namespace": Row(
        refused(403, RBAC), CACERTS, Found.FORBIDDEN, ("Secret istio-system/cacerts", "grant it")
    ),
    "a right is missing at home": Row(refused(403, RBAC), ROOT, Found.FORBIDDEN, ("Secret home/mesh-root-2", "Role")),
    "a quota": Row(refused(403, QUOTA), CONFIG_MAP, Found.QUOTA_EXCEEDED, ("ConfigMap home/mesh-trust-bundle", "few")),
    "a webhook": Row(refused(403, WEBHOOK), CACERTS, Found.WRITE_REFUSED, ("guard.example.com", "webhook")),
    "a policy": Row(refused(422, POLICY), ROOT, Found.WRITE_REFUSED, ("frozen", "policy")),
    "an immutable cacerts": Row(refused(422, IMMUTABLE), CACERTS, Found.SECRET_IMMUTABLE, ("delete it",)),
    "an immutable root, which must never be deleted": Row(
        refused(422, IMMUTABLE), DestroyRoot(1), Found.WRITE_REFUSED, ("Secret home/mesh-root-1 cannot be deleted",)
    ),
    "another field manager": Row(refused(409, MANAGER), CONFIG_MAP, Found.FIELD_CONFLICT, ("argocd-controller",)),
    "a namespace that is being deleted": Row(
        refused(403, ENDING), CACERTS, Found.WRITE_REFUSED, ("its namespace is being deleted",)
    ),
    "a proof that failed": Row(
        PKIError(Found.CHAIN_NOT_PROVEN, "CN=x is not a CA"), CACERTS, Found.CHAIN_NOT_PROVEN, ("CN=x is not a CA",)
    ),
}


def said(row: Row) -> str:
    hold = explain(row.error, row.action, SPEC, "home", lambda ref: f"grant it in {ref.namespace}")
    assert hold.reason is row.reason
    assert all(word in hold.message for word in row.words), hold.message
    assert isinstance(hold, Obstacle) == is_lasting(row.error)
    return hold.message


@pytest.mark.parametrize("row", LASTING.values(), ids=LASTING.keys())
def test_a_lasting_refusal_stalls_and_names_object_cause_and_remedy(row: Row) -> None:
    assert is_lasting(row.error)
    assert ("delete it" in said(row)) == (row.reason is Found.SECRET_IMMUTABLE)


PASSING: dict[str, Row] = {
    "a conflict": Row(refused(409, "the object has been modified"), CACERTS, Found.API_ERROR, ("not written yet",)),
    "a webhook that does not answer": Row(
        refused(500, 'Internal error occurred: failed calling webhook "guard.example.com"'),
        DestroyRoot(1),
        Found.API_ERROR,
        ("Secret home/mesh-root-1 is not deleted yet", "mend it"),
    ),
    "a fault of the API server": Row(refused(500, "etcd"), ROOT, Found.API_ERROR, ("not written yet",)),
    "too many requests": Row(refused(429, "slow down"), CACERTS, Found.API_ERROR, ("slow down",)),
    "no answer": Row(StoreError(Found.API_ERROR, "no answer"), CACERTS, Found.API_ERROR, ("no answer",)),
    "a fault of ours": Row(InternalError(KeyError("secret")), CACERTS, Found.INTERNAL_ERROR, ("KeyError",)),
}


@pytest.mark.parametrize("row", PASSING.values(), ids=PASSING.keys())
def test_what_may_be_different_the_next_time_does_not_stall(row: Row) -> None:
    assert not is_lasting(row.error)
    assert "secret" not in said(row)


@pytest.mark.parametrize("name", [*LASTING, *PASSING])
def test_what_a_person_has_to_mend_is_looked_at_again(name: str) -> None:
    row = (LASTING | PASSING)[name]
    assert is_for_people(row.error) == (name in LASTING or name == "a webhook that does not answer")


def test_a_fault_of_ours_says_where_and_never_what_it_choked_on() -> None:
    try:
        {}["-----BEGIN PRIVATE KEY-----"]  # it is meant to fail
    except KeyError as fault:
        error = InternalError(fault)
    assert "KeyError in test_a_fault_of_ours" in error.message
    assert "PRIVATE" not in error.message
