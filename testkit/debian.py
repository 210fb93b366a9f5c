"""Programs out of Debian's packages, without installing anything: fetched by apt as any user, unpacked in the cache."""

import shutil
import subprocess
from pathlib import Path

from testkit.programs import Unavailable, kept, say

PACKAGES = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
}
"""By program, its package. All of them are Go programs, which need no library."""
TEMPLATES = Path("usr", "share", "prometheus", "alertmanager")
"""Where Debian's Alertmanager has its templates, and looks for them whatever it is told."""

_failed: list[Unavailable] = []
"""What cannot be fetched once is not tried again in the same run."""
ADVICE = (
    "there is no Prometheus and Alertmanager, and no Debian to fetch them from:"
    " apt-get install --no-install-recommends prometheus prometheus-alertmanager"
)


def program(name: str) -> str:
    """Return the path of one of these programs: on the PATH, or in the cache, fetched if need be.

    Raises:
        Unavailable: there is none, and this is no Debian (or one that cannot reach its archive).
    """
    found = shutil.which(name)
    return found or str(_package(PACKAGES[name]) / "usr" / "bin" / name)


def templates() -> Path:
    """Return where an Alertmanager of ours has to be started, to find its templates.

    Raises:
        Unavailable: as `program` does.
    """
    return Path("/") if shutil.which("prometheus-alertmanager") else _package("prometheus-alertmanager") / TEMPLATES


def _package(name: str) -> Path:
    """Return where a package is unpacked."""
    if _failed:
        raise _failed[0]
    try:
        return kept(f"{_release()}-{name}-package", lambda into: _fetch(name, into))
    except Unavailable as error:
        _failed.append(error)
        raise


def _release() -> str:
    """Return which Debian, or which distribution made of it, this is: `debian-12`."""
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return "unknown"
    known = dict(line.split("=", 1) for line in lines if "=" in line)
    return "-".join(known.get(key, "").strip('"') for key in ("ID", "VERSION_ID"))


def _fetch(package: str, into: Path) -> Path:
    say(f"{package}: fetching Debian's, once")
    for directory in ("lists/partial", "archives/partial"):
        (into / directory).mkdir(parents=True)
    # Apt's own verification of the archive, with everything that it writes in a place of ours: so it needs no root.
    places = {"Dir::State::Lists": into / "lists", "Dir::Cache": into, "APT::Sandbox::User": "", "Debug::NoLocking": 1}
    apt = ["apt-get", "-q", *(f"-o{key}={value}" for key, value in places.items())]
    _run([*apt, "update"], into)
    _run([*apt, "download", package], into)
    (archive,) = into.glob("*.deb")
    _run(["dpkg-deb", "-x", str(archive), "root"], into)
    alertmanager = into / "root" / "usr" / "bin" / "prometheus-alertmanager"
    if alertmanager.exists():
        _look_for_templates_here(alertmanager)
    return into / "root"


def _look_for_templates_here(program: Path) -> None:
    """Put the working directory in place of the one that is in the program, in as many bytes."""
    fixed = f"/{TEMPLATES}".encode()
    here = b"./" * (len(fixed) // 2)
    assert len(here) == len(fixed), "an even number of bytes"
    program.write_bytes(program.read_bytes().replace(fixed, here))


def _run(command: list[str], directory: Path) -> None:
    try:
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise Unavailable(ADVICE) from error
    if done.returncode:
        raise Unavailable(f"{ADVICE}\n{done.stderr[-1000:]}")
