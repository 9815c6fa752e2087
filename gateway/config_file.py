"""Reading the one file that ``regate start`` reads; a mistake names the file, line and path."""

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway import address, config_checks, document, schema, storage, supply, texts
from gateway.address import Address
from gateway.config import (
    CONNECTS_PER_SECOND,
    DEFAULT_AUTH_LISTEN,
    DEFAULT_DATA_DIR,
    DEFAULT_DEADLINE_MS,
    DEFAULT_LISTEN,
    OWN_PORTS,
    TOLD_PORTS,
    AuthService,
    Config,
    DbService,
    DynamicLabel,
    Join,
    KeyPair,
    Log,
    Opa,
    ProxyService,
)
from gateway.document import Document
from gateway.errors import ConfigError
from gateway.model.resource import BackendAuth, BackendTls, Database


def load(path: Path) -> Config:
    """Read and check the file at *path*; a ConfigError lists every mistake in it."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text") from error
    except OSError as error:
        hint = "write one with: regate configure --output=file://" + str(path.absolute())
        raise ConfigError(f"cannot read {path}: {os.strerror(error.errno or 0)}", hint=hint) from error
    return parse(text, path)


def parse(text: str, path: Path) -> Config:
    """The configuration in *text*; relative paths in it start at the folder of *path*."""
    value, positions = document.read(text, str(path), schema.load("config"))
    read = Document(value, positions)
    document.refuse(str(path), sorted(config_checks.problems(read, path)))
    return _config(value, path)


def _config(value: Mapping[str, Any], path: Path) -> Config:
    overall = value.get("regate") or value.get("teleport") or {}
    base = path.absolute().parent
    data_dir = base / overall.get("data_dir", DEFAULT_DATA_DIR)
    audit_dir = value.get("audit", {}).get("dir")
    opa = value.get("opa", {})
    policy_dir = value.get("policy", {}).get("dir")
    log = overall.get("log", {})
    databases = value.get("db_service", {}).get("databases") or ()
    return Config(
        path=path.absolute(),
        cluster_name=overall.get("cluster_name") or platform.node(),
        data_dir=data_dir,
        proxy_service=_proxy_service(value.get("proxy_service", {}), base),
        audit_dir=base / audit_dir if audit_dir else data_dir / "audit",
        storage=storage.read(value.get("auth_service", {}).get("storage", {}), base, data_dir),
        log=Log(
            severity=log.get("severity", "INFO"),
            output=log.get("output", "stderr"),
            format=log.get("format", {}).get("output", ""),
        ),
        auth_service=_auth_service(value.get("auth_service", {})),
        db_service=DbService(
            enabled=value.get("db_service", {}).get("enabled", True),
            databases=tuple(_database(item, base) for item in databases),
            dynamic_labels={
                item["name"]: tuple(map(_dynamic_label, item["dynamic_labels"]))
                for item in databases
                if item.get("dynamic_labels")
            },
            workers=value.get("db_service", {}).get("workers", 1),
            deny_addresses=tuple(value.get("db_service", {}).get("deny_addresses") or ()),
            connects_per_second=value.get("db_service", {}).get("connects_per_second", CONNECTS_PER_SECOND),
        ),
        texts=texts.read(value.get("audit", {})),
        opa=Opa(
            path=base / opa["path"] if "path" in opa else None,
            address=opa.get("address", ""),
            token_file=base / opa["token_file"] if "token_file" in opa else None,
            ca_file=base / opa["ca_file"] if "ca_file" in opa else None,
            deadline_ms=opa.get("deadline_ms", DEFAULT_DEADLINE_MS),
        ),
        policy_dir=base / policy_dir if policy_dir else None,
        policy=supply.read(value.get("policy", {}), base),
        join=_join(overall, base),
        diagnostics=address.parse(overall["diag_addr"]) if "diag_addr" in overall else None,
    )


def _auth_service(section: Mapping[str, Any]) -> AuthService:
    listen = section.get("listen_addr")
    return AuthService(section.get("enabled", True), address.parse(listen) if listen else None)


def _join(overall: Mapping[str, Any], base: Path) -> Join | None:
    server = overall.get("proxy_server") or overall.get("auth_server")
    if server is None:
        return None
    token = overall.get("auth_token", "")
    if "/" in token:
        token = str(base / token)
    default = 443 if "proxy_server" in overall else address.parse(DEFAULT_AUTH_LISTEN).port
    return Join(address.parse(server, default_port=default), token, overall.get("ca_pin", ""))


def _proxy_service(section: Mapping[str, Any], base: Path) -> ProxyService:
    listen = address.parse(section.get("listen_addr", DEFAULT_LISTEN))
    own = Address(platform.node() if listen.is_wildcard else listen.host, listen.port)
    public = tuple(
        address.parse(text, default_port=listen.port)
        for text in config_checks.as_list(section.get("public_addr"))
    )
    pairs = section.get("https_keypairs")
    web = KeyPair(base / pairs[0]["cert_file"], base / pairs[0]["key_file"]) if pairs else None
    ports = {name: section[f"{name}_listen_addr"] for name in OWN_PORTS if f"{name}_listen_addr" in section}
    enabled = section.get("enabled", True)
    protocols = {name: address.parse(text) for name, text in ports.items()}
    return ProxyService(
        listen=listen,
        public=public or (own,),
        enabled=enabled,
        protocols=protocols,
        native=_native(section, protocols if enabled else {}),
        web=web,
    )


def _native(section: Mapping[str, Any], protocols: Mapping[str, Address]) -> dict[str, str]:
    """Where clients find the ports of single protocols: as the file says, else as they are listened on."""
    listening = {name: f":{own.port}" for name, own in protocols.items() if name in TOLD_PORTS}
    named = {name: section[key] for name in TOLD_PORTS if (key := f"{name}_public_addr") in section}
    return listening | {name: str(address.parse(text)) for name, text in named.items()}


def _database(item: Mapping[str, Any], base: Path) -> Database:
    tls = item.get("tls", {})
    auth = item.get("auth", {})
    ca_file = tls.get("ca_cert_file")
    secret_file = auth.get("secret_file")
    return Database(
        name=item["name"],
        protocol=item["protocol"],
        uri=item["uri"],
        description=item.get("description", ""),
        labels=dict(item.get("static_labels") or {}),
        auth=BackendAuth(auth.get("method", "certificate")),
        tls=BackendTls(
            ca=(base / ca_file).read_text(encoding="ascii") if ca_file else "",
            server_name=tls.get("server_name", ""),
        ),
        secret_file=str(base / secret_file) if secret_file else "",
        secret_env=auth.get("secret_env", ""),
        max_connections=item.get("max_connections", 0),
    )


def _dynamic_label(item: Mapping[str, Any]) -> DynamicLabel:
    return DynamicLabel(item["name"], tuple(item["command"]), config_checks.seconds(item["period"]))
