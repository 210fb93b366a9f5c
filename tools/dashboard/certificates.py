"""How long every root and intermediate lasts."""

from tools.dashboard.grafana import column, graph, instant, limit, query, table
from tools.dashboard.queries import (
    DAY,
    DUE,
    ENDS,
    INTERMEDIATE_DUE,
    INTERMEDIATE_ENDS,
    NO_MESHCA,
    ROOT_DUE,
    ROOT_ENDS,
    max_by,
    mesh,
    target,
    union,
    with_label,
)


def named(promql_of_roots: str, promql_of_intermediates: str) -> str:
    """Put roots and intermediates together, with a label that names the certificate."""
    return union(
        with_label("certificate", "root $1", "revision", promql_of_roots),
        with_label("certificate", "intermediate of $1", "target", promql_of_intermediates),
    )


EVERY_END = max_by(
    "name, certificate, state",
    named(
        mesh("meshca_authority_not_after_timestamp_seconds"), target("meshca_intermediate_not_after_timestamp_seconds")
    ),
)
CERTIFICATES = (
    (
        graph(
            31,
            "Roots: days left",
            "How long each root is still valid; the dashed line is when its replacement begins. Bad: a line below the "
            "dashed one and no rotation under way.",
            [
                query(f"({ROOT_ENDS} - time()) / {DAY}", "{{name}} root {{revision}}"),
                query(
                    f"max by (name) ({max_by('name, revision', mesh('meshca_authority_not_after_timestamp_seconds'))} "
                    f"- {ROOT_DUE}) / {DAY}",
                    "{{name}} is replaced",
                ),
            ],
            size=(12, 8),
            unit="suffix:days",
            empty=NO_MESHCA,
            overrides=[limit(".* is replaced$", "orange")],
        ),
        graph(
            32,
            "Intermediates: days left",
            "How long the intermediate that each target's istiod signs with is valid. It is renewed at the dashed "
            "line, so this is a saw. Bad: a line that goes on below the dashed one.",
            [
                query(f"({INTERMEDIATE_ENDS} - time()) / {DAY}", "{{name}} {{target}}"),
                query(f"max by (name) ({INTERMEDIATE_ENDS} - {INTERMEDIATE_DUE}) / {DAY}", "{{name}} is renewed"),
            ],
            size=(12, 8),
            unit="suffix:days",
            empty="No target has an intermediate",
            overrides=[limit(".* is renewed$", "orange")],
        ),
    ),
    (
        table(
            33,
            "Every certificate",
            "All roots and intermediates. Bad: red; a key that is lost: that root can sign no more, and must be "
            "replaced before the intermediates end.",
            {
                "name": "MeshCA",
                "certificate": "Certificate",
                "state": "State",
                "Value #A": "Ends in",
                "Value #B": "Ends",
                "Value #C": "Replaced in",
                "Value #D": "Key",
            },
            size=(24, 7),
            queries=[
                instant(f"{EVERY_END} - time()"),
                instant(f"1000 * {EVERY_END}"),
                instant(max_by("name, certificate", named(ROOT_DUE, INTERMEDIATE_DUE)) + " - time()"),
                instant(
                    max_by(
                        "name, certificate, state",
                        with_label("certificate", "root $1", "revision", mesh("meshca_authority_key_available")),
                    )
                ),
            ],
            unit="s",
            empty=NO_MESHCA,
            sort="Ends in",
            overrides=[
                column("Ends in", steps=ENDS),
                column("Ends", unit="dateTimeAsIso"),
                column("Replaced in", steps=DUE),
                column("Key", unit="none", meanings={0: ("lost", "red"), 1: ("kept", "text")}, width=90),
            ],
        ),
    ),
)
