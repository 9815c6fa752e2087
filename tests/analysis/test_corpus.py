"""A corpus is read as it was written, and held against what came out."""

import pytest

from gateway.analysis.corpus import Must, known_protocol, not_judged, read
from gateway.analysis.expectation import result
from gateway.errors import ConfigError
from gateway.model.classification import Class, Classification, Effect, Named, ObjectRef
from gateway.sansio.rehearsal import End, Ending

ENTRY = """\
- id: {id}
  protocol: postgresql
  kind: {kind}
  encoding: {encoding}
  payload: {payload}
  must: {must}
"""


def entry(**given: str) -> str:
    values = {"id": "E-1", "kind": "sql", "encoding": "text", "payload": "select 1", "must": "parse"}
    return ENTRY.format(**values | given)


@pytest.mark.parametrize("digits", ["0700000002736563726574", "1234", "1e100000", "0x10", "510000000e00"])
def test_a_payload_of_digits_is_no_number(digits: str) -> None:
    (found,) = read(entry(payload=digits), "c.yaml")
    assert found.payload == digits
    even = digits if len(digits) % 2 == 0 and "x" not in digits else "1200"
    (found,) = read(entry(payload=even, encoding="hex", kind="wire"), "c.yaml")
    assert found.payload == bytes.fromhex(even)


def test_what_may_be_left_out_may_be_left_out() -> None:
    (found,) = read("- {id: a, protocol: MySQL, kind: sql, payload: '', must: deny, expect: }", "c.yaml")
    assert (found.protocol, found.payload, found.must, found.line) == ("mysql", "", Must.DENY, 1)
    assert read("", "c.yaml") == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: b", "c.yaml:1: expected a list of entries"),
        ("- just text", "c.yaml:1: expected an entry"),
        (entry(must="allow"), "c.yaml:1: must: expected one of deny, parse, fail_closed, got 'allow'"),
        (entry(must="dany"), "did you mean"),
        (entry(encoding="base64"), "c.yaml:1: encoding: expected text or hex"),
        (entry(encoding="hex", payload="abc"), "c.yaml:1: payload: expected pairs of hexadecimal digits"),
        (entry(id="' '"), "c.yaml:1: id: expected text"),
        (entry() + "  expect: [a]\n", "c.yaml:1: expect: expected a mapping"),
        (entry() + "  expect: {tables: a}\n", "c.yaml:1: expect.tables: expected a list"),
        (entry() + entry(id="E-2", kind="[1]"), "c.yaml:7: kind: expected text, got a list"),
        ("- id: [", "c.yaml:"),
        ("- id: a\x00", "not readable as YAML"),
        ("[" * 20_000 + "]" * 20_000, "something too deep"),
    ],
)
def test_each_mistake_is_told_with_its_line(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=r"^c\.yaml:") as caught:
        read(text, "c.yaml")
    assert told.lower() in str(caught.value).lower()


def test_what_is_not_judged_says_why() -> None:
    text = entry() + entry(kind="scenario") + entry(kind="http") + entry().replace("postgresql", "db2")
    reasons = [not_judged(found) for found in read(text, "c.yaml")]
    assert reasons[0] == ""
    assert "scenarios" in reasons[1]
    assert "kind http" in reasons[2]
    assert "db2 is not built yet" in reasons[3]


def test_a_protocol_has_the_names_of_corpora_too() -> None:
    assert known_protocol("postgresql") is known_protocol("postgres")
    with pytest.raises(ConfigError, match=r"expected one of .*postgres"):
        known_protocol("postgre")


def reads(*names: str) -> Classification:
    effects = tuple(
        Effect("select", Class.READ, ObjectRef("table", name.partition(".")[2], name.partition(".")[0]))
        for name in names
    )
    return Classification("select", Class.READ, effects, (Named("lower", "pg_catalog", builtin=True),))


ORDERS = reads("app.orders")
EXPECTED = [
    ("{verbs: [SELECT], tables: [app.orders], functions: [lower]}", True),
    ("{tables: [orders]}", True),
    ("{tables: [app.<odd name>]}", True),
    ("{functions: [pg_catalog.lower, coalesce]}", True),
    ("{tables: []}", False),
    ("{tables: [app.orders, app.customers]}", False),
    ("{verbs: [SELECT, SELECT]}", False),
    ("{verbs: []}", False),
    ("{functions: []}", False),
    ("{functions: [upper]}", False),
    ("{operators: ['=']}", False),
]


@pytest.mark.parametrize(("expect", "is_good"), EXPECTED)
def test_a_control_must_be_understood_exactly(expect: str, *, is_good: bool) -> None:
    (control,) = read(entry() + f"  expect: {expect}\n", "c.yaml")
    found = result(control, Ending(End.ALLOWED, "", (ORDERS,)))
    assert (found.differences == ()) is is_good
    # Only controls say what must be understood: an attack may be refused for whatever reason.
    (attack,) = read(entry(must="deny") + f"  expect: {expect}\n", "c.yaml")
    assert result(attack, Ending(End.DENIED, "", (ORDERS,))).differences == ()


@pytest.mark.parametrize(
    ("must", "end", "is_good"),
    [(must, end, (must == "parse") is (end is End.ALLOWED)) for must in Must for end in End],
)
def test_a_refusal_of_any_kind_is_one(must: str, end: End, *, is_good: bool) -> None:
    (found,) = read(entry(must=must), "c.yaml")
    assert (result(found, Ending(end)).differences == ()) is is_good


def test_what_only_tls_lets_in_is_refused_in_the_clear() -> None:
    for must in Must:
        (found,) = read(entry(must=must), "c.yaml")
        assert result(found, Ending(End.ALLOWED, needs_tls=True)).differences == ()
