"""Join tokens over the API: fifty show one at once, over connections of their own, and one joins."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gateway.cli.client import Api, PublicEndpoint
from gateway.cli.failures import LoginNeededError
from gateway.cli.trust import Trust
from gateway.errors import AccessError, ConfigError
from tests.api.rig import Rig
from tests.ca.material import request_for

CSR = request_for()


def test_of_fifty_that_show_a_token_at_once_one_joins(rig: Rig, local: Api) -> None:
    made = local.post("/v1/tokens", {"types": ["db"], "name": "one-of-fifty"})

    def join(number: int) -> str:
        api = Api(PublicEndpoint(rig.proxy, Trust(rig.host_ca)), timeout=60)
        given = {"token": made["token"], "service": "db", "csr": CSR, "hostname": f"host-{number}"}
        try:
            return str(api.post("/v1/join", given)["id"])
        except AccessError as error:
            return error.code

    with ThreadPoolExecutor(50) as pool:
        answers = sorted(pool.map(join, range(50)))
    (joined,) = [answer for answer in answers if answer.startswith("db-")]
    assert answers.count("token_invalid") == 49
    listed = [item["id"] for item in local.get("/v1/agents")["agents"] if item["token"] == "one-of-fifty"]
    assert listed == [joined]
    assert local.get("/v1/tokens") == {"tokens": []}


def test_a_stranger_neither_makes_nor_sees_one(stranger: Api) -> None:
    with pytest.raises(LoginNeededError):
        stranger.post("/v1/tokens", {"types": ["db"]})
    with pytest.raises(LoginNeededError):
        stranger.get("/v1/tokens")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"types": "db"},
        {"types": ["db"], "uses": 0},
        {"types": ["db"], "uses": -1},
        {"types": ["db"], "uses": 2, "multi_use": True},
        {"types": ["db"], "ttl_seconds": 1801},
        {"types": ["db"], "secret": "mine"},
        {"types": ["db"], "labels": {"env": "dev"}},
        {"types": ["db"], "databases": [1]},
    ],
)
def test_a_request_that_makes_no_sense_makes_no_token(local: Api, given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        local.post("/v1/tokens", given)
    assert local.get("/v1/tokens") == {"tokens": []}
