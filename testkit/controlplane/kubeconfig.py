"""The kubeconfig that points at a control plane: one cluster, one user with a bearer token."""

import base64
import json
import os
from pathlib import Path


def write_kubeconfig(path: Path, url: str, token: str, *, ca_pem: bytes = b"", name: str = "embedded") -> None:
    """Write it, readable by its owner only. JSON is YAML, and needs no library."""
    cluster = {"server": url}
    if ca_pem:
        cluster["certificate-authority-data"] = base64.b64encode(ca_pem).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": cluster}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "users": [{"name": name, "user": {"token": token}}],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    # Replaced as a whole: a reader never sees half a file.
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(config, indent=2) + "\n")
    draft.replace(path)
