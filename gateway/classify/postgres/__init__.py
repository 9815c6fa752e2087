"""PostgreSQL: its lexical rules, its statements, and what the server brings along."""

from gateway.classify.dialect import Dialect
from gateway.classify.postgres import names, reader, settings

POSTGRES = Dialect(name="postgres", read=reader.read, resolve=names.resolve, startup=settings.startup)
