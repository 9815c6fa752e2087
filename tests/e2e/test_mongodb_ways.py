"""MongoDB through the gateway: its page as it is typed, known ways around it, commands that wait."""

import json
import os
import re
import shlex
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from pymongo import MongoClient

from gateway.protocols.mongodb import rehearsal
from tests.e2e.access import Access
from tests.e2e.cluster import User, eventually, role
from tests.e2e.mongo_rig import REPLICA, SHOP, Shop
from tests.e2e.node import clients as node
from tests.protocols.mongodb import wire
from tests.servers import ferretdb, process, secantus
from tests.servers.secantus import Secantus

pytestmark = pytest.mark.db
ROOT = Path(__file__).parents[2]
CANARY = "canary-7f3a"


class Line:
    """One connection that sends what it is told, and reads whole messages."""

    def __init__(self, access: Access) -> None:
        self._sock = socket.create_connection((access.host, access.port), timeout=60)
        self._last = 100
        assert self.ask({"hello": 1, "$db": "admin"})["ok"] == 1

    def send(self, body: dict[str, Any]) -> None:
        self._last += 1
        self._sock.sendall(wire.message(self._last, body))

    def ask(self, body: dict[str, Any]) -> dict[str, Any]:
        self.send(body)
        found = self.read()
        assert found is not None
        assert int.from_bytes(found[8:12], "little") == self._last
        return wire.body_of(found)

    def raw(self, data: bytes) -> dict[str, Any] | None:
        """What comes back for *data*, or for a hello behind it; None where the connection ends instead."""
        self._sock.sendall(data)
        with suppress(OSError):  # it may be closed already
            self.send({"hello": 1, "$db": "admin"})
        answer = self.read()
        return wire.body_of(answer) if answer else None

    def one(self, data: bytes) -> dict[str, Any] | None:
        """The answer to one message."""
        self._sock.sendall(data)
        answer = self.read()
        return wire.body_of(answer) if answer else None

    def read(self) -> bytes | None:
        """The next message."""
        head = self._exactly(16)
        return head and head + (self._exactly(int.from_bytes(head[:4], "little") - 16) or b"")

    def _exactly(self, size: int) -> bytes | None:
        held = b""
        while len(held) < size:
            try:
                chunk = self._sock.recv(size - len(held))
            except ConnectionError:
                return None
            if not chunk:
                return None
            held += chunk
        return held

    def close(self) -> None:
        self._sock.close()


@contextmanager
def line(access: Access) -> Iterator[Line]:
    made = Line(access)
    try:
        yield made
    finally:
        made.close()


def test_the_page_works_as_it_is_typed(documents: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, port = documents.cluster, process.free_port()
    monkeypatch.setenv("PATH", f"{node.mongosh().parent}:{os.environ['PATH']}")
    page = (ROOT / "docs" / "protocols" / "mongodb.md").read_text().partition("## What is judged")[0]
    sign, *typed = re.findall(r"^\$ (regate .*)$", page, re.MULTILINE)
    (conf, resource), (js,) = (
        re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL) for kind in ("yaml", "js")
    )
    folder = cluster.folder / "admin"
    cluster.admin(*shlex.split(sign.replace("mongo.example.com", "localhost"))[1:])
    tls = yaml.safe_load(conf)["net"]["tls"]
    both, cas = (folder / Path(tls[name]).name for name in ("certificateKeyFile", "CAFile"))
    with secantus.running(ferretdb.Files(both, both, cas)) as server:
        made = re.search(r'getSiblingDB\("(.*?)"\)\.runCommand\((.*)\)', js)
        assert made is not None
        with server.direct() as direct:
            direct[made[1]].command(json.loads(made[2]) | secantus.BY_CERTIFICATE)
            direct.app.orders.insert_many([{"_id": 1}, {"_id": 2}])
        here = resource.replace("mongo.example.com:27017", server.uri).replace("name: shop", "name: store")
        (folder / "shop.yaml").write_text(here)
        changed = [re.sub(r"(dbs=| )shop\b(?!\.)", r"\1store", each) for each in typed]
        cluster.admin(*shlex.split(changed[0])[1:])
        ann = cluster.users["ann"]
        ann.regate(*shlex.split(changed[1])[1:])
        said = ann.regate(*shlex.split(changed[2])[1:], stdin="db.orders.countDocuments()\n").stdout
        assert re.search(r"^.*\b2$", said, re.MULTILINE), said
        assert "2" in ann.regate(*shlex.split(changed[3])[1:]).stdout
        (uri,) = re.findall(r"`(mongodb://\S+)`", page)
        with typed_tunnel(ann, changed[4].replace("27017", str(port)), port):
            mongo: MongoClient[dict[str, Any]] = MongoClient(uri.replace("27017", str(port)))
            with mongo:
                assert mongo.get_default_database().orders.count_documents({}) == 2
        cluster.admin("rm", "db/store")


