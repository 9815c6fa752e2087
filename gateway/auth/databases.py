"""A database resource as the rest of the program reads it, and back."""

from collections.abc import Mapping
from typing import Any

from gateway.auth.store import Resource
from gateway.model.resource import BackendAuth, BackendTls, Database

ELSEWHERE = "agents"
"""What a stored database says that services elsewhere serve; people cannot write it."""


def to_database(resource: Resource) -> Database:
    """The database that a stored resource describes."""
    metadata: Mapping[str, Any] = resource.document["metadata"]
    spec: Mapping[str, Any] = resource.document["spec"]
    auth, tls = spec.get("auth", {}), spec.get("tls", {})
    return Database(
        name=resource.name,
        protocol=spec["protocol"],
        uri=spec["uri"],
        description=metadata.get("description", ""),
        labels=dict(metadata.get("labels", {})),
        auth=BackendAuth(auth.get("method", "certificate")),
        tls=BackendTls(ca=tls.get("ca_cert", ""), server_name=tls.get("server_name", "")),
        secret_file=auth.get("secret_file", ""),
        secret_env=auth.get("secret_env", ""),
        max_connections=spec.get("max_connections", 0),
        elsewhere=spec.get("served_by") == ELSEWHERE,
    )


def to_resource(database: Database) -> Resource:
    """A database of the configuration file as a resource; for ``Store.declare``."""
    auth = {
        "method": database.auth.value,
        "secret_file": database.secret_file,
        "secret_env": database.secret_env,
    }
    tls = {"ca_cert": database.tls.ca, "server_name": database.tls.server_name}
    document = {
        "kind": "db",
        "version": "v3",
        "metadata": {
            "name": database.name,
            "description": database.description,
            "labels": dict(database.labels),
        },
        "spec": {
            "protocol": database.protocol,
            "uri": database.uri,
            "auth": {name: value for name, value in auth.items() if value},
            "tls": {name: value for name, value in tls.items() if value},
            "max_connections": database.max_connections,
        },
    }
    return Resource("db", database.name, "v3", document)
