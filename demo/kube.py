"""The demo's own access to the API server, in plain JSON, as any user's kubectl would have it."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

from testkit.client import Access, Json, RequestError
from testkit.cluster import Cluster

RETRY_SECONDS = 0.2


def connected(kubeconfig: Path) -> Cluster:
    """Return the cluster that a kubeconfig leads to; entered, it is connected."""
    return Cluster(Access.read(kubeconfig), "demo")


async def follow(cluster: Cluster, collection: str, name: str) -> AsyncGenerator[Json | None]:
    """Yield an object as it is now, and every version of it from then on; None while it does not exist."""
    selector = {"fieldSelector": f"metadata.name={name}"}
    while True:
        try:
            listed = await cluster.request("GET", collection, **selector)
            yield next(iter(listed["items"]), None)
            start = listed["metadata"]["resourceVersion"]
            async with cluster.watch(collection, resourceVersion=start, **selector) as events:
                async for event in events:
                    if event["type"] == "ERROR":  # 410 Gone: list anew
                        break
                    if event["type"] != "BOOKMARK":
                        yield None if event["type"] == "DELETED" else event["object"]
        except RequestError:
            await asyncio.sleep(RETRY_SECONDS)
