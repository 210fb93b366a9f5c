"""Ask Go itself whether istiod would start with the files of a Secret: testkit/go/istiodload, built once."""

import hashlib
import json
import os
import subprocess
from base64 import b64encode
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

from testkit.programs import Unavailable, go, kept

SOURCE = Path(__file__).parent / "go" / "istiodload"


def istiodload() -> Path:
    """Return the program.

    Raises:
        Unavailable: there is no Go, or it cannot build it.
    """
    compiler = go()
    sources = [SOURCE / "go.mod", *sorted(SOURCE.glob("*.go"))]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    return kept(f"istiodload-{digest[:16]}", lambda directory: _build(compiler, directory))


def _build(compiler: str, directory: Path) -> Path:
    made = directory / "istiodload"
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    done = subprocess.run(
        [compiler, "build", "-o", made, "."], cwd=SOURCE, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Unavailable(f"Go does not build {SOURCE.name}: {done.stderr.strip()}")
    return made


def refusals(program: Path, secrets: Iterable[Mapping[str, bytes]], now: datetime) -> list[str]:
    """Return for each Secret what istiod would stop at; an empty text when it would start."""
    asked = [
        json.dumps({"now": now.isoformat(), "files": {name: b64encode(text).decode() for name, text in secret.items()}})
        for secret in secrets
    ]
    done = subprocess.run([program], input="\n".join(asked), capture_output=True, text=True, check=True)
    return done.stdout.split("\n")[: len(asked)]
