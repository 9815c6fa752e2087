"""Real clients behind one small language, so that one scenario runs through all of them.

A step is ``run SQL`` or ``bind N SQL``: the same statement with one parameter, written ``?``, run with the
values 1 to N, so that a driver moves on to whatever it does with statements it has seen before. An answer
is the rows (columns joined with a bar, rows with a semicolon), or an exclamation mark and the SQLSTATE.
"""

import asyncio
import os
import ssl
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import pg8000.native
import psycopg

from tests.e2e.access import Access
from tests.e2e.jdbc import driver as jdbc

Driver: TypeAlias = Callable[[Access, Sequence[str]], list[str]]
_MARK = "--end-of-step--"


def _shown(rows: Iterable[Sequence[Any]]) -> str:
    return ";".join("|".join("" if value is None else str(value) for value in row) for row in rows)


def _parsed(step: str) -> tuple[str, list[int] | None]:
    """The statement, and the values of its parameter where it has one."""
    verb, _, rest = step.partition(" ")
    if verb == "run":
        return rest, None
    assert verb == "bind", step
    count, _, sql = rest.partition(" ")
    return sql, list(range(1, int(count) + 1))


def tls(access: Access) -> ssl.SSLContext | None:
    """A context that verifies the gateway and shows the user's certificate; None for a tunnel."""
    if access.certificate is None:
        return None
    context = ssl.create_default_context(cafile=str(access.ca))
    context.load_cert_chain(access.certificate, access.key)
    return context


def psycopg_simple(access: Access, steps: Sequence[str]) -> list[str]:
    """psycopg 3 as it is: unnamed statements, later prepared ones."""
    answers = []
    with psycopg.connect(access.conninfo, autocommit=True) as connection:
        for step in steps:
            sql, values = _parsed(step)
            try:
                if values is None:
                    cursor = connection.execute(sql.encode())
                    answers.append(_shown(cursor.fetchall()) if cursor.description else "")
                    continue
                text = sql.replace("?", "%s").encode()
                answers.append(
                    _shown(row for value in values for row in connection.execute(text, (value,)).fetchall())
                )
            except psycopg.Error as error:
                answers.append(f"!{error.sqlstate}")
    return answers


def psycopg_pipeline(access: Access, steps: Sequence[str]) -> list[str]:
    """psycopg 3 in pipeline mode: each step is a pipeline, its statements sent before any is answered."""
    answers = []
    with psycopg.connect(access.conninfo, autocommit=True) as connection:
        for step in steps:
            sql, values = _parsed(step)
            text = sql.replace("?", "%s").encode()
            try:
                with connection.pipeline():
                    cursors = [connection.execute(text, given) for given in _given(values)]
                answers.append(_shown(row for one in cursors if one.description for row in one.fetchall()))
            except psycopg.Error as error:
                answers.append(f"!{error.sqlstate}")
    return answers


def _given(values: list[int] | None) -> list[tuple[int, ...] | None]:
    return [None] if values is None else [(value,) for value in values]


def asyncpg_driver(access: Access, steps: Sequence[str]) -> list[str]:
    """asyncpg: the extended protocol with named statements throughout."""
    return asyncio.run(_asyncpg(access, steps))


async def _asyncpg(access: Access, steps: Sequence[str]) -> list[str]:
    connection = await asyncpg.connect(
        host=access.host,
        port=access.port,
        user=access.db_user,
        database=access.db_name,
        ssl=tls(access) or False,
        timeout=15,
    )
    answers = []
    try:
        for step in steps:
            sql, values = _parsed(step)
            try:
                rows: list[Any] = []
                for given in _given(values):
                    rows += await connection.fetch(sql.replace("?", "$1"), *(given or ()))
                answers.append(_shown(rows))
            except asyncpg.PostgresError as error:
                answers.append(f"!{error.sqlstate}")
    finally:
        await connection.close(timeout=5)
    return answers


def pg8000_driver(access: Access, steps: Sequence[str]) -> list[str]:
    """pg8000: pure Python, one unnamed statement after the other."""
    connection = pg8000.native.Connection(
        access.db_user,
        host=access.host,
        port=access.port,
        database=access.db_name,
        ssl_context=tls(access) or False,
        timeout=30,
    )
    answers = []
    try:
        for step in steps:
            sql, values = _parsed(step)
            try:
                rows: list[Any] = []
                for given in _given(values):
                    named = {"n": given[0]} if given else {}
                    rows += connection.run(sql.replace("?", ":n"), **named) or []
                answers.append(_shown(rows))
            except pg8000.native.DatabaseError as error:
                answers.append(f"!{error.args[0]['C']}")
            except pg8000.native.InterfaceError as error:
                # Its own words for a COMMIT that the server answered with ROLLBACK.
                assert str(error) == "in failed transaction block", error  # noqa: PT017
                answers.append("")
    finally:
        connection.close()
    return answers


def psql(access: Access, steps: Sequence[str]) -> list[str]:
    """psql: simple queries; a bound step is a statement for each value, written into it."""
    script = []
    for step in steps:
        sql, values = _parsed(step)
        script += [f"{sql};"] if values is None else [f"{sql.replace('?', str(value))};" for value in values]
        script.append(f"\\echo {_MARK} :SQLSTATE")
    done = subprocess.run(
        ["psql", "-X", "-q", "-A", "-t", "-f", "-"],
        env={"PATH": os.environ["PATH"], **access.environment},
        input="\n".join(script),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    answers: list[str] = []
    rows: list[str] = []
    for line in done.stdout.splitlines():
        if line.startswith(_MARK):
            state = line.removeprefix(_MARK).strip()
            answers.append(";".join(rows) if state == "00000" else f"!{state}")
            rows = []
        else:
            rows.append(line)
    if len(answers) < len(steps):
        raise AssertionError(f"psql ended early: {done.stderr}")
    return answers


def pgjdbc(access: Access, steps: Sequence[str]) -> list[str]:
    """pgjdbc: unnamed statements first, named ones from the fifth time on."""
    with tempfile.TemporaryDirectory() as folder:
        answers = jdbc.session(jdbc.url(access, Path(folder)), steps)
    return [f"!{answer.state}" if answer.state else answer.rows for answer in answers]


DRIVERS: dict[str, Driver] = {
    "psql": psql,
    "psycopg": psycopg_simple,
    "psycopg-pipeline": psycopg_pipeline,
    "asyncpg": asyncpg_driver,
    "pg8000": pg8000_driver,
    "pgjdbc": pgjdbc,
}
