"""Ask Go itself whether istiod would start with the files of a Secret: testkit/go/istiodload, built once."""

import json
import subprocess
from base64 import b64encode
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

from testkit.programs import go_program


def istiodload() -> Path:
    """Return the program. Raises Unavailable."""
    return go_program("istiodload")


def refusals(program: Path, secrets: Iterable[Mapping[str, bytes]], now: datetime) -> list[str]:
    """Return for each Secret what istiod would stop at; an empty text when it would start."""
    asked = [
        json.dumps({"now": now.isoformat(), "files": {name: b64encode(text).decode() for name, text in secret.items()}})
        for secret in secrets
    ]
    done = subprocess.run([program], input="\n".join(asked), capture_output=True, text=True, check=True)
    return done.stdout.split("\n")[: len(asked)]
