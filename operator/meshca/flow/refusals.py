"""What a failed write means to people: whose move it is, and which.

Turns an error into the Hold that stands in for the step. What the API server has
refused for a lasting reason stalls, with the object, the cause and the remedy; what
may be different the next time does not.
"""

import re

from meshca.cluster.rights import Grant
from meshca.core.actions import Action, DestroyRoot, DropRequest, WriteBundle, WriteCA
from meshca.core.outcomes import Hold, Obstacle, Wait
from meshca.core.spec import MeshCASpec
from meshca.errors import ConflictError, MeshCAError, StoreError
from meshca.words.reasons import Found, Reason

TOO_MANY = 429
CLIENT_ERRORS = range(400, 500)
NO_WEBHOOK = "failed calling webhook"

_MANAGER = re.compile(r'conflicts? with "([^"]{1,80})"')


def is_lasting(error: MeshCAError) -> bool:
    """Tell whether the very same write would fail again, as long as nobody changes something else."""
    if not isinstance(error, StoreError):
        return error.reason is not Found.INTERNAL_ERROR
    if isinstance(error, ConflictError):
        return _MANAGER.search(error.message) is not None
    return error.status in CLIENT_ERRORS and error.status != TOO_MANY


def is_for_people(error: MeshCAError) -> bool:
    """Tell whether a person has something to mend, however the API server answered: so it is worth to look again."""
    return is_lasting(error) or NO_WEBHOOK in error.message


def explain(error: MeshCAError, action: Action, spec: MeshCASpec, namespace: str, grant: Grant) -> Hold:
    """Say what keeps a step from being taken.

    Args:
        error: what it failed with.
        action: what it would have done.
        spec: of the MeshCA.
        namespace: the operator's own.
        grant: says how a right is given.
    """
    where = action.ref(spec).within(namespace)
    done = "deleted" if isinstance(action, DestroyRoot | DropRequest) else "written"
    if not is_lasting(error):
        return Wait(error.reason, f"{where} is not {done} yet: {_by_itself(error)}")
    if not isinstance(error, StoreError) or error.reason not in {Found.FORBIDDEN, Found.API_ERROR}:
        return Obstacle(error.reason, f"{where} is not {done}: {error.message}")
    reason, remedy = _remedy(error, action, spec, namespace, grant)
    return Obstacle(reason, f"{where} cannot be {done}: {remedy} ({error.message})")


def _by_itself(error: MeshCAError) -> str:
    """Say why a write that is tried again failed; a webhook that is gone for good is a person's to mend even so."""
    if NO_WEBHOOK in error.message:
        return f"a webhook does not answer; mend it, or let it not be asked about this object ({error.message})"
    return error.message


_POLICY = "an admission policy refuses it; let it admit the operator's writes"
_REMEDIES = {
    "exceeded quota": (Found.QUOTA_EXCEEDED, "a ResourceQuota of its namespace is used up; raise it"),
    "is being terminated": (Found.WRITE_REFUSED, "its namespace is being deleted; create it again when it is gone"),
    "admission webhook": (Found.WRITE_REFUSED, "a webhook refuses it; let it admit the operator's writes"),
    "AdmissionPolicy": (Found.WRITE_REFUSED, _POLICY),
    "denied request": (Found.WRITE_REFUSED, _POLICY),
}
"""What an API server's sentence tells, by words in it, and what helps."""


def _remedy(error: StoreError, action: Action, spec: MeshCASpec, namespace: str, grant: Grant) -> tuple[Reason, str]:
    if isinstance(error, ConflictError):
        found = _MANAGER.search(error.message)
        manager = found[1] if found else "somebody"
        return Found.FIELD_CONFLICT, f"field manager {manager} holds its fields; let it give them up"
    known = next((remedy for words, remedy in _REMEDIES.items() if words in error.message), None)
    if known is not None:
        return known
    if error.reason is Found.FORBIDDEN:
        return Found.FORBIDDEN, _right(action, spec, namespace, grant)
    if "immutable" in error.message and isinstance(action, WriteCA | WriteBundle):
        return Found.SECRET_IMMUTABLE, "it is immutable; delete it, it is made anew at once"
    return Found.WRITE_REFUSED, "the API server refuses it"


def _right(action: Action, spec: MeshCASpec, namespace: str, grant: Grant) -> str:
    ref = action.ref(spec)
    if ref.namespace:  # else it is in the operator's own
        return grant(ref)
    return (
        f"restore the operator's own Role and RoleBinding in namespace {namespace} (helm upgrade, or deploy/rbac.yaml)"
    )
