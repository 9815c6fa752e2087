"""What clients and dumps of MySQL and MariaDB send by themselves is understood, word for word.

Seen with PyMySQL 1.2, mysqlclient 2.3, aiomysql 0.3, Connector/Python 26.10, Connector/J 9.4, MariaDB
Connector/J 3.5, the mariadb command line 10.11 and mariadb-dump 10.19 against MariaDB 10.11.
"""

import subprocess

import pytest

from tests.classify.mysql.judge import facts_of
from tests.classify.mysql.oracle import connected
from tests.servers.mariadb import Mariadb

_CONNECTOR_J = ", ".join(
    f"@@{name} AS {name}"
    for name in (
        "character_set_client", "character_set_connection", "character_set_results", "character_set_server",
        "collation_server", "collation_connection", "init_connect", "interactive_timeout", "license",
        "lower_case_table_names", "max_allowed_packet", "net_write_timeout", "performance_schema", "sql_mode",
        "system_time_zone", "time_zone", "transaction_isolation", "wait_timeout",
    )
)  # fmt: skip
STATEMENTS = [
    "SET NAMES utf8mb4",
    "SET AUTOCOMMIT = 0",
    "SET autocommit=0",
    "SET NAMES 'utf8mb4' COLLATE 'utf8mb4_general_ci'",
    "SET NAMES 'utf8mb4' COLLATE 'utf8mb4_0900_ai_ci'",
    "SET @@session.autocommit = OFF",
    (
        "/* mysql-connector-j-9.4.0 (Revision: 0) */SELECT  @@session.auto_increment_increment AS "
        f"auto_increment_increment, {_CONNECTOR_J}"
    ),
    "SET character_set_results = NULL",
    "SET autocommit=1",
    (
        "set "
        "autocommit=1,sql_mode=CONCAT(@@sql_mode,',STRICT_TRANS_TABLES'),session_track_system_variables = "
        "CONCAT(@@global.session_track_system_variables,',tx_isolation'),NAMES utf8mb4"
    ),
    "show databases",
    "show tables",
    "select @@version_comment limit 1",
    "SELECT DATABASE()",
    "select DATABASE(), USER() limit 1",
    "SELECT CURRENT_USER()",
    "SELECT VERSION()",
    "SHOW VARIABLES LIKE 'lower_case_%'",
    "SHOW SESSION VARIABLES WHERE Variable_name IN ('sql_mode', 'time_zone')",
    "SHOW WARNINGS",
    "SHOW FULL TABLES FROM `app` WHERE table_type = 'BASE TABLE'",
    "SHOW INDEX FROM `orders` FROM `app`",
    "/*!40100 SET @@SQL_MODE='' */",
    "/*!40103 SET TIME_ZONE='+00:00' */",
    "/*M!100100 SET @@MAX_STATEMENT_TIME=0.000000 */",
    "/*M!100100 SET WAIT_TIMEOUT=DEFAULT */",
    "set optimizer_switch='semijoin=off'",
    "LOCK TABLES `orders` READ /*!32311 LOCAL */,`customers` READ /*!32311 LOCAL */",
    "SELECT /*!40001 SQL_NO_CACHE */ `id`, `note` FROM `orders`",
    "UNLOCK TABLES",
    "SET SQL_QUOTE_SHOW_CREATE=1",
    "START TRANSACTION /*!40100 WITH CONSISTENT SNAPSHOT */",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "SAVEPOINT sp",
    "ROLLBACK TO SAVEPOINT sp",
    "SELECT COUNT(*) FROM orders WHERE id IN (?, ?, ?) AND note LIKE CONCAT('%', ?, '%')",
    "INSERT INTO `orders` (`id`,`note`) VALUES (1,_binary 'x'),(2,NULL)",
]


@pytest.mark.parametrize("text", STATEMENTS)
def test_a_client_is_understood(text: str) -> None:
    facts = facts_of(text, "mariadb")
    assert [item.unknown_reason for item in facts] == [""]


@pytest.mark.db
def test_all_that_a_dump_asks_and_holds_is_understood(server: Mariadb) -> None:
    connected(server)  # makes the tables
    server.ask("create or replace user dumper@localhost; grant all on *.* to dumper@localhost")
    command = ["mariadb-dump", "--no-defaults", f"--socket={server.socket}", "-u", "dumper", "--routines"]
    done = subprocess.run(
        [*command, "--events", "--databases", "app", "secret"], capture_output=True, text=True, check=True
    )
    asked = {each.text for each in server.log() if each.kind == "Query"}
    assert len(asked) > 30
    assert [text for text in asked for item in facts_of(text, "mariadb") if not item.complete] == []
    # The first line is for the command line alone: it turns its own commands off.
    # One by one, as they are sent: behind a SET NAMES in the same text nobody knows how to read.
    held = done.stdout.split("\n", 1)[1].split(";\n")
    assert len(held) > 50
    assert [text for text in held for item in facts_of(text, "mariadb") if not item.complete] == []
