"""The published bundle: whatever somebody does to its ConfigMap is seen, without anything else that happens."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import pytest

from testkit.client import Json, RequestError
from tests.e2e.concurrently import concurrently
from tests.e2e.mesh import ONE_PASS, Mesh
from tests.e2e.test_accidents import BUNDLE, config_map_path


async def delete_it(mesh: Mesh) -> None:
    await mesh.cluster.delete(config_map_path(mesh))


async def edit_it(mesh: Mesh) -> None:
    await mesh.cluster.merge(config_map_path(mesh), {"data": {"root-cert.pem": "edited\n"}})


async def empty_it(mesh: Mesh) -> None:
    await mesh.cluster.merge(config_map_path(mesh), {"data": None})


@pytest.mark.parametrize("edit", [delete_it, edit_it, empty_it], ids=["deleted", "edited", "emptied"])
@concurrently
async def test_it_is_put_back_at_once_when_it_was(mesh: Mesh, edit: Callable[[Mesh], Awaitable[None]]) -> None:
    await mesh.apply(BUNDLE)
    await mesh.settled(revision=1)
    before = await mesh.cluster.get(config_map_path(mesh))
    assert before is not None
    edited = time.monotonic()
    await edit(mesh)
    while ((await mesh.cluster.get(config_map_path(mesh))) or {}).get("data") != before["data"]:
        assert time.monotonic() - edited <= ONE_PASS
        await asyncio.sleep(0.1)


async def _is_put(mesh: Mesh, collection: str, body: Json) -> bool:
    """Put another object in the place of the operator's; tell whether there was time for it."""
    await mesh.cluster.delete(config_map_path(mesh))
    try:
        await mesh.cluster.request("POST", collection, body, fieldManager="other-tool")
    except RequestError as error:
        if error.status != HTTPStatus.CONFLICT:
            raise
        return False
    return True


@concurrently
async def test_one_that_somebody_else_puts_in_its_place_is_noticed_and_its_removal_too(mesh: Mesh) -> None:
    await mesh.apply(BUNDLE)
    await mesh.settled(revision=1)
    collection, _, name = config_map_path(mesh).rpartition("/")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {}}
    async with asyncio.timeout(ONE_PASS):
        while not await _is_put(mesh, collection, body):  # the operator was faster
            pass
    await mesh.says("Stalled", "True", "ForeignConfigMap", within=ONE_PASS)
    await mesh.cluster.delete(config_map_path(mesh))
    await mesh.until(lambda: mesh.condition("Stalled")[0] != "True", "it is published again", within=ONE_PASS)
