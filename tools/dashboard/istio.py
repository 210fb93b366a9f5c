"""Istio's own gauges beside ours."""

from tools.dashboard.grafana import Steps, band, column, graph, instant, query, table
from tools.dashboard.queries import (
    ENDS,
    INTERMEDIATE_ENDS,
    ISTIO_TARGETS,
    NEWEST_TRUSTED,
    here,
    max_by,
    rate,
    with_label,
)

HERE = with_label("namespace", "$1", "target_namespace", ISTIO_TARGETS)


def of_istiods(promql: str) -> str:
    """Keep what the chosen targets' istiods say: those in the targets' namespaces."""
    return f"{promql} and on (namespace) {HERE}"


def differs(istiods: str, ours: str) -> str:
    """Subtract our end, of a target, from that of each istiod in its namespace."""
    located = f"{ours} * on (name, target) group_left (target_namespace) {ISTIO_TARGETS}"
    of_namespace = f"max by (namespace) ({with_label('namespace', '$1', 'target_namespace', located)})"
    return f"max by (namespace, pod) ({istiods}) - on (namespace) group_left () {of_namespace}"


def off(difference: str) -> str:
    """Return 1 where there is a difference."""
    return f"abs({difference}) > bool 1"


def per_minute(counter: str) -> str:
    """Count what the chosen targets' istiods did in a minute, by namespace."""
    return f"60 * sum by (namespace) ({of_istiods(rate(counter))})"


ISTIOD_ROOT = here("citadel_server_root_cert_expiry_timestamp")
ISTIOD_SIGNER = here("citadel_server_cert_chain_expiry_timestamp")
ROOT_DIFFERS = differs(ISTIOD_ROOT, NEWEST_TRUSTED)
SIGNER_DIFFERS = differs(ISTIOD_SIGNER, INTERMEDIATE_ENDS)
AGREES: Steps = ((None, "red"), (-1, "green"), (2, "red"))
NO_ISTIOD = "No istiod is scraped in the targets' namespaces"
REFUSALS = {
    "citadel_server_authentication_failure_count": "not authenticated",
    "citadel_server_csr_parsing_err_count": "not readable",
    "citadel_server_id_extraction_err_count": "without identity",
    "citadel_server_csr_sign_err_count": "not signed",
}

ISTIO = (
    (
        table(
            41,
            "What each istiod has loaded",
            "Istio's own gauges (citadel_server_*_expiry_timestamp) beside ours. Bad: a difference that stays for more "
            "than two minutes; that istiod did not take up what was written. Its log says why.",
            {
                "namespace": "Namespace",
                "pod": "istiod",
                "Value #A": "Signer ends in",
                "Value #B": "Signer differs by",
                "Value #C": "Newest root ends in",
                "Value #D": "Root differs by",
            },
            size=(12, 7),
            queries=[
                instant(max_by("namespace, pod", of_istiods(ISTIOD_SIGNER)) + " - time()"),
                instant(SIGNER_DIFFERS),
                instant(max_by("namespace, pod", of_istiods(ISTIOD_ROOT)) + " - time()"),
                instant(ROOT_DIFFERS),
            ],
            unit="s",
            empty=NO_ISTIOD,
            sort="Namespace",
            overrides=[
                column("Signer ends in", steps=ENDS),
                column("Signer differs by", steps=AGREES),
                column("Newest root ends in", steps=ENDS),
                column("Root differs by", steps=AGREES),
            ],
        ),
        band(
            42,
            "Is each istiod up to date?",
            "Whether an istiod has loaded what was written last. Bad: anything but green for more than two minutes; it "
            "issues under, or trusts, what it should not any more. (Before 1.24 Istio's gauges show its start only.)",
            [query(f"({off(SIGNER_DIFFERS)}) + 2 * ({off(ROOT_DIFFERS)})", "{{namespace}} {{pod}}")],
            size=(12, 7),
            empty=NO_ISTIOD,
            meanings={
                0: ("up to date", "green"),
                1: ("other signer", "orange"),
                2: ("other root", "orange"),
                3: ("other signer and root", "orange"),
            },
        ),
    ),
    (
        graph(
            43,
            "Workload certificates per minute",
            "What istiod was asked for, and what it issued. Bad: less issued than asked for; nothing for half the life "
            "of a workload's certificate.",
            [
                query(per_minute("citadel_server_csr_count"), "{{namespace}} asked for"),
                query(per_minute("citadel_server_success_cert_issuance_count"), "{{namespace}} issued"),
            ],
            size=(12, 7),
            unit="short",
            empty=NO_ISTIOD,
        ),
        graph(
            44,
            "Refused requests per minute",
            "What istiod did not issue, and why. Bad: more than before a step of a rotation; suspend the MeshCA, then "
            "look at istiod's log.",
            [query(f"{per_minute(counter)} > 0", f"{{{{namespace}}}} {why}") for counter, why in REFUSALS.items()],
            size=(12, 7),
            unit="short",
            empty="No request was refused",
            bars=True,
        ),
    ),
)
