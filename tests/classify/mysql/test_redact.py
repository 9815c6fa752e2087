"""What is recorded holds no secret, and no literal at all where nothing is sure."""

import pytest

from tests.classify.mysql.judge import facts_of

SECRET = "hunter2"


@pytest.mark.parametrize(
    "text",
    [
        f"CREATE USER a IDENTIFIED BY '{SECRET}'",
        f"CREATE USER a@'%' IDENTIFIED WITH caching_sha2_password BY '{SECRET}'",
        f"CREATE USER a IDENTIFIED BY PASSWORD '{SECRET}'",
        f"CREATE USER a IDENTIFIED VIA ed25519 USING PASSWORD('{SECRET}')",
        f"CREATE OR REPLACE USER a IDENTIFIED VIA ed25519 AS '{SECRET}'",
        f'ALTER USER a IDENTIFIED BY "{SECRET}" REPLACE "{SECRET}"',
        f"GRANT ALL ON *.* TO a IDENTIFIED BY '{SECRET}'",
        f"SET PASSWORD FOR a = PASSWORD('{SECRET}')",
        f"SET PASSWORD = '{SECRET}'",
        f"SET @password = '{SECRET}'",
        f"CHANGE MASTER TO MASTER_HOST='h', MASTER_PASSWORD='{SECRET}'",
        f"CHANGE REPLICATION SOURCE TO SOURCE_PASSWORD='{SECRET}'",
        f"START SLAVE USER='a' PASSWORD='{SECRET}'",
        f"CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (USER 'a', PASSWORD '{SECRET}')",
        f"CREATE TABLE t (a int) ENGINE=FEDERATED CONNECTION='mysql://a:{SECRET}@h/d/t'",
        f"CREATE TABLE t (a int) ENGINE=CONNECT CONNECTION='{SECRET}'",
        f"SELECT aes_encrypt('a', '{SECRET}')",
        f"SELECT password('{SECRET}')",
        f"SELECT id FROM t WHERE password = '{SECRET}'",
        f"SELECT 'https://a:{SECRET}@host/'",
        f"INSERT INTO t (id, password) VALUES (1, '{SECRET}')",
        f"SELECT 1 /* {SECRET} */ -- {SECRET}",
        f"SELECT 1 # {SECRET}",
        f"SELECT FROM WHERE '{SECRET}'",
        f"SELECT '{SECRET}",
        f"SELECT /*!99999 '{SECRET}' */ 1",
        f"EXECUTE IMMEDIATE 'select {SECRET}'",
        f"PREPARE s FROM 'select {SECRET}'",
        f"CALL p('{SECRET}')",
        f"{SECRET} {SECRET}",
        f"/*!50000 SET PASSWORD = '{SECRET}' */",
        f"SELECT id FROM t WHERE '{SECRET}' = password",
        f"SELECT id FROM t WHERE password LIKE '{SECRET}'",
        f"SELECT id FROM t WHERE t.password IN ('a', '{SECRET}')",
        f"SELECT id FROM t WHERE (id, password) = (1, '{SECRET}')",
        f"SELECT id FROM t WHERE lower(password) = lower('{SECRET}')",
        f"SELECT '{SECRET}' AS password",
        f"SELECT '{SECRET}' INTO @password",
        f"SET @pw = '{SECRET}'",
        f"SET @later = \"alter user x identified by '{SECRET}'\"",
        f"INSERT INTO mysql.user VALUES ('%', 'a', '{SECRET}')",
        f"REPLACE INTO global_priv VALUES ('%', 'a', '{SECRET}')",
        f"UPDATE mysql.global_priv SET Priv = '{SECRET}' WHERE User = 'a'",
        f"INSERT INTO users VALUES (1, 'a', '{SECRET}')",
        f"INSERT INTO app_users SELECT 1, '{SECRET}'",
        f"CREATE USER a IDENTIFIED VIA ed25519 USING '{SECRET}'",
        f"GRANT USAGE ON *.* TO a IDENTIFIED VIA ed25519 USING '{SECRET}'",
        f"CHANGE MASTER 'c' TO MASTER_PASSWORD='{SECRET}'",
        f"CREATE OR REPLACE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (PASSWORD '{SECRET}')",
        f'CREATE TABLE t (a int) ENGINE=SPIDER COMMENT=\'wrapper "mysql", password "{SECRET}"\'',
        f'ALTER TABLE t COMMENT=\'user "u", password "{SECRET}"\'',
        f"CREATE TABLE t ENGINE=CONNECT OPTION_LIST='user=u,password={SECRET}'",
        f"CREATE TABLE t ENGINE=CONNECT CONNECTION='DSN=x;UID=u;PWD={SECRET}'",
        f"SELECT id FROM t WHERE '{SECRET}' = t.password",
        f"SELECT id FROM t WHERE '{SECRET}' IN (name, password, mail)",
        f"SELECT '{SECRET}' = t.password, 1 FROM t",
        f"CREATE VIEW v AS SELECT id FROM t WHERE token = lower('{SECRET}')",
        f"SELECT {0} FROM t PROCEDURE ANALYSE('{SECRET}')",
    ],
)
@pytest.mark.parametrize("dialect", ["mysql", "mariadb"])
def test_no_secret(text: str, dialect: str) -> None:
    facts = facts_of(text, dialect)
    assert facts
    for item in facts:
        assert SECRET not in item.redacted
        assert SECRET not in item.fingerprint


@pytest.mark.parametrize(
    "text",
    [
        f'SET PASSWORD = "{SECRET}"',
        f'SET PASSWORD FOR a = PASSWORD("{SECRET}")',
        f'CREATE USER a IDENTIFIED VIA ed25519 USING "{SECRET}"',
        f'CHANGE MASTER TO MASTER_PASSWORD="{SECRET}"',
        f'CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (PASSWORD "{SECRET}")',
        f"CREATE TABLE t (a int) ENGINE=SPIDER COMMENT=\"password '{SECRET}'\"",
        f"PREPARE s FROM \"alter user x identified by '{SECRET}'\"",
    ],
)
@pytest.mark.parametrize("dialect", ["mysql", "mariadb"])
def test_text_that_a_mode_makes_a_name_is_no_less_secret(text: str, dialect: str) -> None:
    for item in facts_of(text, dialect, modes=frozenset({"ANSI_QUOTES"})):
        assert SECRET not in item.redacted + item.fingerprint


@pytest.mark.parametrize(
    "text",
    [
        "SELECT id, token FROM t WHERE id = 5",
        "SELECT t.token, 1 FROM t ORDER BY token",
        "SELECT a FROM secret.t WHERE a = 'x'",
        "INSERT INTO users (id, name) VALUES (1, 'ada')",
        "SELECT name FROM users WHERE name = 'ada'",
    ],
)
def test_a_name_alone_hides_nothing(text: str) -> None:
    assert facts_of(text)[0].redacted == text


def test_what_is_understood_is_recorded_as_it_is() -> None:
    text = "SELECT id FROM app.orders WHERE note = 'x' AND amount > 10"
    assert facts_of(text)[0].redacted == text


def test_fingerprints_group() -> None:
    texts = ["SELECT id FROM orders WHERE id IN (1, 2)", "select `id`\nfrom orders where id in (3,4,5) -- x"]
    assert len({facts_of(text)[0].fingerprint for text in texts}) == 1
