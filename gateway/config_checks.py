"""What can be wrong with the one file that ``regate start`` reads, beyond what a schema can say."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gateway import address, ranges, storage, supply, texts
from gateway.config import (
    DEFAULT_DATA_DIR,
    DEFAULT_LISTEN,
    OWN_PORTS,
    TOLD_PORTS,
    known_protocols,
)
from gateway.document import Document, Problem
from gateway.errors import ConfigError
from gateway.mistakes import Path as Where
from gateway.mistakes import dotted, shown, suggestion
from gateway.model.resource import SEVERAL_SEEDS, WITH_SECRET

MAX_SOCKET_PATH = 107  # bytes of sun_path on Linux, less the closing NUL
MIN_PERIOD_SECONDS = 1  # of a dynamic label
_ADDRESS_OF_OPA = re.compile(
    r"unix:/.+|https://[^/?#@]+|http://(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]+)?"
)
"""Plain HTTP to another host would show the token to the network."""
_DURATION_PART = re.compile(r"([0-9.]+)([hms])")
_ROOM_FOR_SOCKETS = 32  # the longest socket name that is made below the data directory


def problems(read: Document, path: Path) -> Iterator[Problem]:
    """Every mistake in what was *read* from *path*, which has the form that the schema wants."""
    value, base = read.value, path.absolute().parent
    yield from _overall_problems(read, base)
    yield from _service_problems(read)
    yield from _opa_problems(read, base)
    for where, sentence in supply.problems(value.get("policy", {})):
        yield _problem(read, ("policy", *where), sentence)
    for place, sentence in texts.problems(value.get("audit", {})):
        yield _problem(read, ("audit", *place), sentence)
    yield from _proxy_problems(read, base)
    for where, sentence in storage.problems(value.get("auth_service", {}).get("storage", {})):
        yield _problem(read, ("auth_service", "storage", *where), sentence)
    yield from _network_problems(read)
    seen: set[str] = set()
    for index, item in enumerate(value.get("db_service", {}).get("databases") or ()):
        at = ("db_service", "databases", index)
        if item["name"] in seen:
            sentence = f"expected a name of its own, got {shown(item['name'])} again"
            yield _problem(read, (*at, "name"), sentence)
        seen.add(item["name"])
        yield from _database_problems(read, at, item, base)


def _network_problems(read: Document) -> Iterator[Problem]:
    for index, text in enumerate(read.value.get("db_service", {}).get("deny_addresses") or ()):
        try:
            ranges.parse((text,))
        except ConfigError:
            sentence = f"expected a network as in 10.0.0.0/8, got {shown(text)}"
            yield _problem(read, ("db_service", "deny_addresses", index), sentence)


def _overall_problems(read: Document, base: Path) -> Iterator[Problem]:
    """The section that is called regate, or teleport in a file that was one of Teleport's."""
    value = read.value
    if "regate" in value and "teleport" in value:
        yield _problem(read, ("teleport",), "expected one of regate and teleport, got both")
    key = "regate" if "regate" in value else "teleport"
    overall = value.get("regate") or value.get("teleport") or {}
    data_dir = base / overall.get("data_dir", DEFAULT_DATA_DIR)
    if len(os.fsencode(data_dir)) + _ROOM_FOR_SOCKETS > MAX_SOCKET_PATH:
        most = MAX_SOCKET_PATH - _ROOM_FOR_SOCKETS
        yield _problem(read, (key, "data_dir"), f"expected a path of at most {most} bytes (it holds sockets)")
    if _is_bad_address(overall.get("diag_addr", "localhost:1")):
        sentence = f"expected host:port, got {shown(overall['diag_addr'])}"
        yield _problem(read, (key, "diag_addr"), sentence)


