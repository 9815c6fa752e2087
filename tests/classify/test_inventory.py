# ruff: noqa: SIM905 - lists of words read best as words
"""The lists that were derived are what their sources say today."""

from pathlib import Path

import psycopg
import pytest

from gateway.classify.postgres import inventory, server15, sqlglot_words
from tests.classify import derive_inventory, derive_sqlglot_words
from tests.servers.postgres import Postgres


def test_sqlglot_s_words_are_those_of_the_installed_one() -> None:
    assert derive_sqlglot_words.words() == sqlglot_words.WORDS


@pytest.mark.parametrize(
    "name",
    """
    query_to_xml table_to_xml schema_to_xml database_to_xml cursor_to_xml ts_stat ts_rewrite
    pg_read_file pg_ls_dir pg_stat_file lo_import lo_export lo_get lo_put lo_from_bytea dblink
    nextval setval currval lastval set_config current_setting pg_sleep pg_terminate_backend
    pg_cancel_backend pg_notify pg_promote pg_reload_conf pg_advisory_lock pg_relation_size
    to_regclass has_table_privilege pg_get_viewdef pg_logical_slot_get_changes txid_current
    pg_current_wal_lsn inet_server_addr pg_stat_get_activity pg_export_snapshot xml_in regclass
    regclassin query_to_xmlschema pg_logical_emit_message pg_rotate_logfile pg_walfile_name
    brin_summarize_range binary_upgrade_create_empty_extension
    """.split(),
)
def test_what_is_not_harmless(name: str) -> None:
    assert name not in inventory.HARMLESS


def test_types_that_look_things_up_are_not_harmless() -> None:
    assert (
        not {"regclass", "regproc", "regrole", "regnamespace", "refcursor", "cstring", "internal"}
        & inventory.TYPES
    )


@pytest.mark.db
def test_the_server_s_lists_are_those_of_a_real_server(
    bare_postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conninfo = f"host={bare_postgres.socket} port={bare_postgres.port} user=postgres dbname=template1"
    with psycopg.connect(conninfo) as connection:
        if connection.info.server_version // 10_000 != 15:
            pytest.skip("the lists are PostgreSQL 15's")
    target = tmp_path / "server15.py"
    monkeypatch.setattr(derive_inventory, "TARGET", target)
    derive_inventory.main(conninfo)
    found: dict[str, object] = {}
    exec(target.read_text(), found)
    for name in (
        "PURE_FUNCTIONS",
        "EVERY_FUNCTION",
        "EMPTY_CALLS",
        "OPERATORS",
        "TYPES",
        "KEYWORDS",
        "VIEWS",
    ):
        assert found[name] == getattr(server15, name), name
