"""SelfSubjectAccessReview: who asks what it may do is told, and nothing is kept."""

from pathlib import Path
from typing import Any

import pytest

from testkit.kubectl import Kubectl
from tests.conformance.client import API, owned

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
HEAD = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
LIST_SECRETS = {"verb": "list", "version": "v1", "resource": "secrets"}


async def test_the_administrator_may_do_everything(api: API) -> None:
    asked = HEAD | {"spec": {"resourceAttributes": LIST_SECRETS}}
    answer = await api("POST", REVIEWS, asked, fieldManager="asker")
    assert (answer.status, answer.body["spec"], answer.body["status"]) == (201, asked["spec"], {"allowed": True})
    assert (answer.body["kind"], answer.body["apiVersion"]) == (HEAD["kind"], HEAD["apiVersion"])
    assert set(answer.metadata) == {"managedFields"}
    fields = {".": {}, "f:resource": {}, "f:verb": {}, "f:version": {}}
    assert owned(answer.body, "asker", "Update") == {"f:spec": {"f:resourceAttributes": fields}}


async def test_paths_that_are_no_resources_can_be_asked_about(api: API) -> None:
    answer = await api("POST", REVIEWS, HEAD | {"spec": {"nonResourceAttributes": {"path": "/x", "verb": "get"}}})
    assert (answer.status, answer.body["status"]) == (201, {"allowed": True})


BOTH = {"resourceAttributes": LIST_SECRETS, "nonResourceAttributes": {"path": "/x", "verb": "get"}}
NO_QUESTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "nothing is asked": ({}, "spec.resourceAttributes"),
    "the spec is empty": ({"spec": {}}, "spec.resourceAttributes"),
    "two things are asked": ({"spec": BOTH}, "spec.nonResourceAttributes"),
    "it has a name": ({"metadata": {"name": "x"}, "spec": {"resourceAttributes": LIST_SECRETS}}, "metadata"),
}


@pytest.mark.parametrize(("question", "field"), NO_QUESTIONS.values(), ids=list(NO_QUESTIONS))
async def test_a_review_is_refused_when(api: API, question: dict[str, Any], field: str) -> None:
    answer = await api("POST", REVIEWS, HEAD | question)
    assert answer.refusal == (422, "Invalid")
    assert [cause["field"] for cause in answer.body["details"]["causes"]] == [field]


REQUESTS = {
    "a list": ("GET", "", 405),
    "a watch": ("GET", "?watch=true", 405),
    "a deletion of all": ("DELETE", "", 405),
    "a review by name": ("GET", "/x", 404),
    "a review replaced": ("PUT", "/x", 404),
}


@pytest.mark.parametrize(("method", "path", "status"), REQUESTS.values(), ids=list(REQUESTS))
async def test_there_is_no_such_thing_as(api: API, method: str, path: str, status: int) -> None:
    assert (await api(method, REVIEWS + path)).status == status


async def test_unknown_fields_are_warned_of(api: API) -> None:
    answer = await api("POST", REVIEWS, HEAD | {"spec": {"resourceAttributes": LIST_SECRETS | {"colour": "red"}}})
    assert answer.status == 201
    assert answer.headers["Warning"] == '299 - "unknown field \\"spec.resourceAttributes.colour\\""'


async def test_discovery_says_that_reviews_are_only_created(api: API) -> None:
    listed = (await api("GET", "/apis/authorization.k8s.io/v1")).body["resources"]
    found = [each["verbs"] for each in listed if each["name"] == "selfsubjectaccessreviews"]
    assert found == [["create"]]


def test_kubectl_can_ask(control_plane: Any, tmp_path: Path) -> None:
    kubectl = Kubectl(control_plane.kubeconfig, home=tmp_path)
    done = kubectl("auth", "can-i", "list", "secrets", "--all-namespaces")
    assert (done.returncode, done.stdout) == (0, "yes\n"), done.stderr
