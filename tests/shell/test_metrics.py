"""The exposition, word for word: alerts and dashboards depend on it."""

from prometheus_client import generate_latest

from meshca.core.actions import WriteCA
from meshca.core.conditions import Trouble
from meshca.core.model import Blocked, Observed
from meshca.core.outcomes import Step
from meshca.core.rotation import plan
from meshca.core.situation import situate
from meshca.core.status import build_status, troubled_status
from meshca.flow.memory import Findings
from meshca.flow.registry import Registry, Resource, read_resource
from meshca.process.metrics import Metrics, Process, ProcessGauges
from meshca.words.reasons import Done, Found
from tests.core.situations import ACTIVE, IGNORES, NOW, SOLE, lost, observed, published, root, spec

A = root(1, SOLE)


def metrics() -> Metrics:
    """Return metrics of a process that leads."""
    meshcas = Registry()
    meshcas.put(read_resource({"metadata": {"name": "mesh", "uid": "u"}}, "ns"))
    made = Metrics(meshcas)
    made.registry.register(ProcessGauges(Process(lambda: True, lambda: 2, lambda: 0.25, lambda: 12.0, lambda: -1.5)))
    return made


def mesh(made: Metrics) -> Resource:
    """Return the MeshCA that they know."""
    found = made._meshcas.get("mesh")
    assert found is not None
    return found


def told(made: Metrics, seen: Observed, status: dict[str, object] | None = None) -> list[str]:
    """Report one MeshCA; return its series."""
    mesh(made).memory.findings = Findings(situate(spec(), seen, NOW), plan(spec(), seen, NOW))
    mesh(made).say(status or {})
    return series(made, 'name="mesh"')


def series(made: Metrics, words: str) -> list[str]:
    """Return the series that contain these words and are not 0, without their help."""
    lines = generate_latest(made.registry).decode().splitlines()
    return [line for line in lines if words in line and not line.startswith("#") and not line.endswith(" 0.0")]


def condition(kind: str, status: str, reason: str) -> dict[str, object]:
    """Return a status with one condition."""
    return {"conditions": [{"type": kind, "status": status, "reason": reason}]}


def test_a_meshca_in_drain() -> None:
    seen = observed([A, root(2, ACTIVE)], published(root(2), 2, 1, since=NOW))
    status = condition("Ready", "True", "Issued") | {"rotation": {"since": "2026-01-01T10:00:00Z"}}
    assert told(metrics(), seen, status) == [
        'meshca_ready{name="mesh"} 1.0',
        'meshca_phase{name="mesh",phase="Drain"} 1.0',
        'meshca_phase_start_timestamp_seconds{name="mesh"} 1.7672616e+09',
        'meshca_rotation_wait_seconds{name="mesh"} 86700.0',
        'meshca_waiting_until_timestamp_seconds{name="mesh",reason="IntermediateRenewed"} 1.7707248e+09',
        'meshca_waiting_until_timestamp_seconds{name="mesh",reason="RootRetired"} 1.767355501e+09',
        'meshca_next_step_timestamp_seconds{name="mesh"} 1.767355501e+09',
        'meshca_authority_not_after_timestamp_seconds{name="mesh",revision="1",state="retiring"} 2.0739888e+09',
        'meshca_authority_not_after_timestamp_seconds{name="mesh",revision="2",state="active"} 2.0739888e+09',
        'meshca_authority_key_available{name="mesh",revision="1",state="retiring"} 1.0',
        'meshca_authority_key_available{name="mesh",revision="2",state="active"} 1.0',
        'meshca_authority_renewal_timestamp_seconds{name="mesh",revision="2"} 2.0109168e+09',
        'meshca_intermediate_not_after_timestamp_seconds{name="mesh",target="istio"} 1.7733168e+09',
        'meshca_intermediate_renewal_timestamp_seconds{name="mesh",target="istio"} 1.7707248e+09',
        'meshca_bundle_not_after_timestamp_seconds{name="mesh",revision="2",target="istio"} 2.0739888e+09',
        'meshca_bundle_not_after_timestamp_seconds{name="mesh",revision="1",target="istio"} 2.0739888e+09',
        'meshca_target_info{name="mesh",secret="cacerts",target="istio",target_namespace="istio-system"} 1.0',
        'meshca_target_state{name="mesh",state="Published",target="istio"} 1.0',
    ]


def test_every_phase_has_a_series_so_that_none_is_missing_from_a_graph() -> None:
    made = metrics()
    told(made, observed([A], published(A, 1)))
    lines = generate_latest(made.registry).decode().splitlines()
    phases = [line for line in lines if line.startswith("meshca_phase{")]
    assert len(phases) == 7
    assert sum(line.endswith(" 1.0") for line in phases) == 1


def test_what_waits_for_a_person() -> None:
    due = root(1, SOLE, ends=NOW)
    made = metrics()
    told(made, observed([due], published(due, 1), reload=IGNORES), condition("Stalled", "True", "MultiRootDisabled"))
    assert series(made, "meshca_stalled") == ['meshca_stalled{name="mesh",reason="MultiRootDisabled"} 1.0']


def test_a_meshca_that_makes_no_sense_was_never_looked_at_and_still_shows() -> None:
    made = metrics()
    mesh(made).say(condition("Ready", "False", "InvalidSpec"))
    mesh(made).say(condition("Stalled", "True", "InvalidSpec"))
    assert series(made, "meshca_stalled") == ['meshca_stalled{name="mesh",reason="InvalidSpec"} 1.0']


