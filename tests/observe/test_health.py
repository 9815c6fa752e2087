"""Health: silence is no health, and a failed check says why."""

from gateway.observe.health import NOT_YET, Check, Health


def test_nothing_is_ready_before_everything_has_reported() -> None:
    health = Health(["policy", "audit"])
    assert not health.ready
    health.ok("policy")
    assert not health.ready
    assert health.checks() == (Check("audit", NOT_YET), Check("policy"))
    health.ok("audit")
    assert health.ready


def test_no_checks_at_all_is_not_ready() -> None:
    assert not Health().ready


def test_a_failure_says_why_until_it_is_over() -> None:
    health = Health(["audit"])
    health.fail("audit", "no space left on device")
    assert health.to_json() == {
        "ready": False,
        "checks": {"audit": {"ok": False, "why": "no space left on device"}},
    }
    health.report("audit", "")
    assert health.to_json() == {"ready": True, "checks": {"audit": {"ok": True, "why": ""}}}


def test_a_failure_without_a_reason_is_a_failure() -> None:
    health = Health()
    health.fail("policy", "")
    assert not health.ready


def test_a_check_can_come_later() -> None:
    health = Health(["audit"])
    health.ok("audit")
    health.report("policy", "no answer")
    assert not health.ready
