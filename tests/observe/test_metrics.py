"""Metrics: each call moves its number, in a form that a scraper reads."""

from prometheus_client.parser import text_string_to_metric_families

from gateway.observe.metrics import Metrics


def samples(metrics: Metrics) -> dict[str, float]:
    """Every sample, by its name and the values of its labels."""
    return {
        " ".join([sample.name, *sorted(sample.labels.values())]): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def test_each_call_moves_its_number() -> None:
    metrics = Metrics()
    metrics.session_started("sales", "postgres")
    metrics.session_started("sales", "postgres")
    metrics.session_ended("sales", "postgres", "client_closed")
    metrics.decision("denied", "drop_refused", 0.0004)
    metrics.decision_batch(3)
    metrics.classified(0.00002)
    metrics.login("ok")
    metrics.certificate("database")
    metrics.opa_restarted()
    metrics.opa_up(up=True)
    metrics.audit_lag(7)
    metrics.audit_durable(0.001, 5)
    metrics.audit_healthy(healthy=False)
    metrics.audit_disk(81)
    found = samples(metrics)
    expected = {
        "regate_sessions postgres sales": 1,
        "regate_sessions_started_total postgres sales": 2,
        "regate_sessions_ended_total client_closed": 1,
        "regate_decisions_total denied drop_refused": 1,
        "regate_decision_seconds_count": 1,
        "regate_decision_seconds_bucket 0.00025": 0,
        "regate_decision_seconds_bucket 0.0005": 1,
        "regate_decision_batch_size_sum": 3,
        "regate_classification_seconds_count": 1,
        "regate_logins_total ok": 1,
        "regate_certificates_total database": 1,
        "regate_opa_restarts_total": 1,
        "regate_opa_up": 1,
        "regate_audit_lag_records": 7,
        "regate_audit_records_total": 5,
        "regate_audit_durable_seconds_count": 1,
        "regate_audit_healthy": 0,
        "regate_audit_disk_used_percent": 81,
    }
    assert {name: found[name] for name in expected} == expected


def test_two_sets_of_metrics_are_apart() -> None:
    one, two = Metrics(), Metrics()
    one.login("ok")
    assert "regate_logins_total ok" not in samples(two)


def test_what_an_attacker_names_cannot_forge_a_line() -> None:
    metrics = Metrics()
    metrics.decision("denied", 'x"} 1\nregate_forged 1\n', 0.1)
    assert not any(name.startswith("regate_forged") for name in samples(metrics))
