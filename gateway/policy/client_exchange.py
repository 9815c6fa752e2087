"""One question to OPA and its answer, within a time; what is no answer is an error with its reason."""

import asyncio  # noqa: TID251
import os
from collections.abc import Callable
from typing import Any

from gateway.errors import PolicyError
from gateway.model.decision import Reason
from gateway.policy import answer
from gateway.policy.answer import Verdict
from gateway.policy.client_endpoint import Endpoint, endpoint
from gateway.policy.client_line import Lines
from gateway.policy.http import Response


class NobodyAnswersError(PolicyError):
    """No answer came, good or bad; asking again one by one would only make it later."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.message)
        self.reason = reason


class Exchange:
    """The way to one OPA at a time. While ``available`` is False nobody but who insists is let through."""

    def __init__(self, socket_path: Endpoint | str | os.PathLike[str], token: str) -> None:
        self.available = True
        self._token = token
        self._lines = Lines(endpoint(socket_path), token)

    @property
    def place(self) -> tuple[str, str]:
        """The socket that is asked, and the token that opens it."""
        return self._lines.endpoint.path, self._token

    def move_to(self, socket_path: Endpoint | str | os.PathLike[str]) -> Lines:
        """Ask another socket from now on; returns the old connections, to be closed once they are idle."""
        old, self._lines = self._lines, Lines(endpoint(socket_path), self._token)
        return old

    def close(self) -> None:
        """Close the connections."""
        self._lines.close()

    async def ask(
        self, path: str, body: bytes, seconds: float, accept: str = "", *, even_if_unavailable: bool = False
    ) -> Response:
        """Put a question.

        Raises:
            NobodyAnswersError: no answer came in time.
            PolicyError: what came is not one.
        """
        if not self.available and not even_if_unavailable:
            raise NobodyAnswersError(answer.UNAVAILABLE)
        try:
            async with asyncio.timeout(seconds):
                return await self._lines.ask(path, body, accept)
        except TimeoutError as error:
            raise NobodyAnswersError(answer.TIMEOUT) from error
        except OSError as error:
            raise NobodyAnswersError(answer.UNAVAILABLE) from error

    async def result(
        self, path: str, body: bytes, seconds: float, *, even_if_unavailable: bool = False
    ) -> Any:
        """The ``result`` of the answer; raises as ``ask`` does."""
        response = await self.ask(path, body, seconds, even_if_unavailable=even_if_unavailable)
        return answer.result(response.status, response.body)

    async def verdict(
        self, path: str, content: bytes, parse: Callable[[Any], Verdict], seconds: float
    ) -> Verdict:
        """What *parse* makes of the answer to the input *content*; a refusal when there is none."""
        try:
            return parse(await self.result(path, b'{"input":%b}' % content, seconds))
        except NobodyAnswersError as error:
            return answer.refused(error.reason)
        except PolicyError:
            return answer.refused(answer.INVALID)
