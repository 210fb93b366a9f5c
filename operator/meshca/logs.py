"""Log lines for people and for machines, on stderr, without key material.

A line has a time (ISO 8601, UTC), a level, a message and, where they apply, the
fields in FIELDS, given as `extra={"meshca": ..., "reason": ...}`.
"""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import IO

from meshca.settings import LogFormat

FIELDS = ("meshca", "reason", "target")

_SECRETS = re.compile(
    # A PEM private key, in whatever way its line breaks are spelled; cut off: all that follows.
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----|\Z)"
    # "-----BEGIN" in base64: how the data of a Secret looks.
    r"|LS0tLS1CRUdJT[A-Za-z0-9+/=]*"
    # A credential, as a header shows it.
    r"|\b[Bb]earer [A-Za-z0-9._~+/=-]{8,}",
    re.DOTALL,
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def redact(text: str) -> str:
    """The text without private keys, Secret data and bearer tokens."""
    return _SECRETS.sub("[redacted]", text)


class TextFormatter(logging.Formatter):
    """`2025-01-01T00:00:00.000Z INFO message meshca=mesh reason=RootIssued`, one line unless there is a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        fields = "".join(f" {name}={_one_line(value)}" for name, value in _fields(record).items())
        line = f"{_time(record)} {record.levelname:<7} {_one_line(record.getMessage())}{fields}"
        error = _error(self, record)
        return redact(f"{line}\n{error}" if error else line)


class JSONFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, the fields, and `error` with a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        entry = {"time": _time(record), "level": record.levelname.lower(), "logger": record.name}
        # Redacted before it is encoded: an escaped character in the middle of a key must not hide it.
        entry["message"] = redact(record.getMessage())
        entry |= {name: redact(value) for name, value in _fields(record).items()}
        if error := _error(self, record):
            entry["error"] = redact(error)
        return json.dumps(entry, ensure_ascii=False)


def set_up(log_format: LogFormat, level: str, stream: IO[str] | None = None) -> None:
    """Send the whole process's log to a stream, stderr by default."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JSONFormatter() if log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(capture=True)
    # They tell of their own workings, kopf and the client also of whole objects when they debug.
    others = logging.INFO if level == "debug" else logging.WARNING
    for name in ("kopf", "kubernetes", "client", "aiohttp", "asyncio"):
        logging.getLogger(name).setLevel(others)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> dict[str, str]:
    return {name: str(value) for name in FIELDS if (value := getattr(record, name, None)) is not None}


def _error(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return formatter.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""


def _one_line(text: str) -> str:
    """The text with control characters spelled out: what others wrote must not forge a line."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
