from typing import Self

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Gauge

from meshca.process.http import MonitoringServer, at_most, parse_address


class Serving:
    """A monitoring server on a free port, and what it answers."""

    def __init__(self, **checks) -> None:
        self.registry = CollectorRegistry()
        self.server = MonitoringServer("127.0.0.1:0", self.registry, **checks)

    async def __aenter__(self) -> Self:
        await self.server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.stop()

    async def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str, str]:
        url = f"http://127.0.0.1:{self.server.port}{path}"
        async with aiohttp.request(method, url, headers=headers) as response:
            return response.status, response.headers["Content-Type"], await response.text()


async def test_healthy_and_ready_without_complaints():
    async with Serving(health=[lambda: None], ready=[]) as serving:
        assert (await serving.get("/healthz"))[::2] == (200, "ok\n")
        assert (await serving.get("/readyz"))[::2] == (200, "ok\n")


async def test_every_complaint_is_listed_and_health_is_not_readiness():
    complaints = [lambda: "the event loop is late", lambda: None, lambda: "the watch is silent"]
    async with Serving(health=complaints) as serving:
        assert (await serving.get("/healthz"))[::2] == (503, "the event loop is late\nthe watch is silent\n")
        assert (await serving.get("/readyz"))[0] == 200


async def test_a_check_that_raises_is_a_complaint_without_its_message():
    def broken() -> str | None:
        raise RuntimeError("with something secret")

    async with Serving(ready=[broken]) as serving:
        status, _, text = await serving.get("/readyz")
    assert status == 503
    assert "RuntimeError" in text
    assert "secret" not in text


async def test_checks_are_made_anew_for_every_request():
    complaints = ["no MeshCA has been listed"]
    async with Serving(ready=[lambda: complaints[0] if complaints else None]) as serving:
        assert (await serving.get("/readyz"))[0] == 503
        complaints.clear()
        assert (await serving.get("/readyz"))[0] == 200


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        pytest.param("", "text/plain; version=", id="nothing is asked for: the classic text format"),
        pytest.param("application/openmetrics-text; version=1.0.0", "application/openmetrics-text", id="OpenMetrics"),
    ],
)
async def test_metrics_come_in_the_format_that_is_accepted(accept, content_type):
    async with Serving() as serving:
        Gauge("meshca_example", "An example.", registry=serving.registry).set(4)
        status, kind, text = await serving.get("/metrics", Accept=accept)
    assert status == 200
    assert kind.startswith(content_type)
    assert "meshca_example 4.0\n" in text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("HEAD", "/healthz", 200, id="HEAD is answered"),
        pytest.param("POST", "/metrics", 405, id="nothing can be posted"),
        pytest.param("GET", "/", 404, id="there is nothing else"),
    ],
)
async def test_other_requests(method, path, status):
    async with Serving() as serving:
        assert (await serving.get(path, method))[0] == status


async def test_an_address_that_is_taken_is_an_error():
    async with Serving() as serving:
        with pytest.raises(OSError, match="address already in use"):
            await MonitoringServer(f"127.0.0.1:{serving.server.port}", CollectorRegistry()).start()


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (":8080", (None, 8080)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
        ("[::1]:9090", ("::1", 9090)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_addresses(address, expected):
    assert parse_address(address) == expected


@pytest.mark.parametrize("address", ["8080", "", ":", "host:http", ":65536", "::1:80", "[zone]:80", ":-1", ":٨٠"])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ValueError, match=r"host:port|brackets|IPv6|Expected|[Aa]t least"):
        parse_address(address)


@pytest.mark.parametrize(("value", "complaint"), [(5.0, None), (5.1, "event loop lag 5.1 s, more than 5 s")])
def test_a_bound_complains_when_it_is_exceeded(value, complaint):
    assert at_most("event loop lag", lambda: value, 5)() == complaint
