"""The way of a log to the auth service: the HTTP API, with the host certificate of whoever ships."""

import json
from dataclasses import dataclass
from typing import Any

import aiohttp

from gateway.audit.replica import MisplacedError
from gateway.audit.ship import Held, held_from_json
from gateway.errors import AccessError, AuditError

REQUEST_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class HttpCourier:
    """Requests over *session*, which brings the certificate and verifies the receiver, to *base*."""

    session: aiohttp.ClientSession
    base: str

    async def held(self) -> Held:
        """What the receiver has."""
        return held_from_json(await self._call("GET", "/v1/log", None))

    async def greet(self, signer: str, epoch: int, note: bytes) -> Held:
        """Show the newest checkpoint."""
        value = {"signer": signer, "epoch": epoch, "checkpoint": note.decode("utf-8", "replace")}
        return held_from_json(await self._call("POST", "/v1/log", json.dumps(value).encode()))

    async def send(self, body: bytes) -> Held:
        """Hand over a batch."""
        return held_from_json(await self._call("POST", "/v1/log/records", body))

    async def _call(self, method: str, path: str, body: bytes | None) -> Any:
        kind = "application/octet-stream" if path.endswith("records") else "application/json"
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
        try:
            async with self.session.request(
                method, self.base + path, data=body, headers={"Content-Type": kind}, timeout=timeout
            ) as response:
                return _read(response.status, await response.json(content_type=None))
        except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
            what = str(error) or type(error).__name__
            raise AuditError(f"the auth service cannot be reached: {what}") from error


def _read(status: int, value: Any) -> Any:
    """The answer, or the error that it stands for."""
    if status == 200:
        return value
    about = value.get("error") if isinstance(value, dict) else None
    code, message = (about.get("code"), about.get("message")) if isinstance(about, dict) else ("", "")
    sentence = str(message or f"the auth service answered {status}")
    if status == 409:
        raise MisplacedError(sentence)
    if status in {401, 403}:
        raise AccessError(sentence, code=str(code or "access_denied"))
    raise AuditError(sentence)
