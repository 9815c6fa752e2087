"""Type names at token level: what stands behind ``::``, in CAST, and before a literal."""

from gateway.classify.postgres.lexer import Token
from gateway.classify.postgres.words import RESERVED
from gateway.classify.tokens import Kind

_SYNONYMS = {
    "bigint": "int8",
    "boolean": "bool",
    "char": "bpchar",
    "character": "bpchar",
    "dec": "numeric",
    "decimal": "numeric",
    "int": "int4",
    "integer": "int4",
    "nchar": "bpchar",
    "real": "float4",
    "smallint": "int2",
}
"""The grammar's own words; the server's catalogue knows these types under the other name."""

_ALIASES_OF_NUMBERS = {
    "regclass": (2205, 2210),
    "regcollation": (4191, 4192),
    "regconfig": (3734, 3735),
    "regdictionary": (3769, 3770),
    "regnamespace": (4089, 4090),
    "regoper": (2203, 2208),
    "regoperator": (2204, 2209),
    "regproc": (24, 1008),
    "regprocedure": (2202, 2207),
    "regrole": (4096, 4097),
    "regtype": (2206, 2211),
}
LOOKED_UP = {number: name for name, numbers in _ALIASES_OF_NUMBERS.items() for number in numbers}
"""Built-in types that look their text up in the catalogue, by number (pg_type.dat), and arrays of them."""

_FIELDS = frozenset(("year", "month", "day", "hour", "minute", "second"))
_ZONED = {"time": "timetz", "timestamp": "timestamptz"}
NO_TYPE = ("", "")


def read(tokens: list[Token], at: int) -> tuple[tuple[str, str], int]:
    """The type that starts at *at* as (schema, name), and where it ends; ``NO_TYPE`` when there is none."""
    size = len(tokens)
    if at < size and tokens[at].value == "setof" and tokens[at].kind is Kind.WORD:
        at += 1
    if at >= size or tokens[at].kind not in {Kind.WORD, Kind.NAME}:
        return NO_TYPE, at
    if tokens[at].kind is Kind.WORD and tokens[at].value in RESERVED:
        return NO_TYPE, at
    start = at
    names = [tokens[at].value]
    at += 1
    while at + 1 < size and tokens[at].value == "." and tokens[at + 1].kind in {Kind.WORD, Kind.NAME}:
        names.append(tokens[at + 1].value)
        at += 2
    if len(names) > 1:
        schema, name = names[-2], names[-1]
    elif tokens[start].kind is Kind.NAME:
        schema, name = "", names[0]
    else:
        schema, (name, at) = "", _grammar_type(tokens, names[0], at)
    end = _suffix(tokens, at, with_zone=schema == "" and name in _ZONED)
    if schema == "" and name in _ZONED and any(_word(tokens, place) == "with" for place in range(at, end)):
        name = _ZONED[name]
    return (schema, name), end


def _word(tokens: list[Token], at: int) -> str:
    return tokens[at].value if at < len(tokens) and tokens[at].kind is Kind.WORD else ""


def _grammar_type(tokens: list[Token], word: str, at: int) -> tuple[str, int]:
    """Names of several words, and words the server keeps under another name."""
    if word == "national" and _word(tokens, at) in {"character", "char"}:
        word, at = "character", at + 1
    if word == "double" and _word(tokens, at) == "precision":
        return "float8", at + 1
    if word in {"character", "char", "nchar", "bit"} and _word(tokens, at) == "varying":
        return ("varbit" if word == "bit" else "varchar"), at + 1
    if word == "float":
        return "float8", at
    if word == "interval":
        return word, fields(tokens, at)
    return _SYNONYMS.get(word, word), at


def fields(tokens: list[Token], at: int) -> int:
    """Where ``YEAR TO MONTH`` and the like end."""
    if _word(tokens, at) in _FIELDS:
        at += 1
        if _word(tokens, at) == "to" and _word(tokens, at + 1) in _FIELDS:
            at += 2
        if tokens[at - 1].value == "second":
            at = _brackets(tokens, at)
    return at


def _suffix(tokens: list[Token], at: int, *, with_zone: bool) -> int:
    at = _brackets(tokens, at)
    if with_zone and _word(tokens, at) in {"with", "without"} and _word(tokens, at + 1) == "time":
        if _word(tokens, at + 2) == "zone":
            at += 3
    elif _word(tokens, at) == "array":
        at += 1
    while at < len(tokens) and tokens[at].value == "[" and tokens[at].kind is Kind.MARK:
        if at + 1 < len(tokens) and tokens[at + 1].value == "]":
            at += 2
        elif at + 2 < len(tokens) and tokens[at + 1].kind is Kind.NUMBER and tokens[at + 2].value == "]":
            at += 3
        else:
            break
    return at


def _brackets(tokens: list[Token], at: int) -> int:
    """Past ``(10, 2)``: constants only, anything else is no type modifier."""
    if at >= len(tokens) or tokens[at].value != "(" or tokens[at].kind is not Kind.MARK:
        return at
    ahead = at + 1
    while ahead < len(tokens) and (
        tokens[ahead].kind in {Kind.NUMBER, Kind.STRING} or tokens[ahead].value in ",-"
    ):
        ahead += 1
    return ahead + 1 if ahead < len(tokens) and tokens[ahead].value == ")" else at
