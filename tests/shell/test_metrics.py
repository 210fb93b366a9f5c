"""The exposition, word for word: alerts and dashboards depend on it."""

from prometheus_client import generate_latest

from meshca.core.model import Observed, Step, WriteCacerts
from meshca.core.rotation import plan
from meshca.core.situation import situate
from meshca.metrics import Metrics, Process
from meshca.names import Reason
from meshca.registry import read_resource
from tests.core.situations import ACTIVE, IGNORES, NOW, SOLE, observed, published, root, spec

A = root(1, SOLE)


def metrics() -> Metrics:
    """Return metrics of a process that leads."""
    return Metrics(Process(lambda: True, lambda: 2, lambda: 0.25, lambda: 12.0, lambda: -1.5))


def told(made: Metrics, seen: Observed) -> list[str]:
    """Report one MeshCA; return its series."""
    resource = read_resource({"metadata": {"name": "mesh", "uid": "u"}}, "ns")
    made.report(resource, situate(spec(), seen, NOW), plan(spec(), seen, NOW))
    return series(made, 'name="mesh"')


def series(made: Metrics, words: str) -> list[str]:
    """Return the series that contain these words, without their help."""
    lines = generate_latest(made.registry).decode().splitlines()
    return [line for line in lines if words in line and not line.startswith("#")]


def test_a_meshca_in_drain() -> None:
    seen = observed([A, root(2, ACTIVE)], published(root(2), 2, 1, since=NOW))
    assert [line for line in told(metrics(), seen) if not line.endswith(" 0.0")] == [
        'meshca_authority_not_after_timestamp_seconds{name="mesh",revision="1",state="retiring"} 2.0739888e+09',
        'meshca_authority_not_after_timestamp_seconds{name="mesh",revision="2",state="active"} 2.0739888e+09',
        'meshca_intermediate_not_after_timestamp_seconds{name="mesh",target="istio"} 1.7733168e+09',
        'meshca_bundle_not_after_timestamp_seconds{name="mesh",revision="2",target="istio"} 2.0739888e+09',
        'meshca_bundle_not_after_timestamp_seconds{name="mesh",revision="1",target="istio"} 2.0739888e+09',
        'meshca_next_step_timestamp_seconds{name="mesh"} 1.767355501e+09',
        'meshca_phase{name="mesh",phase="Drain"} 1.0',
    ]


def test_every_phase_has_a_series_so_that_none_is_missing_from_a_graph() -> None:
    phases = [line for line in told(metrics(), observed([A], published(A, 1))) if "meshca_phase" in line]
    assert len(phases) == 7
    assert sum(line.endswith(" 1.0") for line in phases) == 1


def test_what_waits_for_a_person() -> None:
    due = root(1, SOLE, ends=NOW)
    made = metrics()
    told(made, observed([due], published(due, 1), reload=IGNORES))
    assert series(made, "meshca_stalled") == ['meshca_stalled{name="mesh",reason="MultiRootDisabled"} 1.0']


def test_a_meshca_that_is_gone_has_no_series() -> None:
    made = metrics()
    assert told(made, observed([A], published(A, 1)))
    made.forget("mesh")
    assert series(made, 'name="mesh"') == []


def test_the_process() -> None:
    made = metrics()
    assert series(made, "meshca_leader") == ["meshca_leader 1.0"]
    assert series(made, "meshca_queue_depth") == ["meshca_queue_depth 2.0"]
    assert series(made, "meshca_loop_lag") == ["meshca_loop_lag_seconds 0.25"]
    assert series(made, "meshca_watch_silence") == ["meshca_watch_silence_seconds 12.0"]
    assert series(made, "meshca_clock_skew") == ["meshca_clock_skew_seconds -1.5"]
    assert len(series(made, "meshca_build_info")) == 1


def test_what_happened_is_counted() -> None:
    made = metrics()
    made.count_step(Step(WriteCacerts("istio", 1, (1,), issue=True), Reason.INTERMEDIATE_RENEWED, ""))
    made.count_request("patch", 200)
    made.count_request("patch", 200)
    made.count_pass("ok")
    assert series(made, "_total") == [
        'meshca_api_requests_total{status="200",verb="patch"} 2.0',
        'meshca_steps_total{reason="IntermediateRenewed"} 1.0',
        'meshca_reconcile_total{result="ok"} 1.0',
    ]