def test_a_root_whose_key_is_lost() -> None:
    made = metrics()
    told(made, observed([lost(1)], published(lost(1), 1)))
    text = generate_latest(made.registry).decode()
    assert 'meshca_authority_key_available{name="mesh",revision="1",state="sole"} 0.0' in text


def test_a_target_that_must_not_be_touched() -> None:
    made = metrics()
    told(made, observed([A], Blocked(Found.FOREIGN_SECRET, "not ours")))
    expected = ['meshca_target_state{name="mesh",state="ForeignSecret",target="istio"} 1.0']
    assert series(made, "meshca_target_state") == expected


DATES = (
    "authority_not_after",
    "authority_renewal",
    "intermediate_not_after",
    "intermediate_renewal",
    "bundle_not_after",
)


def dates(made: Metrics) -> list[str]:
    """Return every series that the alerts about ends go by."""
    return [line for name in (*DATES, "phase", "rotation_wait") for line in series(made, f"meshca_{name}")]


def status_of(seen: Observed, before: dict[str, object] | None = None) -> dict[str, object]:
    """Return what is said of a MeshCA."""
    return build_status(situate(spec(), seen, NOW), plan(spec(), seen, NOW), (), before or {}, 1)


BLIND = Blocked(Found.FORBIDDEN, "may not be read")


def test_the_dates_of_a_target_that_cannot_be_read_are_exported_on_and_after_a_restart() -> None:
    good = observed([A], published(A, 1))
    known = metrics()
    told(known, good, status_of(good))
    expected = dates(known)
    assert len(expected) == len(DATES) + 2
    blind = observed([A], BLIND)
    status = status_of(blind, status_of(good))
    told(known, blind, status)
    assert dates(known) == expected
    restarted = metrics()
    told(restarted, blind, status)
    assert dates(restarted) == expected


def test_a_meshca_that_could_not_be_looked_at_since_the_start_has_the_dates_of_its_report() -> None:
    good = observed([A], published(A, 1))
    known, restarted = metrics(), metrics()
    told(known, good, status_of(good))
    mesh(restarted).say(troubled_status(Trouble(Found.FORBIDDEN, "no"), status_of(good), 1, NOW))
    assert dates(restarted) == dates(known)
    assert series(restarted, "meshca_reconciling") == ['meshca_reconciling{name="mesh",reason="Forbidden"} 1.0']
    for name in ("meshca_target_info", "meshca_target_state", "meshca_authority_key_available"):
        assert series(restarted, name) == series(known, name)


def test_a_pass_that_ended_well_leaves_its_time() -> None:
    made = metrics()
    assert series(made, "meshca_last_pass_timestamp_seconds{") == []
    mesh(made).memory.passed = NOW
    assert series(made, "meshca_last_pass_timestamp_seconds{") == [
        'meshca_last_pass_timestamp_seconds{name="mesh"} 1.7672688e+09'
    ]


def test_a_meshca_that_is_gone_has_no_series() -> None:
    made = metrics()
    mesh(made).memory.repairs["istio"] += 1
    assert told(made, observed([A], published(A, 1)))
    made._meshcas.drop("mesh")
    assert series(made, 'name="mesh"') == []


def test_a_repair_is_counted_and_what_was_never_repaired_counts_zero() -> None:
    made = metrics()
    told(made, observed([A], published(A, 1)))
    assert 'meshca_repairs_total{name="mesh",target="istio"} 0.0' in generate_latest(made.registry).decode()
    mesh(made).memory.repairs["istio"] += 2
    assert series(made, "meshca_repairs") == ['meshca_repairs_total{name="mesh",target="istio"} 2.0']


def test_the_process() -> None:
    made = metrics()
    assert series(made, "meshca_leader") == ["meshca_leader 1.0"]
    assert series(made, "meshca_queue_depth") == ["meshca_queue_depth 2.0"]
    assert series(made, "meshca_loop_lag") == ["meshca_loop_lag_seconds 0.25"]
    assert series(made, "meshca_watch_silence") == ["meshca_watch_silence_seconds 12.0"]
    assert series(made, "meshca_clock_skew") == ["meshca_clock_skew_seconds -1.5"]
    assert len(series(made, "meshca_build_info")) == 1
    assert len(series(made, "process_resident_memory_bytes")) == 1


def test_what_happened_is_counted() -> None:
    made = metrics()
    made.count_step(Step(WriteCA("istio", 1, (1,), issue=True), Done.INTERMEDIATE_RENEWED, ""))
    made.count_request("patch", "secrets", 200)
    made.count_request("patch", "secrets", 200)
    made.count_pass("ok")
    assert [line for line in series(made, "_total") if not line.startswith("process_")] == [
        'meshca_api_requests_total{resource="secrets",status="200",verb="patch"} 2.0',
        'meshca_steps_total{reason="IntermediateRenewed"} 1.0',
        'meshca_reconcile_total{result="ok"} 1.0',
    ]


def test_every_step_that_can_be_counted_has_a_zero_before_its_first() -> None:
    text = generate_latest(metrics().registry).decode()
    assert all(f'meshca_steps_total{{reason="{reason.value}"}} 0.0' in text for reason in Done)
    assert {Done.ROOT_ISSUED, Done.SECRET_REPAIRED, Done.BUNDLE_PUBLISHED} < set(Done)
    assert Found.ISSUED not in Done