def _service_problems(read: Document) -> Iterator[Problem]:
    """Which services may share a process, and what one that runs by itself must know."""
    value, key = read.value, "teleport" if "teleport" in read.value else "regate"
    overall = value.get(key) or {}
    names = ("auth_service", "proxy_service", "db_service")
    auth, proxy, db = (value.get(name, {}).get("enabled", True) for name in names)
    for name in ("proxy_server", "auth_server"):
        if _is_bad_address(overall.get(name, "localhost:1"), default_port=1):
            yield _problem(read, (key, name), f"expected host:port, got {shown(overall[name])}")
    listen = value.get("auth_service", {}).get("listen_addr")
    if listen is not None and _is_bad_address(listen):
        yield _problem(read, ("auth_service", "listen_addr"), f"expected host:port, got {shown(listen)}")
    if not (auth or proxy or db):
        yield _problem(read, ("db_service", "enabled"), "expected one service to be enabled, got none")
    elif db and auth != proxy:
        other = "proxy_service" if auth else "auth_service"
        sentence = "expected yes: a database service runs with both others in its process, or with none"
        yield _problem(read, (other, "enabled"), sentence)
    elif auth and not proxy and "public_addr" not in value.get("proxy_service", {}):
        sentence = "expected public_addr: the addresses that clients and proxies dial, the clients' first"
        yield _problem(read, ("proxy_service",), sentence)
    elif not auth:
        wanted, what = ("proxy_server", "the proxy") if db else ("auth_server", "the auth service")
        if wanted not in overall:
            sentence = f"expected the address of {what}, as in {wanted}: host:port"
            yield _problem(read, (key, wanted) if key in value else (), sentence)


def _opa_problems(read: Document, base: Path) -> Iterator[Problem]:
    """An OPA of the operator's own needs an address that can be trusted, and a token."""
    section = read.value.get("opa", {})
    text = section.get("address", "")
    for name in ("token_file", "ca_file"):
        if name in section and not text:
            yield _problem(read, ("opa", name), f"expected nothing: {name} goes with an address")
    if not text:
        return
    if _ADDRESS_OF_OPA.fullmatch(text) is None:
        sentence = f"expected unix:/path, https://host:port, or http:// on this host, got {shown(text)}"
        yield _problem(read, ("opa", "address"), sentence)
    elif not text.startswith("unix:") and read.value.get("db_service", {}).get("workers", 1) > 1:
        sentence = "expected unix:/path: several workers ask OPA over a unix socket"
        yield _problem(read, ("opa", "address"), sentence)
    if "token_file" not in section:
        sentence = 'expected the field "token_file", the file with the token that may push data to it'
        yield _problem(read, ("opa",), sentence)
    elif trouble := _unreadable(base / section["token_file"]):
        yield _problem(read, ("opa", "token_file"), trouble)
    if "ca_file" in section and (trouble := _pem_trouble(base / section["ca_file"])):
        yield _problem(read, ("opa", "ca_file"), trouble)


def _unreadable(path: Path) -> str:
    try:
        path.read_bytes()
    except OSError as error:
        return f"cannot read {path}: {os.strerror(error.errno or 0)}"
    return ""


def _proxy_problems(read: Document, base: Path) -> Iterator[Problem]:
    section = read.value.get("proxy_service", {})
    for name in OWN_PORTS:
        if _is_bad_address(text := section.get(f"{name}_listen_addr", "localhost:1")):
            at = ("proxy_service", f"{name}_listen_addr")
            yield _problem(read, at, f"expected host:port, got {shown(text)}")
    yield from _told_problems(read, section)
    for index, pair in enumerate(section.get("https_keypairs") or ()):
        for name, look in (("cert_file", _pem_trouble), ("key_file", _unreadable)):
            if trouble := look(base / pair[name]):
                yield _problem(read, ("proxy_service", "https_keypairs", index, name), trouble)
    listen = section.get("listen_addr", DEFAULT_LISTEN)
    if _is_bad_address(listen):
        yield _problem(read, ("proxy_service", "listen_addr"), f"expected host:port, got {shown(listen)}")
    for text in as_list(section.get("public_addr")):
        if _is_bad_address(text, default_port=1) or address.parse(text, default_port=1).is_wildcard:
            sentence = f"expected an address that clients can dial, got {shown(text)}"
            yield _problem(read, ("proxy_service", "public_addr"), sentence)


