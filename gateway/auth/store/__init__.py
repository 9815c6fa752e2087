"""The cluster's state: resources, and the secrets that belong to users, in SQLite or PostgreSQL."""

from gateway.auth.store.change import Change, Credentials
from gateway.auth.store.records import KINDS, OpenToken, Resource, Snapshot
from gateway.auth.store.state import Store

__all__ = ["KINDS", "Change", "Credentials", "OpenToken", "Resource", "Snapshot", "Store"]
