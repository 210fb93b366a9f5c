"""Ask every pod of the operator whether it works, until all do: it is ready, has metrics, and one of them leads.

Run by `helm test` with the image's Python and nothing else, and before the first MeshCA of a release is made.
Takes host:port and for how many seconds to try; asks each address of the host. Exits 1 and says what is wrong.
"""

import socket
import sys
import time
import urllib.error
import urllib.request


def get(address: str, path: str) -> str:
    """Return the body of an answer; raise OSError for any other than 200."""
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as answer:
            return str(answer.read(), "utf-8")
    except urllib.error.HTTPError as error:
        raise OSError(f"{address}{path}: {error.code}: {str(error.read(), 'utf-8').strip()}") from error


def addresses(host: str, port: str) -> list[str]:
    """Return where the pods listen: every address of a headless Service."""
    found = {str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    return sorted(f"[{it}]:{port}" if ":" in it else f"{it}:{port}" for it in found)


def check(pods: list[str]) -> None:
    """Raise OSError when a pod does not work, or when not exactly one leads."""
    leaders = []
    for pod in pods:
        get(pod, "/readyz")
        lines = get(pod, "/metrics").splitlines()
        if not any(line.startswith("meshca_build_info{") for line in lines):
            raise OSError(f"{pod}/metrics: no meshca_build_info: this is not the operator")
        leaders += [pod] if "meshca_leader 1.0" in lines else []
    if len(leaders) != 1:
        raise OSError(f"one pod of {', '.join(pods)} should lead, but it is {', '.join(leaders) or 'none'}")
    sys.stdout.write(f"ready: {', '.join(pods)}; {leaders[0]} leads\n")


def main() -> None:
    """Check until it succeeds, or until the time is over."""
    host, _, port = sys.argv[1].rpartition(":")
    deadline = time.monotonic() + float(sys.argv[2])
    while True:
        try:
            return check(addresses(host, port))
        except OSError as error:
            if time.monotonic() > deadline:
                sys.exit(f"not ready: {error}")
        time.sleep(1)


if __name__ == "__main__":
    main()
