"""The API as a command sees it: one request, one answer or one error, each within ten seconds.

The same calls go to the public port, verified and with the login's certificate, and to the unix socket on
the host of the auth service.
"""

import http.client
import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from gateway.address import Address
from gateway.cli import trust
from gateway.cli.failures import LoginNeededError, TrustError, UnreachableError
from gateway.cli.profile import Certified
from gateway.cli.trust import Trust
from gateway.errors import AccessError, ConfigError, ConflictError, NotFoundError, RegateError

TIMEOUT_SECONDS = 10.0
MAX_ANSWER = 64 * 1024 * 1024


class Endpoint(Protocol):
    """Where requests go."""

    def connection(self, timeout: float) -> http.client.HTTPConnection:
        """A connection that is not open yet."""
        ...

    def __str__(self) -> str: ...


class PublicEndpoint:
    """The proxy's public port, verified by *trusted*; None skips that, for fetching a pinned CA."""

    def __init__(self, proxy: Address, trusted: Trust | None, login: Certified | None = None) -> None:
        self.proxy = proxy
        self.shows_login = login is not None
        self._context = trust.unverified_context() if trusted is None else trust.api_context(trusted)
        if login is not None:
            self._context.load_cert_chain(login.certificate, login.key)
        self._context.set_alpn_protocols(trust.spoken(trusted))

    def connection(self, timeout: float) -> http.client.HTTPConnection:
        """A TLS connection to the proxy."""
        return http.client.HTTPSConnection(
            self.proxy.host, self.proxy.port, timeout=timeout, context=self._context
        )

    def __str__(self) -> str:
        return str(self.proxy)


class SocketEndpoint:
    """The unix socket beside the auth service's data; whoever may open it is the local administrator."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def connection(self, timeout: float) -> http.client.HTTPConnection:
        """A connection through the socket."""
        return _UnixConnection(self.path, timeout)

    def __str__(self) -> str:
        return str(self.path)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Open the socket in place of a TCP connection."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Api:
    """Calls to one endpoint. Each opens a connection of its own, so nothing is left open between them."""

    def __init__(self, endpoint: Endpoint, *others: Endpoint, timeout: float = TIMEOUT_SECONDS) -> None:
        """With *others*, those are dialled in turn when nobody takes a connection before them."""
        self.endpoint = endpoint
        self._others = others
        self._timeout = timeout

    def get(self, path: str, query: Mapping[str, str | int | None] | None = None) -> Any:
        """What GET answers, as JSON."""
        return self._call("GET", _with_query(path, query), None)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """What POST answers, as JSON."""
        return self._call("POST", path, body)

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        """What PUT answers, as JSON."""
        return self._call("PUT", path, body)

    def delete(self, path: str) -> Any:
        """What DELETE answers, as JSON."""
        return self._call("DELETE", path, None)

    def lines(self, path: str, query: Mapping[str, str | int | None] | None = None) -> Iterator[Any]:
        """The answer's lines as they arrive, each one JSON; an error within the stream is raised."""
        connection, response = self._open("GET", _with_query(path, query), None)
        try:
            for line in response:
                value = _json(line)
                if isinstance(value, dict) and set(value) == {"error"}:
                    raise _failure(response.status, value)
                yield value
        except OSError as error:
            raise self._unreachable(error) from error
        finally:
            connection.close()

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        connection, response = self._open(method, path, body)
        try:
            return _json(response.read(MAX_ANSWER))
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error
        finally:
            connection.close()

    def _open(
        self, method: str, path: str, body: Mapping[str, Any] | None
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        connection = self._connected()
        data = None if body is None else json.dumps(body).encode("utf-8")
        headers = {"Accept": "application/json"}
        if data is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, path, body=data, headers=headers)
            response = connection.getresponse()
            refused = response.read(MAX_ANSWER) if response.status >= 300 else None
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._unreachable(error) from error
        if refused is not None:
            connection.close()
            raise _failure(response.status, _json(refused))
        return connection, response

    def _connected(self) -> http.client.HTTPConnection:
        """A connection to the first endpoint that takes one; nothing was asked of those before it."""
        failures: list[OSError] = []
        for endpoint in (self.endpoint, *self._others):
            connection = endpoint.connection(self._timeout)
            try:
                connection.connect()
            except OSError as error:
                connection.close()
                failures.append(error)
                if isinstance(error, ssl.SSLError):
                    break  # somebody is there, and is not whom we trust
            else:
                return connection
        raise self._unreachable(failures[0]) from failures[0]

    def _unreachable(self, error: Exception) -> RegateError:
        where = self.endpoint
        match error:
            case ssl.SSLCertVerificationError():
                return TrustError(
                    f"cannot verify {where}: {error.verify_message}",
                    hint="give --ca-pin=sha256:… (regate start prints it) or --proxy-ca=FILE, "
                    "and dial a name that stands in the proxy's certificate",
                )
            case ssl.SSLError() if "ALERT" in (error.reason or ""):
                return LoginNeededError(
                    f"{where} refused the login's certificate ({_words(error.reason)})",
                    hint=f"run: regate login --proxy={where}",
                )
            case ConnectionResetError() if isinstance(where, PublicEndpoint) and where.shows_login:
                # What TLS 1.3 leaves of a refused certificate when the alert is overtaken by the close.
                return LoginNeededError(
                    f"{where} closed the connection when it saw the login's certificate",
                    hint=f"run: regate login --proxy={where}",
                )
            case ssl.SSLError():
                return TrustError(
                    f"no TLS with {where}: {_words(error.reason)}", hint="is it a Regate proxy?"
                )
            case TimeoutError():
                return UnreachableError(f"no answer from {where} within {self._timeout:g} seconds")
            case socket.gaierror():
                return UnreachableError(f"{where} cannot be resolved: {error.strerror}")
            case PermissionError() if isinstance(where, SocketEndpoint):
                hint = "run the command as the user that regate start runs as, or log in with regate login"
                return UnreachableError(f"{where} is not for this user", hint=hint)
            case OSError():
                hint = "is regate start running there?"
                return UnreachableError(f"cannot reach {where}: {error.strerror or error}", hint=hint)
        return UnreachableError(f"{where} gave no answer that can be read", hint="is it a Regate proxy?")


def segment(text: str) -> str:
    """*text* as one segment of a path."""
    return quote(text, safe="")


def _with_query(path: str, query: Mapping[str, str | int | None] | None) -> str:
    given = {name: value for name, value in (query or {}).items() if value not in {None, ""}}
    return f"{path}?{urlencode(given)}" if given else path


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError as error:
        raise UnreachableError("the answer cannot be read", hint="is it a Regate proxy?") from error


def _failure(status: int, answer: Any) -> RegateError:
    """The error that the other end raised, as the same class, so that exit codes are the same everywhere."""
    about = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(about, dict):
        return UnreachableError(f"the answer has status {status} and cannot be read")
    message, hint = str(about.get("message", "")), str(about.get("hint", ""))
    code = str(about.get("code", ""))
    match status:
        case 400:
            return ConfigError(message, hint=hint)
        case 404:
            return NotFoundError(message, hint=hint)
        case 409:
            return ConflictError(message, hint=hint)
        case 401 if code == "login_needed":
            return LoginNeededError(message, hint=hint or "run: regate login")
        case 401 | 403 | 429:
            return AccessError(message, code=code, hint=hint)
    return RegateError(message, hint=hint)


def _words(reason: str | None) -> str:
    return (reason or "unknown reason").replace("_", " ").lower()
