import base64
import io
import json
import logging
import warnings

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from meshca import logs

KEY = ec.generate_private_key(ec.SECP256R1())
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
LEGACY = KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"pw")).decode()
BODY = PEM.splitlines()[1]
ENCODED = base64.b64encode(PEM.encode()).decode()
FORMATS = ["text", "json"]


@pytest.fixture
def stream():
    """What is logged; the process's logging is as it was afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    logging.captureWarnings(capture=False)
    root.handlers, root.level = handlers, level
    for name in ("kopf", "kubernetes", "client", "aiohttp", "asyncio"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def log(stream: io.StringIO, log_format: str, *args: object, **kwargs: object) -> str:
    logs.set_up(log_format, "info", stream)
    logging.getLogger("meshca.test").warning(*args, **kwargs)
    return stream.getvalue()


def test_a_text_line_has_time_level_message_and_fields(stream):
    line = log(stream, "text", "%s rotated", "root 1", extra={"meshca": "mesh", "reason": "RootActivated"})
    time, rest = line.split(" ", 1)
    assert time.endswith("Z")
    assert "T" in time
    assert rest == "WARNING root 1 rotated meshca=mesh reason=RootActivated\n"


def test_a_json_line_has_time_level_logger_message_and_fields(stream):
    entry = json.loads(log(stream, "json", "%s rotated", "root 1", extra={"meshca": "mesh", "target": "istio"}))
    assert entry.pop("time").endswith("Z")
    assert entry == {
        "level": "warning",
        "logger": "meshca.test",
        "message": "root 1 rotated",
        "meshca": "mesh",
        "target": "istio",
    }


@pytest.mark.parametrize("log_format", FORMATS)
@pytest.mark.parametrize(
    ("secret", "shown"),
    [
        pytest.param(PEM, BODY, id="a PEM key"),
        pytest.param(LEGACY, LEGACY.splitlines()[4], id="an encrypted key with PEM headers"),
        pytest.param(repr(PEM), BODY, id="a key in a repr"),
        pytest.param(json.dumps({"data": {"ca-key.pem": PEM}}), BODY, id="a key within JSON"),
        pytest.param(json.dumps(json.dumps(PEM)), BODY, id="a key within JSON within JSON"),
        pytest.param(PEM.replace("\n", "\r\n"), BODY, id="a key with CRLF"),
        pytest.param(PEM[:100], BODY[:40], id="a key that was cut off"),
        pytest.param(
            base64.b64encode(PEM.encode()).decode(), base64.b64encode(PEM.encode()).decode()[60:], id="base64"
        ),
        pytest.param("Authorization: Bearer eyJhbGciOiJSUzI1NiJ9.e30.x", "eyJhbGciOiJSUzI1NiJ9", id="a bearer token"),
    ],
)
def test_no_key_material_is_logged(stream, log_format, secret, shown):
    assert shown in secret
    line = log(stream, log_format, "before %s after", secret, extra={"target": secret})
    assert "[redacted]" in line
    assert shown not in line


@pytest.mark.parametrize("log_format", FORMATS)
def test_no_key_material_is_logged_by_a_traceback(stream, log_format):
    logs.set_up(log_format, "info", stream)
    logging.getLogger("meshca.test").error("it failed", exc_info=ValueError(PEM))
    assert "ValueError: [redacted]" in stream.getvalue()
    assert BODY not in stream.getvalue()


def test_what_follows_a_key_is_still_logged(stream):
    assert "[redacted] and then" in log(stream, "json", "%s and then", PEM.strip())


@pytest.mark.parametrize("log_format", FORMATS)
def test_certificates_are_no_secret(stream, log_format):
    assert "-----BEGIN CERTIFICATE-----" in log(stream, log_format, "-----BEGIN CERTIFICATE----- MIIB")


def test_a_message_cannot_forge_a_line(stream):
    line = log(stream, "text", "spec says %s", "x\n2025-01-01T00:00:00Z ERROR root lost\x1b[31m")
    assert line.count("\n") == 1
    assert "\x1b" not in line


@pytest.mark.parametrize(
    ("level", "logger", "least"),
    [
        pytest.param("info", "meshca", logging.INFO, id="ours say what was asked for"),
        pytest.param("debug", "meshca", logging.DEBUG, id="ours debug"),
        pytest.param("error", "meshca", logging.ERROR, id="ours keep quiet"),
        pytest.param("info", "kopf", logging.WARNING, id="others only warn"),
        pytest.param("debug", "kubernetes", logging.INFO, id="others inform, but do not dump objects"),
    ],
)
def test_the_least_level_that_is_logged(stream, level, logger, least):
    logs.set_up("text", level, stream)
    assert logging.getLogger(logger).getEffectiveLevel() == least


def test_python_warnings_are_log_lines(stream):
    logs.set_up("json", "info", stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old-fashioned", DeprecationWarning, stacklevel=1)
    assert "old-fashioned" in json.loads(stream.getvalue())["message"]
