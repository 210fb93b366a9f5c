"""MeshCAs as the API server takes them, and their schema as deploy/crd.yaml writes it."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from testkit.client import Answer, Client, Json
from testkit.cluster import MESHCAS
from testkit.loop import Loop


def meshca(spec: Any, name: str = "mesh") -> Json:
    """Return a MeshCA to be applied."""
    return {"apiVersion": "meshca.io/v1alpha1", "kind": "MeshCA", "metadata": {"name": name}, "spec": spec}


def fields(schema: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """Yield every field of a schema: its path, such as `.targets[].name`, and its own schema."""
    for key, value in schema.get("properties", {}).items():
        yield f"{path}.{key}", value
        yield from fields(value, f"{path}.{key}")
    if "items" in schema:
        yield from fields(schema["items"], f"{path}[]")


class MeshCAs:
    """The collection of MeshCAs, by plain requests that leave nothing behind."""

    def __init__(self, loop: Loop, client: Client) -> None:
        self._loop, self._client = loop, client

    def stored(self, spec: Any, name: str = "mesh") -> Json:
        """Return what the API server would store."""
        return self._created(spec, name).body["spec"]

    def warnings(self, spec: Any) -> list[str]:
        """Return the warnings that it answers with."""
        return self._created(spec, "mesh").headers.getall("Warning", [])

    def refusal(self, spec: Any, name: str = "mesh") -> Json:
        """Return its answer to a spec that it must refuse."""
        answer = self._answer(spec, name)
        assert answer.status in (HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.BAD_REQUEST)
        return answer.body

    def _created(self, spec: Any, name: str) -> Answer:
        answer = self._answer(spec, name)
        assert answer.status == HTTPStatus.CREATED, answer.body
        return answer

    def _answer(self, spec: Any, name: str) -> Answer:
        options = {"dryRun": "All", "fieldValidation": "Strict"}
        return self._loop.run(self._client("POST", MESHCAS, meshca(spec, name), **options))
