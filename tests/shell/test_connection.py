import asyncio
import json
import sys
import textwrap
from datetime import UTC, datetime

import pytest
import yaml
from aiohttp import web

from meshca import __version__
from meshca.cluster.clock import ServerClock
from meshca.cluster.connection import REQUEST_SECONDS, connect, retry_after
from meshca.errors import ConflictError, StoreError
from meshca.words.reasons import Found
from tests.shell.scripted_api import connected, kubeconfig, serving, status, stream
from tests.shell.virtual_time import in_virtual_time

NO_CONTEXT = "{current-context: x, contexts: [], clusters: [], users: []}"


class Notes:
    """Answers everything with its headers, and notes what was asked."""

    def __init__(self) -> None:
        self.requests: list[web.BaseRequest] = []

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        body = await request.text()
        return web.json_response({"path": request.path_qs, "body": json.loads(body) if body else None})


async def test_every_request_says_who_asks(tmp_path):
    notes = Notes()
    async with connected(notes, tmp_path) as connection:
        await connection.request("GET", "/version")
        async with connection.session() as session, session.get(f"{connection.server}/api"):
            pass
    assert [request.headers["Authorization"] for request in notes.requests] == ["Bearer first", "Bearer first"]
    assert {request.headers["User-Agent"] for request in notes.requests} == {f"meshca/{__version__}"}


async def test_a_call_sends_query_and_body_and_returns_the_object(tmp_path):
    notes = Notes()
    async with connected(notes, tmp_path) as connection:
        answer = await connection.request(
            "PATCH",
            "/api/v1/x",
            params={"fieldManager": "meshca"},
            body={"a": [1]},
            content_type="application/apply-patch+yaml",
        )
    assert answer == {"path": "/api/v1/x?fieldManager=meshca", "body": {"a": [1]}}
    assert notes.requests[0].headers["Content-Type"] == "application/apply-patch+yaml"


async def test_path_and_query_arrive_as_they_were_meant(tmp_path):
    asked = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append((request.path, dict(request.query)))
        return web.json_response({})

    selector = {"labelSelector": "a=b,c in (d, e+f&g%h)"}
    async with connected(answer, tmp_path) as connection:
        await connection.request("GET", "/api/v1/a%2Fb%20c", params=selector)
    assert asked == [("/api/v1/a/b c", selector)]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(status(403), (StoreError, Found.FORBIDDEN, 403, None), id="a missing right"),
        pytest.param(status(404), (StoreError, Found.API_ERROR, 404, None), id="nothing there"),
        pytest.param(status(409), (ConflictError, Found.API_ERROR, 409, None), id="a conflict"),
        pytest.param(status(429, **{"Retry-After": "7"}), (StoreError, Found.API_ERROR, 429, 7.0), id="too much"),
        pytest.param(status(500), (StoreError, Found.API_ERROR, 500, None), id="an error of the server"),
        pytest.param(web.Response(status=502, text="<html>"), (StoreError, Found.API_ERROR, 502, None), id="a proxy"),
        pytest.param(web.Response(text="<html>"), (StoreError, Found.API_ERROR, 0, None), id="no JSON"),
        pytest.param(web.json_response([1]), (StoreError, Found.API_ERROR, 0, None), id="no object"),
    ],
)
async def test_a_refusal_becomes_an_error(tmp_path, answer, expected):
    async def refuse(_: web.Request) -> web.StreamResponse:
        return answer

    async with connected(refuse, tmp_path) as connection:
        with pytest.raises(StoreError) as caught:
            await connection.request("GET", "/api/v1/x")
    error = caught.value
    assert (type(error), error.reason, error.status, error.retry_after) == expected
    assert error.message.startswith("GET /api/v1/x: ")


async def test_no_answer_is_an_error_and_counted(tmp_path):
    counted = []
    async with connected(Notes(), tmp_path, on_response=lambda *what: counted.append(what)) as connection:
        connection.server = "http://127.0.0.1:1"
        with pytest.raises(StoreError, match="no answer from the API server"):
            await connection.request("GET", "/version")
    assert counted == [("get", "", 0)]