@contextmanager
def typed_tunnel(user: User, command: str, port: int) -> Iterator[None]:
    """A command that stays."""
    words: list[str | Path] = [user.cluster.executable, *shlex.split(command)[1:]]
    log = user.home / "typed.log"
    server = process.start(
        "tunnel", words, log=log, directory=user.home, environment=user.cluster.environment(user.home),
        as_unprivileged=False,
    )  # fmt: skip
    try:
        server.wait_until(lambda: process.listens(port), seconds=30)
        yield
    finally:
        server.stop()


# -- known ways around


READS = {"object_kind": "collection", "schema": "app", "name": ["orders", "customers"]}
ANALYST = role(
    "shop-analyst",
    allow={
        "db_labels": {"env": "dev"},
        "db_users": ["analyst"],
        "db_names": ["*"],
        "db_permissions": [{"match": READS, "permissions": ["SELECT"]}],
    },
)


@pytest.fixture(scope="module")
def analyst(documents: Shop) -> User:
    documents.cluster.create(ANALYST)
    return documents.cluster.add_user("analyst", "shop-analyst")


def state(direct: MongoClient[dict[str, Any]]) -> dict[str, Any]:
    """All documents of all databases that matter here."""
    return {
        f"{base}.{name}": list(direct[base][name].find().sort("_id", 1))
        for base in ("app", "secret")
        for name in sorted(direct[base].list_collection_names())
    }


def furnish(direct: MongoClient[dict[str, Any]]) -> None:
    for base in ("app", "secret"):
        direct.drop_database(base)
    direct.app.orders.insert_many([{"_id": 1, "a": 1}, {"_id": 2, "a": "$out"}])
    direct.app.salaries.insert_one({"_id": 1, "who": CANARY, "b": 1})
    direct.secret.pay.insert_one({"_id": 1, "who": CANARY})


@pytest.mark.parametrize(("database", "db_name"), [(SHOP, "app"), (REPLICA, "")])
def test_what_must_not_pass_has_no_effect_and_what_may_pass_runs(
    documents: Shop, replica: Secantus, analyst: User, database: str, db_name: str
) -> None:
    """Every entry of the corpus, by a database user who may do everything there."""
    entries = yaml.safe_load((ROOT / "tests" / "corpus" / "mongodb.yaml").read_text())
    with documents.direct() if database == SHOP else replica.direct() as direct:
        furnish(direct)
        before, wrong = state(direct), []
        with analyst.tunnel("analyst", db_name, database) as access:
            for entry in entries:
                with line(access) as talk:
                    told = how_it_went(talk, entry)
                if told:
                    wrong.append((entry["id"], told))
        assert wrong == []
        assert len(entries) == 34
        assert state(direct) == before


def how_it_went(talk: Line, entry: dict[str, Any]) -> str:
    """What is wrong about it; empty when nothing is."""
    text = entry["payload"]
    data = bytes.fromhex(text) if entry["encoding"] == "hex" else rehearsal.message(text)
    if entry["kind"] == "wire":  # a server closes the connection too, and says nothing where nobody listens
        answer = talk.raw(data)
        is_over = answer is None or "maxWireVersion" in answer or answer["code"] == 13
        return "" if is_over else f"answered {answer}"
    said = talk.one(data)
    if said is None:
        return "the connection ended"
    after = talk.ask({"find": "orders", "filter": {"_id": 1}, "$db": "app"})
    if after["cursor"]["firstBatch"] != [{"_id": 1, "a": 1}]:
        return f"afterwards {after}"
    if entry["must"] == "parse":
        return "" if said["ok"] == 1 and CANARY not in str(said) else f"{said}"
    is_native = (said["ok"], said["code"], said["codeName"]) == (0, 13, "Unauthorized")
    has_reason = any(word in said["errmsg"] for word in ("(decision ", "is not offered here: "))
    return "" if is_native and has_reason else f"{said}"


