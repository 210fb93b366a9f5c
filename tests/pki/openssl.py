"""The system's `openssl`, for input as people really make it and for a validator that is not the library under test."""

import subprocess
from pathlib import Path


def run(*arguments: str, stdin: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *arguments], input=stdin, capture_output=True, check=True).stdout


def verify(folder: Path, leaf: bytes, chain: bytes, bundle: bytes, *options: str) -> str | None:
    """Ask `openssl verify`; None when it accepts, else what it says."""
    for file, content in (("leaf.pem", leaf), ("chain.pem", chain), ("bundle.pem", bundle)):
        (folder / file).write_bytes(content)
    files = ["-CAfile", "bundle.pem", "-untrusted", "chain.pem", "leaf.pem"]
    command = ["openssl", "verify", "-no-CApath", "-no-CAstore", *options, *files]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    return None if done.returncode == 0 else done.stderr.decode()
