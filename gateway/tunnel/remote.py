"""The auth service as a service elsewhere reaches it: its API, with the host certificate of the service."""

import asyncio  # noqa: TID251
import json
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any, Self

import aiohttp

from gateway.address import Address
from gateway.errors import AccessError, BackendError, ConfigError, ConflictError, NotFoundError, RegateError
from gateway.model.hold import Answer, Held
from gateway.model.resource import Database
from gateway.tunnel.credentials import Credentials, new_key, pem_of, request_for

CALL_SECONDS = 10.0
CONNECT_SECONDS = 3.0  # where somebody else may be asked
SILENCE_SECONDS = 20.0
SHIP_SECONDS = 60.0  # a batch of the log is checked and on stable storage
MAX_LINE = 64 * 1024 * 1024  # a cluster with a hundred thousand users


@dataclass(frozen=True, slots=True)
class Refused:
    """A database that the auth service does not let this service serve."""

    name: str
    code: str
    message: str
    hint: str


class Remote:
    """Calls to the auth service, as ``async with``; each raises BackendError when nobody answers.

    Whoever of *others* leads to the same auth service, or to another node of it, is asked where *server*
    takes no connection; the log and its evidence alone go to *server*, which has what was shipped before.
    """

    def __init__(self, server: Address, credentials: Credentials) -> None:
        self.server = server
        self.others: tuple[Address, ...] = ()
        self.credentials = credentials
        self._turn = server
        self._context = credentials.api_context()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        limit = aiohttp.ClientTimeout(total=CALL_SECONDS)
        self._session = aiohttp.ClientSession(timeout=limit, read_bufsize=2**20)
        return self

    async def __aexit__(self, *_exception: object) -> None:
        assert self._session is not None
        await self._session.close()

    def use(self, credentials: Credentials) -> None:
        """Show these from now on."""
        self.credentials = credentials
        self._context = credentials.api_context()

    async def renew(self) -> Credentials:
        """The next host certificate, with a new key."""
        key = new_key()
        said = await self._post("/v1/agents/renew", {"csr": request_for(key)})
        return Credentials(key=pem_of(key), **said)

    async def register(self, offered: Sequence[tuple[Database, str]]) -> list[Refused]:
        """Say what is served here and what is wrong with it; returns what may not be served."""
        databases = [
            {
                "name": database.name,
                "protocol": database.protocol,
                "uri": database.uri,
                "description": database.description,
                "labels": dict(database.labels),
                "problem": problem[:1024],
            }
            for database, problem in offered
        ]
        servers = (self.server, *self.others)  # whoever was left aside is tried again
        async with self._asking(
            "POST", "/v1/agents/register", {"databases": databases}, CALL_SECONDS, servers
        ) as response:
            return [Refused(**item) for item in (await response.json())["refused"]]

    async def open_session(
        self, certificate: bytes, csr: str, client_address: str, connected: Sequence[str]
    ) -> tuple[str, str]:
        """Who takes a session, and the certificate to show there."""
        said = await self._post(
            "/v1/agents/open",
            {
                "certificate": b64encode(certificate).decode("ascii"),
                "csr": csr,
                "client_address": client_address,
                "connected": list(connected),
            },
        )
        return said["agent"], said["certificate"]

    async def mint(self, session: bytes, csr: str) -> str:
        """What the database sees of a session."""
        shown = b64encode(session).decode("ascii")
        return str((await self._post("/v1/agents/mint", {"session": shown, "csr": csr}))["certificate"])

    async def mint_health(self, database: str, csr: str) -> str:
        """What the database sees of a look at its health."""
        return str((await self._post("/v1/agents/mint", {"health_of": database, "csr": csr}))["certificate"])

    async def hold(self, held: Held) -> tuple[Answer, str]:
        """Show a statement that waits; the answer, and who gave it. Cancelled, it is shown no more."""
        async with self._asking("POST", "/v1/agents/holds", asdict(held), None) as response:
            while True:
                for line in await self._lines(response):
                    told = json.loads(line)
                    if "answer" in told:
                        return Answer(told["answer"]), str(told["who"])

    async def bundle(self) -> Mapping[str, Any]:
        """The signed policies and the key to verify them with."""
        async with self._asking("GET", "/v1/agents/bundle", None, CALL_SECONDS * 3) as response:
            return dict(await response.json())

    async def follow(self) -> AsyncIterator[Mapping[str, Any]]:
        """What the auth service tells, at once and after each change, for as long as it does.

        Raises:
            AccessError: this service may not follow any more: it was locked or removed.
            BackendError: the connection ended, or was silent for too long.
        """
        async with self._asking("GET", "/v1/agents/follow", None, None) as response:
            while True:
                told = [json.loads(line) for line in await self._lines(response)]
                if failed := next((value for value in told if "error" in value), None):
                    raise _refusal(403, failed["error"])
                # Each that is not empty holds everything, so that the last one counts.
                if newest := next((value for value in reversed(told) if value), None):
                    yield newest

    async def _lines(self, response: aiohttp.ClientResponse) -> list[bytes]:
        """Whole lines, however long: the stream's own limit is too small for a cluster's users."""
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                while not parts or not parts[-1].endswith(b"\n"):
                    part = await response.content.readany()
                    if not part:
                        raise BackendError(f"{self.server} ended the connection")
                    parts.append(part)
                    size += len(part)
                    if size > MAX_LINE:
                        raise BackendError(f"{self.server} told more than {MAX_LINE} bytes at once")
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise BackendError(f"{self.server} does not answer: {str(error) or 'silence'}") from error
        return b"".join(parts).splitlines()

    async def held(self) -> Any:
        """What the auth service holds of this service's log."""
        async with self._asking("GET", "/v1/log", None, CALL_SECONDS, [self.server]) as response:
            return await response.json()

    async def show(self, signer: str, epoch: int, checkpoint: str) -> Any:
        """Show the newest checkpoint of the log; what is held of it."""
        shown = {"signer": signer, "epoch": epoch, "checkpoint": checkpoint}
        async with self._asking("POST", "/v1/log", shown, CALL_SECONDS, [self.server]) as response:
            return await response.json()

    async def ship(self, batch: bytes) -> Any:
        """Hand over a batch of the log; what is held of it then."""
        async with self._asking("POST", "/v1/log/records", batch, SHIP_SECONDS, [self.server]) as response:
            return await response.json()

    async def evidence_wanted(self) -> Any:
        """What the auth service wants of what decisions here were made from."""
        async with self._asking("GET", "/v1/log/evidence", None, SHIP_SECONDS, [self.server]) as response:
            return await response.json()

    async def bring_evidence(self, parcel: bytes) -> Any:
        """Hand over some of it; what is wanted then."""
        async with self._asking("POST", "/v1/log/evidence", parcel, SHIP_SECONDS, [self.server]) as response:
            return await response.json()

    async def _post(self, path: str, document: Mapping[str, Any]) -> dict[str, Any]:
        async with self._asking("POST", path, document, CALL_SECONDS) as response:
            return dict(await response.json())

    @asynccontextmanager
    async def _asking(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | bytes | None,
        seconds: float | None,
        servers: Sequence[Address] = (),
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request to the first of *servers* that takes a connection; *body* goes as JSON, or as it is."""
        sent: dict[str, Any] = {"data": body} if isinstance(body, bytes) else {"json": body}
        servers = servers or tuple(dict.fromkeys((self._turn, self.server, *self.others)))
        connect = CALL_SECONDS if len(servers) == 1 else CONNECT_SECONDS
        limit = aiohttp.ClientTimeout(total=seconds, sock_connect=connect)
        try:
            async with await self._request(servers, method, path, timeout=limit, **sent) as response:
                if response.status >= 400:
                    raise await refused(response)
                yield response
        except (TimeoutError, aiohttp.ClientError, OSError, ssl.SSLError) as error:
            raise BackendError(f"cannot reach {servers[0]}: {str(error) or 'no answer in time'}") from error

    async def _request(
        self, servers: Sequence[Address], method: str, path: str, **more: Any
    ) -> aiohttp.ClientResponse:
        """Ask the first that takes a connection; those before it were asked nothing."""
        assert self._session is not None
        failure: Exception | None = None
        for server in servers:
            try:
                url = f"https://{server}{path}"
                response = await self._session.request(method, url, ssl=self._context, **more)
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
                failure = failure or error
            else:
                if len(servers) > 1:
                    self._turn = server
                return response
        assert failure is not None
        raise failure


async def refused(response: aiohttp.ClientResponse) -> RegateError:
    """The error that the API answered with, as the class it was."""
    try:
        return _refusal(response.status, (await response.json())["error"])
    except (ValueError, KeyError, TypeError, aiohttp.ClientError):
        return BackendError(f"the auth service answered {response.status}")


def _refusal(status: int, error: Mapping[str, str]) -> RegateError:
    message, hint = str(error["message"]), str(error.get("hint", ""))
    match status:
        case 400:
            return ConfigError(message, hint=hint)
        case 401 | 403 | 429:
            return AccessError(message, code=str(error["code"]), hint=hint)
        case 404:
            return NotFoundError(message, hint=hint)
        case 409:
            return ConflictError(message, hint=hint)
        case _:
            return BackendError(message, hint=hint)
