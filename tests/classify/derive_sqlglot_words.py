# ruff: noqa: E501 - queries and lists of words read best as they are
"""Write gateway/classify/postgres/sqlglot_words.py from the sqlglot that is installed: every word its parser knows."""

import re
import textwrap
from pathlib import Path

import sqlglot
from sqlglot.dialects.postgres import Postgres

TARGET = Path(__file__).resolve().parents[2] / "gateway/classify/postgres/sqlglot_words.py"


def words() -> frozenset[str]:
    """Keywords of the tokenizer, and every capital literal in the parsers' sources."""
    folder = Path(sqlglot.__file__).parent
    found = set(Postgres.tokenizer_class.KEYWORDS)
    for source in ("parser.py", "parsers/postgres.py", "tokens.py", "dialects/postgres.py"):
        found.update(re.findall(r'"([A-Z][A-Z0-9_ ]*)"', (folder / source).read_text()))
    return frozenset(word for phrase in found for word in re.findall(r"[a-z_][a-z0-9_]*", phrase.lower()))


def main() -> None:
    body = textwrap.fill(" ".join(sorted(words())), 106, initial_indent="    ", subsequent_indent="    ")
    TARGET.write_text(
        '# ruff: noqa: SIM905 - lists of words read best as words\n"""Every word sqlglot\'s parser knows; written by tests/classify/derive_sqlglot_words.py, not by hand."""\n\n'
        f'from typing import Final\n\nWORDS: Final = frozenset(\n    """\n{body}\n    """.split()\n)\n'
        '"""A bare word of these may mean something to the parser that it does not mean to the server."""\n'
    )


if __name__ == "__main__":
    main()
