"""What people hear, and the patch that tells it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshca.cluster.clock import ServerClock
from meshca.cluster.connection import connect
from meshca.cluster.store import Store
from meshca.errors import StoreError
from meshca.flow.registry import read_resource
from meshca.flow.report import Reporter, condition_changes, merge_patch
from testkit.controlplane import EmbeddedControlPlane
from testkit.controlplane.faults import Fault


def status(ready: str | None = None, reason: str = "Issued", stalled: str | None = None) -> dict[str, Any]:
    """Return a status with these conditions."""
    conditions = []
    if ready is not None:
        conditions.append({"type": "Ready", "status": ready, "reason": reason, "message": "ready"})
    if stalled is not None:
        conditions.append({"type": "Stalled", "status": "True", "reason": stalled, "message": "stalled"})
    return {"conditions": conditions}


HEARD: dict[str, tuple[dict[str, Any], dict[str, Any], list[tuple[str, str]]]] = {
    "a first report of all well is no news": (status(), status("True"), []),
    "nothing changed": (status("True"), status("True"), []),
    "it stalls": (status("True"), status("True", stalled="ForeignSecret"), [("Warning", "ForeignSecret")]),
    "it stalls from the start": (status(), status("False", "X", "X"), [("Warning", "X")]),
    "it is still stalled": (status("True", stalled="X"), status("True", stalled="X"), []),
    "it stalls for another reason": (status("True", stalled="X"), status("True", stalled="Y"), [("Warning", "Y")]),
    "it goes on": (status("True", stalled="X"), status("True"), [("Normal", "Resumed")]),
    "it stops being ready": (status("True"), status("False", "Expired"), [("Warning", "Expired")]),
    "it is ready again": (status("False", "Expired"), status("True"), [("Normal", "Issued")]),
    "it goes on and is ready again": (status("False", "X", "X"), status("True"), [("Normal", "Resumed")]),
}


@pytest.mark.parametrize(("before", "after", "heard"), HEARD.values(), ids=HEARD.keys())
def test_people_hear_of_transitions_only(
    before: dict[str, Any], after: dict[str, Any], heard: list[tuple[str, str]]
) -> None:
    assert [(kind, reason) for kind, reason, _ in condition_changes(before, after)] == heard


JSON = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), JSON, max_size=3)


def patched(target: Any, patch: Any) -> Any:
    """Apply a merge patch as RFC 7386 section 2 has it."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = patched(result.get(key), value)
    return result


@given(OBJECTS, OBJECTS)
def test_a_patch_leads_from_one_object_to_the_other(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert patched(before, merge_patch(before, after)) == after


@given(OBJECTS)
def test_equal_objects_need_no_patch(same: dict[str, Any]) -> None:
    assert merge_patch(same, same) == {}


async def test_while_the_status_is_refused_the_same_is_told_once(embedded: EmbeddedControlPlane) -> None:
    embedded.faults.add(Fault(path="/status", status=403, times=0))
    connection = await connect(ServerClock(), environ={"KUBECONFIG": str(Path(embedded.kubeconfig))})
    reporter = Reporter(Store(connection), "one")
    resource = read_resource({"metadata": {"name": "mesh", "uid": "u"}}, "ns")
    for reason in ("Forbidden", "Forbidden", "QuotaExceeded"):
        stalled = {"type": "Stalled", "status": "True", "reason": reason, "message": reason}
        with pytest.raises(StoreError):
            await reporter.report(resource, {"conditions": [stalled]}, [], datetime(2026, 1, 1, tzinfo=UTC))
    events = await connection.request("GET", "/apis/events.k8s.io/v1/namespaces/default/events")
    await connection.close()
    assert [each["reason"] for each in events["items"]] == ["Forbidden", "QuotaExceeded"]
