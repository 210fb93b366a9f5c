"""The files of kind/ by themselves, and what they must agree on."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from testkit.programs import on_path, required
from tests.kind.machine import KIND, STANDINS

SCRIPTS = [*sorted(KIND.glob("*.sh")), *sorted(STANDINS.glob("*.sh"))]


def read(name: str) -> dict:
    return yaml.safe_load((KIND / name).read_text())


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: f"{script.parent.name}/{script.name}")
def test_shellcheck_finds_nothing(script: Path) -> None:
    command = [required(lambda: on_path("shellcheck")), "--external-sources", script.name]
    found = subprocess.run(command, cwd=script.parent, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


@pytest.mark.parametrize("script", ["up.sh", "down.sh", "check.sh"])
def test_a_script_can_be_started(script: str) -> None:
    assert (KIND / script).stat().st_mode & 0o111 == 0o111


def test_the_node_is_exact() -> None:
    (node,) = read("cluster.yaml")["nodes"]
    assert re.fullmatch(r"kindest/node:v1\.\d+\.\d+@sha256:[0-9a-f]{64}", node["image"])


def test_the_kubelet_is_faster_than_istiod_is_given() -> None:
    (patch,) = read("cluster.yaml")["kubeadmConfigPatches"]
    kubelet = yaml.safe_load(patch)
    assert (kubelet["kind"], kubelet["syncFrequency"]) == ("KubeletConfiguration", "10s")
    assert read("meshca.yaml")["spec"]["rotation"]["propagationDelay"] == "1m"


def test_no_certificate_lives_longer_than_meshca_is_told() -> None:
    proxies = read("istio-values.yaml")["meshConfig"]["defaultConfig"]["proxyMetadata"]
    assert proxies["SECRET_TTL"] == read("meshca.yaml")["spec"]["workload"]["maxCertificateDuration"]


def test_the_readme_links_to_files_that_are_there() -> None:
    text = (KIND / "README.md").read_text()
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert {path.name for path in KIND.iterdir() if path.suffix in (".yaml", ".py")} <= set(links)
    assert [link for link in links if not (KIND / link).exists()] == []
