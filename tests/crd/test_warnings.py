import json

import pytest

from testkit.cluster import DEPLOY
from testkit.kubectl import Kubectl
from testkit.waiting import wait
from tests.crd.cluster import MeshCAs, meshca
from tests.crd.specs import LAB, UNWISE, Unwise

PREFIX = "Validation failed for ValidatingAdmissionPolicy 'meshca-warnings'"


@pytest.fixture(scope="module")
def advised(kubectl: Kubectl, meshcas: MeshCAs) -> MeshCAs:
    """The API server with deploy/warnings.yaml in force, which takes it a moment to notice."""
    kubectl.done("apply", "-f", str(DEPLOY / "warnings.yaml"))
    wait(lambda: meshcas.warnings(LAB), 30, "the admission policy to come into force")
    return meshcas


@pytest.mark.parametrize("case", UNWISE.values(), ids=UNWISE.keys())
def test_gets_exactly_these_warnings(advised: MeshCAs, case: Unwise) -> None:
    given = advised.warnings(case.spec)
    assert len(given) == len(case.warnings), given
    assert all(warning in answer and PREFIX in answer for warning, answer in zip(case.warnings, given, strict=True))


@pytest.mark.usefixtures("advised")
def test_a_time_set_later_is_judged_by_when_it_was_set(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=meshca({}, "times"))
    created = kubectl("get", "meshca", "times", "-o", "jsonpath={.metadata.creationTimestamp}").stdout
    try:
        past = kubectl("patch", "meshca", "times", "--type=merge", "-p", _issued_after(created))
        future = kubectl("patch", "meshca", "times", "--type=merge", "-p", _issued_after("2999-01-01T00:00:00Z"))
    finally:
        kubectl("delete", "meshca", "times")
    assert past.returncode == future.returncode == 0
    assert "in the future" not in past.stderr
    assert "spec.root.issuedAfter is in the future" in future.stderr


def _issued_after(moment: str) -> str:
    return json.dumps({"spec": {"root": {"issuedAfter": moment}}})
