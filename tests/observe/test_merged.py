"""One page of metrics from several processes."""

from prometheus_client.parser import text_string_to_metric_families

from gateway.observe.merged import merged
from gateway.observe.metrics import Metrics


def test_each_family_stands_once_with_a_workers_samples_under_its_number() -> None:
    own, worker = Metrics(), Metrics()
    own.decision("allow", "", 0.001)
    worker.decision("allow", "", 0.002)
    worker.decision("deny", "no_grant", 0.002)
    worker.session_started("orders", "postgres")
    page = merged(own.render().decode(), {"1": worker.render().decode()}).decode()
    families = {family.name: family for family in text_string_to_metric_families(page)}
    assert page.count("# TYPE regate_decisions_total") == 1
    counted = {
        tuple(sorted(sample.labels.items())): sample.value
        for sample in families["regate_decisions"].samples
        if sample.name == "regate_decisions_total"
    }
    assert counted == {
        (("code", ""), ("verdict", "allow")): 1,
        (("code", ""), ("verdict", "allow"), ("worker", "1")): 1,
        (("code", "no_grant"), ("verdict", "deny"), ("worker", "1")): 1,
    }
    assert 'regate_sessions{database="orders",protocol="postgres",worker="1"} 1.0' in page
    assert 'regate_decision_seconds_bucket{le="+Inf",worker="1"} 2.0' in page
