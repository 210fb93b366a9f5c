"""MeshCAs as the API server takes them, and their schema as deploy/crd.yaml writes it."""

import json
import subprocess
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

DEPLOY = Path(__file__).parents[2] / "deploy"

Json = dict[str, Any]
Kubectl = Callable[..., subprocess.CompletedProcess[str]]


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

    def __init__(self, api: client.ApiClient) -> None:
        self._api = client.CustomObjectsApi(api)

    def stored(self, spec: Any, name: str = "mesh") -> Json:
        """Return what the API server would store."""
        return self._create(spec, name)[0]["spec"]

    def warnings(self, spec: Any) -> list[str]:
        """Return the warnings that it answers with."""
        return self._create(spec, "mesh")[2].getlist("Warning")

    def refusal(self, spec: Any, name: str = "mesh") -> Json:
        """Return its answer to a spec that it must refuse."""
        with pytest.raises(client.ApiException) as caught:
            self._create(spec, name)
        assert caught.value.status in (HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.BAD_REQUEST)
        return json.loads(caught.value.body)

    def _create(self, spec: Any, name: str) -> Any:
        return self._api.create_cluster_custom_object_with_http_info(
            "meshca.io", "v1alpha1", "meshcas", meshca(spec, name), dry_run="All", field_validation="Strict"
        )
