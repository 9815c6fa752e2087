"""What is recorded holds no secret, and no literal at all where nothing is sure."""

import hashlib

import pytest

from tests.classify.judge import facts_of

SECRET = "hunter2"


@pytest.mark.parametrize(
    "text",
    [
        f"ALTER USER a WITH PASSWORD '{SECRET}'",
        f"CREATE ROLE a LOGIN ENCRYPTED PASSWORD $p${SECRET}$p$ VALID UNTIL '{SECRET}'",
        f"ALTER ROLE a PASSWORD E'{SECRET}'",
        f"ALTER ROLE a PASSWORD {SECRET}",
        f"CREATE USER a IDENTIFIED BY {SECRET}",
        f"SET PASSWORD = '{SECRET}'",
        f"SET app.jwt_token = '{SECRET}'",
        f"SELECT set_config('app.secret', '{SECRET}', false)",
        f"CREATE SUBSCRIPTION s CONNECTION 'host=x password={SECRET}' PUBLICATION p",
        f"CREATE USER MAPPING FOR a SERVER s OPTIONS (user 'a', password '{SECRET}')",
        f"CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (key '{SECRET}')",
        f"SELECT * FROM dblink('host=x', '{SECRET}') AS t(a int)",
        f"SELECT * FROM public.dblink_connect('{SECRET}')",
        f"SELECT 'postgres://a:{SECRET}@host/db'",
        f"SELECT 'host=x password={SECRET}'",
        f"SELECT 'password=''{SECRET}'' host=x'",
        f"COPY app.orders TO PROGRAM 'curl -u {SECRET}'",
        f"SELECT 1 /* {SECRET} */",
        f"SELECT 1 -- {SECRET}",
        f"SELECT id FROM app.orders WHERE password = '{SECRET}'",
        f"SELECT pgp_sym_encrypt('a', '{SECRET}')",
        f"DO $$ BEGIN PERFORM '{SECRET}'; END $$",
        f"SELECT FROM WHERE '{SECRET}'",
        f"SELECT '{SECRET}",
        f"SELECT $x${SECRET}",
        f"{SECRET} {SECRET}",
        f"SELECT {{{{ '{SECRET}' }}}}",
        f"EXECUTE p('{SECRET}')",
        f"INSERT INTO app.customers (id, password) VALUES (1, '{SECRET}'), (2, '{SECRET}')",
        f"UPDATE app.customers SET (name, \"Api_Key\") = ('a', '{SECRET}')",
        f"WITH a AS (INSERT INTO app.users (id, pwd) SELECT 1, '{SECRET}' RETURNING id) SELECT id FROM a",
    ],
)
def test_no_secret(text: str) -> None:
    for item in facts_of(text):
        assert SECRET not in item.redacted
        assert SECRET not in item.fingerprint


@pytest.mark.parametrize(
    "text",
    [
        "insert into app.users (id, token) values (1, 8675309)",
        "update app.users set token = 8675309 where id = 7",
        "select id from app.users where api_key = 8675309",
        "SELECT crypt(8675309, 'x')",
    ],
)
def test_a_number_may_be_a_secret_too(text: str) -> None:
    for item in facts_of(text):
        assert item.redacted
        assert "8675309" not in item.redacted + item.fingerprint


def test_what_is_understood_is_recorded_as_it_is() -> None:
    text = "SELECT id FROM app.orders WHERE note = 'x' AND amount > 10"
    assert facts_of(text)[0].redacted == text


def test_what_is_not_understood_keeps_its_digest() -> None:
    text = "SELECT 'a' FROM FROM 12"
    (item,) = facts_of(text)
    assert item.redacted.startswith("SELECT '***' FROM FROM 0 ")
    assert hashlib.sha256(text.encode()).hexdigest() in item.redacted
    assert f"length:{len(text)}" in item.redacted


def test_fingerprints_group() -> None:
    texts = [
        "SELECT id FROM app.orders WHERE id IN (1, 2)",
        "select id\nfrom app.orders where id in (3,4,5) -- x",
    ]
    assert len({facts_of(text)[0].fingerprint for text in texts}) == 1