@in_virtual_time
async def test_an_answer_that_does_not_come_is_an_error_in_time(tmp_path):
    async def hang(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(100_000)
        raise AssertionError

    async with connected(hang, tmp_path) as connection:
        begun = asyncio.get_running_loop().time()
        with pytest.raises(StoreError, match="no answer"):
            await connection.request("GET", "/version")
        assert asyncio.get_running_loop().time() - begun == pytest.approx(REQUEST_SECONDS, abs=1)


async def test_requests_are_counted_by_verb_resource_and_status_and_a_watch_is_a_verb(tmp_path):
    counted = []

    async def answer(request: web.Request) -> web.StreamResponse:
        return status(404) if request.method == "DELETE" else web.json_response({})

    async with connected(answer, tmp_path, on_response=lambda *what: counted.append(what)) as connection:
        await connection.request("GET", "/api/v1/secrets", params={"watch": "true"})
        await connection.request("PATCH", "/apis/meshca.io/v1alpha1/meshcas/mesh/status", body={})
        await connection.request("PUT", "/apis/coordination.k8s.io/v1/namespaces/ns/leases/meshca", body={})
        await connection.request("GET", "/api/v1/namespaces/ns")
        await connection.request("GET", "/version")
        with pytest.raises(StoreError):
            await connection.request("DELETE", "/api/v1/namespaces/ns/secrets/mesh-root-1")
    assert counted == [
        ("watch", "secrets", 200),
        ("patch", "meshcas/status", 200),
        ("put", "leases", 200),
        ("get", "namespaces", 200),
        ("get", "", 200),
        ("delete", "secrets", 404),
    ]


async def test_every_answer_also_a_refusal_sets_the_clock(tmp_path):
    async def refuse(_: web.Request) -> web.StreamResponse:
        return status(403, Date="Wed, 01 Jan 2025 12:00:00 GMT")

    clock = ServerClock(lambda: 5.0)
    async with connected(refuse, tmp_path, clock=clock) as connection:
        with pytest.raises(StoreError):
            await connection.request("GET", "/version")
    assert clock.now() == datetime(2025, 1, 1, 12, tzinfo=UTC)


async def only_second(request: web.Request) -> web.StreamResponse:
    return web.json_response({}) if request.headers["Authorization"] == "Bearer second" else status(401)


async def test_a_rejected_token_is_read_again_and_the_request_repeated(tmp_path):
    counted = []
    (tmp_path / "token").write_text("first")
    user = {"tokenFile": str(tmp_path / "token")}
    async with connected(
        only_second, tmp_path, user=user, on_response=lambda *what: counted.append(what)
    ) as connection:
        (tmp_path / "token").write_text("second")
        await connection.request("POST", "/api/v1/x", body={"kept": True})
        await connection.request("GET", "/version")
    assert counted == [("post", "x", 401), ("post", "x", 200), ("get", "", 200)]


async def test_an_exec_plugin_is_asked_again_when_its_token_is_rejected(tmp_path):
    plugin = tmp_path / "plugin.py"
    plugin.write_text(
        textwrap.dedent(f"""
        import json, pathlib
        asked = pathlib.Path({str(tmp_path / "asked")!r})
        token = "second" if asked.exists() else "first"
        asked.touch()
        credential = dict(apiVersion="client.authentication.k8s.io/v1", kind="ExecCredential", status=dict(token=token))
        print(json.dumps(credential))
        """)
    )
    user = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": sys.executable,
            "args": [str(plugin)],
            "interactiveMode": "Never",
        }
    }
    async with connected(only_second, tmp_path, user=user) as connection:
        assert await connection.request("GET", "/version") == {}


async def test_credentials_that_stay_rejected_are_not_read_over_and_over(tmp_path):
    notes = []

    async def refuse(request: web.Request) -> web.StreamResponse:
        notes.append(request.path)
        return status(401)

    async with connected(refuse, tmp_path) as connection:
        for _ in range(3):
            with pytest.raises(StoreError, match="401"):
                await connection.request("GET", "/version")
    assert len(notes) == 3


async def test_a_redirect_to_another_server_does_not_get_our_token(tmp_path):
    notes = Notes()
    async with serving(notes) as elsewhere:

        async def redirect(_: web.Request) -> web.StreamResponse:
            raise web.HTTPFound(f"{elsewhere}/stolen")

        async with connected(redirect, tmp_path) as connection:
            await connection.request("GET", "/version")
    assert "Authorization" not in notes.requests[0].headers


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy"])
async def test_a_proxy_of_the_environment_is_not_asked_for_loopback(tmp_path, monkeypatch, variable):
    monkeypatch.setenv(variable, "http://127.0.0.1:1")
    async with connected(Notes(), tmp_path) as connection:
        assert (await connection.request("GET", "/version"))["path"] == "/version"


async def test_closing_one_session_leaves_the_others_working(tmp_path):
    async with connected(Notes(), tmp_path) as connection:
        await connection.session().close()
        assert (await connection.request("GET", "/version"))["path"] == "/version"


async def test_many_watches_do_not_take_connections_from_requests(tmp_path):
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.query.get("watch"):
            response = await stream(request)
            await asyncio.sleep(3600)
            return response
        return web.json_response({})

    async with connected(answer, tmp_path) as connection, connection.session() as session:
        url = f"{connection.server}/api?watch=1"
        watches = [await session.get(url) for _ in range(150)]
        assert await connection.request("GET", "/version") == {}
        for watch in watches:
            watch.close()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(None, "there is no {}: set KUBECONFIG", id="there is no file"),
        pytest.param("", "cannot use {}: it is no kubeconfig", id="it is empty"),
        pytest.param("users: [", "cannot use {}: it is no kubeconfig", id="it is no YAML"),
        pytest.param(
            "{current-context: x, contexts: [], clusters: [], users: []}",
            "cannot use {}: it has no object with name x",
            id="no context",
        ),
    ],
)
async def test_a_kubeconfig_that_cannot_be_used_is_one_clear_error(tmp_path, content, why):
    file = tmp_path / "kubeconfig"
    if content is not None:
        file.write_text(content)
    with pytest.raises(StoreError) as caught:
        await connect(ServerClock(), environ={"KUBECONFIG": str(file)})
    assert caught.value.message.startswith(why.format(file))


async def test_the_error_of_a_malformed_kubeconfig_does_not_quote_its_credentials(tmp_path):
    config = kubeconfig("https://127.0.0.1:1", token="hunter2")
    config["users"].append({"user": {"token": "hunter2"}})
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    with pytest.raises(StoreError) as caught:
        await connect(ServerClock(), environ={"KUBECONFIG": str(file)})
    assert "hunter2" not in repr(caught.value)
    assert caught.value.__cause__ is None


async def test_in_a_pod_without_a_token_the_error_says_where_it_looked():
    with pytest.raises(StoreError, match="cannot use the pod's ServiceAccount: Service host/port is not set"):
        await connect(ServerClock(), environ={"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"})


@pytest.mark.parametrize(
    ("value", "seconds"), [("5", 5.0), ("0", 0.0), ("", None), ("-1", None), ("soon", None), ("²", None)]
)
def test_retry_after(value, seconds):
    assert retry_after({"Retry-After": value} if value else {}) == seconds
