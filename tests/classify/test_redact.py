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
        f"SELECT id FROM app.users WHERE '{SECRET}' = password",
        f"SELECT id FROM app.users u WHERE '{SECRET}' = u.password",
        f"SELECT id FROM app.users WHERE password IN ('a', '{SECRET}')",
        f"SELECT id FROM app.users WHERE '{SECRET}' IN (name, password, mail)",
        f"SELECT id FROM app.users WHERE password NOT IN ('a', '{SECRET}')",
        f"SELECT id FROM app.users WHERE password LIKE '{SECRET}%'",
        f"SELECT id FROM app.users WHERE password ~ '^{SECRET}'",
        f"SELECT id FROM app.users WHERE password OPERATOR(pg_catalog.=) '{SECRET}'",
        f"SELECT id FROM app.users WHERE password BETWEEN 'a' AND '{SECRET}'",
        f"SELECT id FROM app.users WHERE password IS DISTINCT FROM '{SECRET}'",
        f"SELECT id FROM app.users WHERE '{SECRET}' IS DISTINCT FROM password",
        f"SELECT id FROM app.users WHERE password = ANY (ARRAY['{SECRET}'])",
        f"SELECT id FROM app.users WHERE password = ANY ('{{{SECRET}}}'::text[])",
        f"SELECT id FROM app.users WHERE (id, password) = (1, '{SECRET}')",
        f"SELECT id FROM app.users WHERE lower(password) = lower('{SECRET}')",
        f"SELECT id FROM app.users WHERE password = 'x' || '{SECRET}'",
        f"SELECT id FROM app.users WHERE \"API_KEY\" = ('{SECRET}')::text",
        f"SELECT id FROM app.users WHERE trim('{SECRET}' FROM password) = ''",
        f"SELECT CASE password WHEN '{SECRET}' THEN 1 ELSE 2 END FROM app.users",
        f"SELECT CASE WHEN id = 1 THEN '{SECRET}' ELSE password END FROM app.users",
        f"SELECT '{SECRET}' AS password",
        f"SELECT coalesce(password, '{SECRET}') FROM app.users",
        f"SELECT '{SECRET}' = t.token, 1 FROM app.tokens t",
        f"SELECT a.id FROM app.users a JOIN app.b b ON b.token = '{SECRET}'",
        f"SELECT id FROM app.users WHERE doc->>'password' = '{SECRET}'",
        f"SELECT id FROM app.users WHERE '{SECRET}' = doc->>'password'",
        f"SELECT id FROM app.users WHERE doc#>>'{{login,password}}' = '{SECRET}'",
        f'SELECT id FROM app.users WHERE doc @> \'{{"password": "{SECRET}"}}\'',
        f"SELECT id FROM app.users WHERE doc['password'] = '{SECRET}'",
        f"SELECT jsonb_build_object('password', '{SECRET}')",
        f"SELECT app.login(who => 'a', password => '{SECRET}')",
        f"SELECT app.login(who => 'a', password := lower('{SECRET}'))",
        f"SELECT app.set_password('a', '{SECRET}')",
        f"SELECT app.reset_pw('a', '{SECRET}')",
        f"CALL app.change_secret('{SECRET}')",
        f"UPDATE app.users SET password = lower('{SECRET}') WHERE id = 1",
        f"UPDATE app.users SET id = 1, password = E'{SECRET}' WHERE id = 1",
        f"UPDATE app.users SET (id, password) = (SELECT 1, '{SECRET}')",
        f"INSERT INTO app.users VALUES (1, 'a', '{SECRET}')",
        f"INSERT INTO app.users SELECT 1, '{SECRET}'",
        f"INSERT INTO user_accounts AS u VALUES ('{SECRET}') ON CONFLICT DO NOTHING",
        f"INSERT INTO t (id, password) VALUES (1, 'a') ON CONFLICT (id) DO UPDATE SET password = '{SECRET}'",
        f"MERGE INTO app.t USING app.s ON true WHEN MATCHED THEN UPDATE SET password = '{SECRET}'",
        f"DELETE FROM app.sessions WHERE token IN ('{SECRET}')",
        f"ALTER TABLE app.t ALTER COLUMN password SET DEFAULT '{SECRET}'",
        f"CREATE TABLE app.t (id int, token text DEFAULT '{SECRET}')",
        f"CREATE VIEW app.v AS SELECT id FROM app.users WHERE token = lower('{SECRET}')",
        f"EXPLAIN ANALYZE SELECT id FROM app.users WHERE '{SECRET}' = password",
        f"COPY (SELECT id FROM app.users WHERE password IN ('{SECRET}')) TO STDOUT",
        f"PREPARE p AS SELECT id FROM app.users WHERE '{SECRET}' = password",
        f"DECLARE c CURSOR FOR SELECT id FROM app.users WHERE password IN ('{SECRET}')",
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
        "select id from app.users where 8675309 = api_key",
        "select id from app.users where token in (1, 8675309)",
        "insert into users values (1, 8675309)",
    ],
)
def test_a_number_may_be_a_secret_too(text: str) -> None:
    for item in facts_of(text):
        assert item.redacted
        assert "8675309" not in item.redacted + item.fingerprint


@pytest.mark.parametrize(
    "text",
    [
        "SELECT id FROM app.orders WHERE note = 'x' AND amount > 10",
        "SELECT id, token, password AS p FROM app.orders WHERE note = 'x' ORDER BY token DESC",
        "SELECT t.id FROM app.tokens AS t JOIN app.users AS u ON u.id = t.id WHERE u.name = 'x'",
        "UPDATE app.users SET name = 'x' WHERE id = 7",
        "INSERT INTO app.users (id, name) VALUES (7, 'x')",
    ],
)
def test_what_is_understood_is_recorded_as_it_is(text: str) -> None:
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
