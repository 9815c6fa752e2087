"""One request and its answer: bodies are read strictly, errors become JSON, and no trace leaves."""

import asyncio  # noqa: TID251
import json
import math
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, TypeAlias

import structlog
from aiohttp import web

from gateway.errors import (
    AccessError,
    AuditError,
    CertificateError,
    ConfigError,
    ConflictError,
    NotFoundError,
    PolicyError,
    RegateError,
    StateError,
)

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

BODY_SECONDS = 30.0
MAX_BODY = 1024 * 1024  # a file of roles; everything else is far smaller
_UNAUTHENTICATED = frozenset({"login_failed", "totp_required", "login_needed"})
_log = structlog.get_logger()


class Body:
    """The JSON object of a request: each field is read once, by type; one that nobody reads is refused."""

    def __init__(self, value: Mapping[str, Any]) -> None:
        self._left = dict(value)

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def text(self, name: str, *, default: str | None = None, most: int = MAX_BODY) -> str:
        """A text field."""
        value = self._left.pop(name, default)
        if not isinstance(value, str) or len(value) > most:
            raise ConfigError(f"{name}: expected text of at most {most} characters")
        return value

    def texts(self, name: str) -> list[str]:
        """A list of texts."""
        value = self._left.pop(name, None)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ConfigError(f"{name}: expected a list of texts")
        return value

    def lists(self, name: str) -> dict[str, list[str]]:
        """A mapping from text to lists of texts; empty when it is missing."""
        value = self._left.pop(name, {})
        if not isinstance(value, dict):
            raise ConfigError(f"{name}: expected a mapping")
        inner = Body(value)
        return {key: inner.texts(key) for key in value}

    def objects(self, name: str, *, most: int) -> list["Body"]:
        """A list of objects."""
        value = self._left.pop(name, None)
        if (
            not isinstance(value, list)
            or len(value) > most
            or not all(isinstance(item, dict) for item in value)
        ):
            raise ConfigError(f"{name}: expected a list of at most {most} objects")
        return [Body(item) for item in value]

    def labels(self, name: str) -> dict[str, str]:
        """A mapping from text to text; empty when it is missing."""
        value = self._left.pop(name, {})
        if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
            raise ConfigError(f"{name}: expected a mapping from text to text")
        return value

    def flag(self, name: str) -> bool:
        """True or false; false when it is missing."""
        value = self._left.pop(name, False)
        if not isinstance(value, bool):
            raise ConfigError(f"{name}: expected true or false")
        return value

    def whole(self, name: str) -> int:
        """A whole number, not negative."""
        value = self._left.pop(name, None)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise ConfigError(f"{name}: expected a whole number")
        return value

    def seconds(self, name: str) -> timedelta | None:
        """A duration in whole seconds; None when it is missing."""
        if self._left.get(name) is None:
            self._left.pop(name, None)
            return None
        value = self.whole(name)
        if not 0 < value < 10 * 365 * 86400:
            raise ConfigError(f"{name}: expected a number of seconds")
        return timedelta(seconds=value)

    def finish(self) -> None:
        """Nothing may be left: a misspelt field is a mistake, not something to overlook."""
        if self._left:
            raise ConfigError(f"unknown field {next(iter(self._left))[:64]!r}")


async def body(request: web.Request) -> Body:
    """The request's body, which must be one JSON object."""
    if request.content_type != "application/json":
        # Also what keeps a browser's form on another site from posting here.
        raise ConfigError("expected the content type application/json")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            content = await request.read()
        value = json.loads(content, parse_constant=_refuse)
    except TimeoutError as error:
        raise ConfigError(f"the body did not come within {BODY_SECONDS:g} s") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError("the body is not JSON") from error
    if not isinstance(value, dict):
        raise ConfigError("expected a JSON object")
    return Body(value)


def answer(value: Mapping[str, Any], status: int = 200) -> web.Response:
    """*value* as JSON that no cache keeps."""
    return web.json_response(dict(value), status=status, headers={"Cache-Control": "no-store"})


def failure(error: RegateError) -> dict[str, Any]:
    """The form of every error."""
    return {"error": {"code": _code(error), "message": str(error), "hint": error.hint}}


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn errors into answers; what was not expected is logged here and told to nobody."""
    try:
        return await handler(request)
    except RegateError as error:
        return _refused(error)
    except web.HTTPException as error:
        sentence = {404: "there is no such address in this API", 413: "the body is too large"}
        message = sentence.get(error.status, error.reason.lower())
        about = {"code": f"http_{error.status}", "message": message, "hint": ""}
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        return web.json_response({"error": about}, status=error.status, headers=headers)
    except Exception:  # noqa: BLE001 # the outermost place of a request
        if request.transport is None or request.transport.is_closing():
            # Whoever asked has left, and anybody may: that is not worth a trace each time.
            _log.info("api_client_left", method=request.method, route=_route(request))
            return web.Response(status=400)
        _log.exception("api_request_failed", method=request.method, route=_route(request))
        about = {"code": "internal", "message": "something went wrong; the log has more", "hint": ""}
        return web.json_response({"error": about}, status=500)


def _refused(error: RegateError) -> web.Response:
    status = _status(error)
    headers = {"Cache-Control": "no-store"}
    seconds = getattr(error, "retry_after_seconds", None)
    if status == 429 and isinstance(seconds, int | float):
        headers["Retry-After"] = str(math.ceil(seconds))
    return web.json_response(failure(error), status=status, headers=headers)


def _status(error: RegateError) -> int:
    match error:
        case AccessError() if error.code == "rate_limited":
            return 429
        case AccessError() if error.code in _UNAUTHENTICATED:
            return 401
        case AccessError():
            return 403
        case ConfigError() | CertificateError():
            return 400
        case NotFoundError():
            return 404
        case ConflictError():
            return 409
        case PolicyError() | AuditError() | StateError():
            return 503
    return 500


def _code(error: RegateError) -> str:
    if isinstance(error, AccessError):
        return error.code
    names: dict[type[RegateError], str] = {
        ConfigError: "invalid",
        CertificateError: "certificate_refused",
        NotFoundError: "not_found",
        ConflictError: "conflict",
        PolicyError: "policy_unavailable",
        AuditError: "audit_unavailable",
        StateError: "state_unavailable",
    }
    return next((name for kind, name in names.items() if isinstance(error, kind)), "failed")


def _route(request: web.Request) -> str:
    """The route's pattern: the address itself may hold names, and the query anything at all."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unknown"


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")
