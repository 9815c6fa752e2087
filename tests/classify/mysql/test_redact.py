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


def test_what_is_understood_is_recorded_as_it_is() -> None:
    text = "SELECT id FROM app.orders WHERE note = 'x' AND amount > 10"
    assert facts_of(text)[0].redacted == text


def test_fingerprints_group() -> None:
    texts = ["SELECT id FROM orders WHERE id IN (1, 2)", "select `id`\nfrom orders where id in (3,4,5) -- x"]
    assert len({facts_of(text)[0].fingerprint for text in texts}) == 1
