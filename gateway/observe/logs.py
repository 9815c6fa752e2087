r"""Structured logs: JSON for machines, colours on a terminal, never a secret, never a control byte.

What goes into a log line may come from an attacker: a user name, an application's name, a database's
error. So all text passes two filters: values under names that smell of secrets are replaced, and so are
credentials inside of text; then every control, bidirectional or otherwise invisible character becomes an
escape (``\x1b``).
"""

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

REDACTED = "[redacted]"
_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)?$|secret|token|credential|private|authorization|cookie|otp|api_?key|signing_key|^key$|dsn",
    re.IGNORECASE,
)
_PEM = r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)"
_ASSIGNED = r"""\b(password|passwd|pwd|secret|token)\b(\s*[=:]\s*|\s+)('[^']*'|"[^"]*"|[^\s,;&]+)"""
_SECRET_TEXT = (
    (re.compile(_PEM, re.DOTALL), REDACTED),
    (re.compile(r"\b([a-z][a-z0-9+.-]*://[^\s:/@]*):[^\s/]*@", re.IGNORECASE), rf"\1:{REDACTED}@"),
    (re.compile(r"\b(bearer|basic)\s+[a-z0-9._~+/=-]{6,}", re.IGNORECASE), rf"\1 {REDACTED}"),
    (re.compile(_ASSIGNED, re.IGNORECASE), rf"\1\2{REDACTED}"),
)
_DEPTH = 8  # of nested values; deeper ones are shown as their type


def configure(*, level: str = "info", stream: TextIO | None = None, json: bool | None = None) -> None:
    """Set up structlog, and the standard library's logging with it, once per process.

    *json* chooses the form; by default it is JSON unless *stream* (standard error) is a terminal.
    """
    out = stream if stream is not None else sys.stderr
    as_json = json if json is not None else not out.isatty()
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        clean,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer(sort_keys=True)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=out.isatty())
    )
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING))  # libraries speak up only when something is wrong


_INTERNAL = frozenset(
    {"_record", "_from_structlog"}
)  # the library's own, which its formatter takes out again


def clean(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The processor: secrets replaced, invisible characters escaped, in names and values alike."""
    return {
        visible(str(name)): value if name in _INTERNAL else _value(name, value, _DEPTH)
        for name, value in event.items()
    }


def redact(text: str) -> str:
    """*text* with everything that looks like a credential replaced."""
    for pattern, replacement in _SECRET_TEXT:
        text = pattern.sub(replacement, text)
    return text


def visible(text: str) -> str:
    """*text* with every character that a terminal would act upon, or not show, as an escape."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _value(name: str, value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if _SECRET_NAME.search(name):
        return REDACTED
    if isinstance(value, str):
        return visible(redact(value))
    if depth == 0:
        return f"[{type(value).__name__}]"
    if isinstance(value, Mapping):
        return {visible(str(key)): _value(str(key), item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_value(name, item, depth - 1) for item in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"
    return visible(redact(str(value)))
