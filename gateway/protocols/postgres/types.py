"""The names of parameter types, for records of how many values of which types were bound."""

from collections.abc import Sequence
from typing import Final

UNSPECIFIED: Final = "unspecified"

# From pg_type.dat; these numbers are fixed in every server version.
_NAMES: Final = {
    0: UNSPECIFIED,
    16: "bool",
    17: "bytea",
    18: "char",
    19: "name",
    20: "int8",
    21: "int2",
    23: "int4",
    25: "text",
    26: "oid",
    114: "json",
    700: "float4",
    701: "float8",
    705: "unknown",
    869: "inet",
    1000: "bool[]",
    1005: "int2[]",
    1007: "int4[]",
    1009: "text[]",
    1015: "varchar[]",
    1016: "int8[]",
    1042: "bpchar",
    1043: "varchar",
    1082: "date",
    1083: "time",
    1114: "timestamp",
    1184: "timestamptz",
    1186: "interval",
    1266: "timetz",
    1700: "numeric",
    2950: "uuid",
    3802: "jsonb",
}


def type_names(types: Sequence[int], values: int) -> tuple[str, ...]:
    """The types of *values* bound values, of which the client fixed the first ones."""
    fixed = [_NAMES.get(oid) or f"oid {oid}" for oid in types[:values]]
    return (*fixed, *([UNSPECIFIED] * (values - len(fixed))))
