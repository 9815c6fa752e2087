"""Joining over the API, and what the addresses for services refuse."""

import pytest
import yaml

from gateway.cli.client import Api
from gateway.errors import AccessError, ConfigError
from tests.api.redeeming import MANY, all_at_once
from tests.api.rig import Rig
from tests.ca.material import request_for


def token(local: Api, name: str, roles: tuple[str, ...] = ("Db",)) -> str:
    """A new join token's secret."""
    document = {"kind": "token", "version": "v2", "metadata": {"name": name}, "spec": {"roles": list(roles)}}
    given = {"text": yaml.safe_dump(document), "filename": "t.yaml"}
    return str(local.post("/v1/resources", given)["resources"][0]["secret"])


def join(api: Api, secret: str, service: str = "db") -> dict[str, str]:
    given = {"token": secret, "service": service, "csr": request_for(), "hostname": "h1"}
    return dict(api.post("/v1/join", given))


def test_a_token_joins_once(rig: Rig, local: Api, stranger: Api) -> None:
    secret = token(local, "once")
    joined = join(stranger, secret)
    assert joined["host_ca"] == rig.host_ca
    assert joined["id"].startswith("db-")
    listed = local.get("/v1/agents")["agents"]
    assert [(item["id"], item["hostname"], item["token"]) for item in listed] == [
        (joined["id"], "h1", "once")
    ]
    with pytest.raises(AccessError, match="was used already") as caught:
        join(stranger, secret)
    assert caught.value.code == "token_invalid"
    assert "regate tokens add --type=db" in caught.value.hint


def test_of_fifty_who_show_a_token_at_once_one_joins(rig: Rig, local: Api) -> None:
    before = len(local.get("/v1/agents")["agents"])
    came = all_at_once([rig.port], rig.host_ca, token(local, "wanted"))
    assert came == {"joined": 1, "token_invalid": MANY - 1}
    assert len(local.get("/v1/agents")["agents"]) == before + 1


def test_only_services_that_there_are_join(local: Api, stranger: Api) -> None:
    with pytest.raises(ConfigError, match="expected one of db, proxy, got 'auth'"):
        join(stranger, token(local, "for-auth"), "auth")