def _told_problems(read: Document, section: Mapping[str, Any]) -> Iterator[Problem]:
    """A port of its own is reached under a name that stands in the proxy's certificate."""
    certified = {text.rpartition(":")[0] or text for text in as_list(section.get("public_addr"))}
    certified |= set(as_list(section.get("public_addr")))  # those without a port
    for name in TOLD_PORTS:
        at = ("proxy_service", f"{name}_public_addr")
        if (text := section.get(at[1])) is None:
            continue
        if _is_bad_address(text) or address.parse(text).is_wildcard:
            yield _problem(read, at, f"expected host:port that clients can dial, got {shown(text)}")
        elif text.rpartition(":")[0] not in certified:
            sentence = f"expected a host of public_addr, which the certificate names, got {shown(text)}"
            yield _problem(read, at, sentence)


def _database_problems(read: Document, at: Where, item: Mapping[str, Any], base: Path) -> Iterator[Problem]:
    known = known_protocols()
    if item["protocol"] not in known:
        sentence = f"expected one of {', '.join(known)}, got {shown(item['protocol'])}"
        yield _problem(read, (*at, "protocol"), sentence + suggestion(item["protocol"], known))
    uri = item["uri"]
    on_socket = uri.startswith("unix:/")
    seeds = uri.split(",") if item["protocol"] in SEVERAL_SEEDS else [uri]
    if not on_socket and any(_is_bad_address(seed) or address.parse(seed).is_wildcard for seed in seeds):
        yield _problem(read, (*at, "uri"), f"expected host:port or unix:/path, got {shown(uri)}")
    yield from _login_problems(read, at, item, on_socket=on_socket)
    yield from _label_problems(read, at, item)
    ca_file = item.get("tls", {}).get("ca_cert_file")
    if ca_file and (trouble := _pem_trouble(base / ca_file)):
        yield _problem(read, (*at, "tls", "ca_cert_file"), trouble)


def _login_problems(
    read: Document, at: Where, item: Mapping[str, Any], *, on_socket: bool
) -> Iterator[Problem]:
    """Which way of logging in goes with which secret, and with which kind of address."""
    auth = item.get("auth", {})
    method = auth.get("method", "certificate")
    secrets = [name for name in ("secret_file", "secret_env") if name in auth]
    if method in WITH_SECRET and len(secrets) != 1:
        yield _problem(read, (*at, "auth"), "expected one of secret_file and secret_env")
    if method not in WITH_SECRET and secrets:
        yield _problem(read, (*at, "auth", secrets[0]), f"expected no secret with the method {method}")
    if (method == "none") != on_socket and method not in WITH_SECRET:
        sentence = "the method none is for unix sockets, and the method certificate for addresses"
        yield _problem(read, (*at, "auth"), sentence)


def _label_problems(read: Document, at: Where, item: Mapping[str, Any]) -> Iterator[Problem]:
    labels = set(item.get("static_labels") or {})
    for index, label in enumerate(item.get("dynamic_labels") or ()):
        here = (*at, "dynamic_labels", index)
        if label["name"] in labels:
            sentence = f"expected a label of its own, got {shown(label['name'])} again"
            yield _problem(read, (*here, "name"), sentence)
        labels.add(label["name"])
        if seconds(label["period"]) < MIN_PERIOD_SECONDS:
            sentence = f"expected at least {MIN_PERIOD_SECONDS}s, got {shown(label['period'])}"
            yield _problem(read, (*here, "period"), sentence)


def _pem_trouble(path: Path) -> str:
    try:
        text = path.read_text(encoding="ascii")
    except UnicodeDecodeError:
        text = ""
    except OSError as error:
        return f"cannot read {path}: {os.strerror(error.errno or 0)}"
    return "" if "-----BEGIN CERTIFICATE-----" in text else f"expected a PEM certificate in {path}"


def _is_bad_address(text: str, *, default_port: int | None = None) -> bool:
    try:
        address.parse(text, default_port=default_port)
    except ConfigError:
        return True
    return False


def _problem(read: Document, path: Where, sentence: str) -> Problem:
    return Problem(read.line(path), dotted(path), sentence)


def seconds(duration: str) -> float:
    """The seconds in ``1h2m3.5s``, whose form the schema has checked."""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0}
    return sum(float(number) * units[unit] for number, unit in _DURATION_PART.findall(duration))


def as_list(value: str | list[str] | None) -> list[str]:
    """The addresses in a field that takes one of them or several."""
    return [value] if isinstance(value, str) else list(value or ())
