"""Who may read what the auth service does not guard itself."""

from typing import Any, cast

import pytest
from aiohttp.test_utils import make_mocked_request

from gateway.api.caller import Callers, local
from gateway.errors import AccessError
from gateway.model.decision import Decision
from gateway.model.identity import Subject
from tests.api.rig import ALLOWED, denied


class Answers:
    """A policy with one answer."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    async def admin(self, subject: Subject, verb: str, kind: str, name: str) -> Decision:
        return cast("Decision", self._answer)


async def authorise(answer: Any) -> None:
    request = make_mocked_request("GET", "/v1/audit")
    await Callers(local, Answers(answer)).authorise(request, "list", "event")


async def test_only_an_allowed_is_a_yes() -> None:
    await authorise(ALLOWED)
    with pytest.raises(AccessError, match="not you"):
        await authorise(denied("access_denied", "not you"))
    for nonsense in (None, True, {"allow": True}):
        with pytest.raises(AssertionError):
            await authorise(nonsense)
