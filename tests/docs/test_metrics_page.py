"""docs/metrics.md says what the code exports."""

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from meshca.flow.registry import Registry
from meshca.process.metrics import Metrics, Process, ProcessGauges
from tools.metrics_page import PAGE, page


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run make generate"


def test_every_metric_that_is_exported_is_on_the_page() -> None:
    metrics = Metrics(Registry())
    metrics.registry.register(ProcessGauges(Process(lambda: True, lambda: 0, lambda: 0.0, lambda: 0.0, lambda: 0.0)))
    exported = [each.name for each in text_string_to_metric_families(generate_latest(metrics.registry).decode())]
    missing = [name for name in exported if name not in page() and not name.startswith("process_")]
    assert len(exported) > 20
    assert missing == []
