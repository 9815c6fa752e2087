"""The cluster's state: resources, and the secrets that belong to users, in SQLite or PostgreSQL."""

from gateway.auth.store.agents import Agent
from gateway.auth.store.bots import Line
from gateway.auth.store.change import Change
from gateway.auth.store.reading import DATA_REVISION, KEY_REVISION
from gateway.auth.store.records import KINDS, Credentials, OpenToken, Resource, Snapshot
from gateway.auth.store.state import Store

__all__ = [
    "DATA_REVISION",
    "KEY_REVISION",
    "KINDS",
    "Agent",
    "Change",
    "Credentials",
    "Line",
    "OpenToken",
    "Resource",
    "Snapshot",
    "Store",
]
