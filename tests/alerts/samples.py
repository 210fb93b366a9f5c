"""A healthy mesh as a cluster's Prometheus stores it, and the words to change it.

One scrape a minute for four hours, from promtool's first of January 1970. What `mesh` has: a root of ten years that is
to be replaced after eight, an intermediate of 90 days that is to be renewed after 60, a rotation of 24 h 5 min waits.
"""

from collections.abc import Mapping

from tests.alerts.healthy import WATCHED, series

DAY, HOUR = 86400, 3600
Changes = Mapping[str, str | None]


def always(value: float) -> str:
    """Return a value that stays."""
    return f"{value}+0x240"


def after(minutes: int, value: float, before: float | None = None) -> str:
    """Return a value that is there from a minute on."""
    first = "_" if before is None else f"{before}+0"
    return f"{first}x{minutes - 1} {value}+0x{240 - minutes}"


def until(minutes: int, value: float) -> str:
    """Return a value whose series is gone from a minute on."""
    return f"{value}+0x{minutes - 1} stale"


def of(metric: str, /, pod: str = "meshca-a", **labels: str) -> str:
    """Return a series of the operator as a cluster's Prometheus stores it."""
    return series(metric, namespace="meshca-system", pod=pod, **labels)


def mesh(metric: str, /, pod: str = "meshca-a", **labels: str) -> str:
    """Return a series about the MeshCA `mesh`."""
    return of(metric, pod, name="mesh", **labels)


def istio(metric: str, /, pod: str = "meshca-a", **labels: str) -> str:
    """Return a series about its target `istio`."""
    return mesh(metric, pod, target="istio", **labels)


def istiod(metric: str, pod: str = "istiod-0") -> str:
    """Return a series of its istiod."""
    return series(metric, namespace="istio-system", pod=pod)


ROOT_END, ROOT_DUE = 3650 * DAY, 2920 * DAY
END, DUE = 90 * DAY, 60 * DAY
ROOT = {"revision": "1", "state": "sole"}

ROOT_ENDS = mesh("meshca_authority_not_after_timestamp_seconds", **ROOT)
ROOT_RENEWAL = mesh("meshca_authority_renewal_timestamp_seconds", revision="1")
ROOT_KEY = mesh("meshca_authority_key_available", **ROOT)
ENDS = istio("meshca_intermediate_not_after_timestamp_seconds")
RENEWAL = istio("meshca_intermediate_renewal_timestamp_seconds")
BUNDLE = istio("meshca_bundle_not_after_timestamp_seconds", revision="1")
READY = mesh("meshca_ready")
STEADY = mesh("meshca_phase", phase="Steady")
TRUST = mesh("meshca_phase", phase="Trust")
DRAIN = mesh("meshca_phase", phase="Drain")
SINCE = mesh("meshca_phase_start_timestamp_seconds")
WAIT = mesh("meshca_rotation_wait_seconds")
PUBLISHED = istio("meshca_target_state", state="Published")
ABSENT = istio("meshca_target_state", state="Absent")
FOREIGN = istio("meshca_target_state", state="ForeignSecret")
REPAIRS = istio("meshca_repairs_total")
LEADS, STANDS_BY = of("meshca_leader"), of("meshca_leader", "meshca-b")
WATCHES = of("meshca_api_requests_total", **WATCHED)
OK = of("meshca_reconcile_total", result="ok")
FAILS = of("meshca_reconcile_total", result="APIError")
INTERNAL = of("meshca_reconcile_total", result="InternalError")
PASSED = mesh("meshca_last_pass_timestamp_seconds")
PASSING = "0+60x240"
"""Looked at every minute."""
PATCHES = {"verb": "patch", "resource": "secrets"}
CHAIN = istiod("citadel_server_cert_chain_expiry_timestamp")
ISTIOD_ROOT = istiod("citadel_server_root_cert_expiry_timestamp")
CSRS, ISSUED = istiod("citadel_server_csr_count"), istiod("citadel_server_success_cert_issuance_count")

HEALTHY: dict[str, str] = {
    LEADS: always(1),
    STANDS_BY: always(0),
    WATCHES: always(1),
    of("meshca_build_info", version="0.1.0"): always(1),
    of("meshca_build_info", "meshca-b", version="0.1.0"): always(1),
    of("meshca_queue_depth"): always(0),
    of("meshca_loop_lag_seconds"): always(0.01),
    of("meshca_watch_silence_seconds"): always(60),
    of("meshca_clock_skew_seconds"): always(0.6),
    OK: "0+1x240",
    FAILS: always(0),
    INTERNAL: always(0),
    PASSED: PASSING,
    of("meshca_api_requests_total", status="200", **PATCHES): "0+60x240",
    of("meshca_api_requests_total", status="409", **PATCHES): "0+60x240",
    READY: always(1),
    STEADY: always(1),
    TRUST: always(0),
    DRAIN: always(0),
    WAIT: always(86700),
    ROOT_ENDS: always(ROOT_END),
    ROOT_RENEWAL: always(ROOT_DUE),
    ROOT_KEY: always(1),
    ENDS: always(END),
    RENEWAL: always(DUE),
    BUNDLE: always(ROOT_END),
    PUBLISHED: always(1),
    istio("meshca_target_info", target_namespace="istio-system", secret="cacerts"): always(1),
    REPAIRS: always(0),
    CHAIN: always(END),
    ISTIOD_ROOT: always(ROOT_END),
    CSRS: "0+60x240",
    ISSUED: "0+60x240",
}

NAME = {"name": "mesh"}
TARGET = {"name": "mesh", "target": "istio"}
ISTIOD = TARGET | {"namespace": "istio-system", "pod": "istiod-0"}
POD = {"namespace": "meshca-system", "pod": "meshca-a"}


def root(due: float, end: float) -> Changes:
    """Give it another root: due and ending at these seconds."""
    return {ROOT_ENDS: always(end), ROOT_RENEWAL: always(due), BUNDLE: always(end), ISTIOD_ROOT: always(end)}


def intermediate(due: float, end: float) -> Changes:
    """Give it another intermediate: due and ending at these seconds."""
    return {ENDS: always(end), RENEWAL: always(due), CHAIN: always(end)}


def rotating(phase: str, since: float, old_end: float) -> Changes:
    """Put it into a rotation to root 2."""
    return {
        STEADY: always(0),
        phase: always(1),
        SINCE: always(since),
        ROOT_ENDS: None,
        ROOT_RENEWAL: None,
        mesh("meshca_authority_not_after_timestamp_seconds", revision="1", state="retiring"): always(old_end),
        mesh("meshca_authority_not_after_timestamp_seconds", revision="2", state="prepared"): always(ROOT_END),
        mesh("meshca_authority_renewal_timestamp_seconds", revision="2"): always(ROOT_DUE),
        BUNDLE: always(old_end),
        istio("meshca_bundle_not_after_timestamp_seconds", revision="2"): always(ROOT_END),
    }


def unseen(changes: Changes) -> Changes:
    """The operator ends at minute 20 and takes its series with it."""
    whole = HEALTHY | dict(changes)
    gone = {key: until(20, float(str(whole[key]).split("+")[0])) for key in whole if 'pod="meshca-' in key}
    return dict(changes) | gone