def test_a_corpus_is_sent_through_sessions_of_ones_own(
    documents: Shop, analyst: User, tmp_path: Path
) -> None:
    with documents.direct() as direct:
        furnish(direct)
        before = state(direct)
        way = (f"--live={SHOP}", "--db-user=analyst", "--db-name=app", "--format=json")
        own = {"id": "OWN", "protocol": "mongodb", "kind": "command", "must": "deny"}
        found = {"find": "orders", "$db": "app"}
        entries = yaml.safe_load((ROOT / "tests" / "corpus" / "mongodb.yaml").read_text())
        more = [
            {**own, "payload": json.dumps(found)},
            {**own, "id": "R", "protocol": "redis", "payload": "PING"},
        ]
        file = tmp_path / "corpus.yaml"
        file.write_text(
            yaml.safe_dump([*entries[::5], *more, next(e for e in entries if e["id"] == "MG-050")])
        )
        done = analyst.regate("policy", "corpus", str(file), *way, check=False)
        assert done.code == 1, done.said
        said = json.loads(done.stdout)
        assert said["summary"]["mongodb"] == {"judged": 8, "as_they_must": 7, "otherwise": 1, "not_judged": 1}
        assert [item["id"] for item in said["otherwise"]] == ["OWN"]
        why = {item["id"]: item["why"] for item in said["not_judged"]}
        assert why["R"] == "the database speaks mongodb"
        assert "no answer" in why["MG-050"]
        ends = {item["id"]: (item["must"], item["came_out"]) for item in said["as_they_must"]}
        assert set(ends.values()) <= {("deny", "denied"), ("fail_closed", "closed"), ("deny", "closed"),
                                      ("fail_closed", "denied"), ("parse", "allowed")}  # fmt: skip
        assert state(direct) == before


# -- commands that wait for a second person


@pytest.fixture(scope="module")
def hugo(documents: Shop) -> User:
    allow = {"db_labels": {"env": "dev"}, "db_users": ["reader"], "db_names": ["app"]}
    hold = {"seconds": 60, "reason": "two see more", "operations": ["DELETE"]}
    brief = {"seconds": 2, "reason": "in time", "operations": ["UPDATE"]}
    documents.cluster.create(role("shop-held", "regate/v1", allow=allow, options={"hold": hold}))
    documents.cluster.create(role("shop-brief", "regate/v1", allow=allow, options={"hold": brief}))
    documents.cluster.add_user("ida", "shop-brief")
    return documents.cluster.add_user("hugo", "shop-held")


def waiting(documents: Shop) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(documents.cluster.admin("holds", "ls", "--format=json").stdout)
    return found


def held(documents: Shop) -> str:
    for _ in eventually("it waits", seconds=30):
        if found := waiting(documents):
            break
    return str(found[0]["id"])


def delete(number: int) -> dict[str, Any]:
    return {"delete": "orders", "deletes": [{"q": {"_id": number}, "limit": 1}], "$db": "app"}


def is_there(documents: Shop, number: int) -> bool:
    with documents.direct() as direct:
        return direct.app.orders.find_one({"_id": number}) is not None


def test_a_command_that_is_held_waits_for_a_second_person(documents: Shop, hugo: User) -> None:
    documents.fill()
    with hugo.tunnel("reader", "app", SHOP) as access, line(access) as talk:
        for number, answer in enumerate(("approve", "deny")):
            talk.send(delete(number))
            name = held(documents)
            assert is_there(documents, number)
            documents.cluster.admin("holds", answer, name)
            found = talk.read()
            assert found is not None
            said = wire.body_of(found)
            if answer == "approve":
                assert (said["ok"], said["n"]) == (1, 1)
            else:
                assert (said["ok"], said["code"]) == (0, 13)
                assert "did not agree" in said["errmsg"]
            assert is_there(documents, number) is (answer == "deny")
            find = talk.ask({"find": "orders", "filter": {"_id": 9}, "$db": "app"})
            assert find["cursor"]["firstBatch"][0]["_id"] == 9


def test_who_is_held_too_long_is_refused_and_who_leaves_changes_nothing(documents: Shop, hugo: User) -> None:
    documents.fill()
    with documents.cluster.users["ida"].tunnel("reader", "app", SHOP) as access, line(access) as talk:
        update = {"update": "orders", "updates": [{"q": {"_id": 1}, "u": {"$set": {"v": 0}}}], "$db": "app"}
        said = talk.ask(update)
        assert (said["ok"], said["code"]) == (0, 13)
        assert talk.ask({"ping": 1, "$db": "app"})["ok"] == 1
    with hugo.tunnel("reader", "app", SHOP) as access:
        with line(access) as talk:
            talk.send(delete(3))
            name = held(documents)
        for _ in eventually("nobody waits any more", seconds=30):
            if not waiting(documents):
                break
        documents.cluster.admin("holds", "approve", name, check=False)
    assert is_there(documents, 3)
    with documents.direct() as direct:
        assert direct.app.orders.find_one({"_id": 1}) == {"_id": 1, "g": 1, "v": "x1"}
