"""The known ways around a gateway on the wire: none is understood as something harmless."""

from pathlib import Path

import pytest
import yaml

from gateway.errors import ProtocolError
from gateway.model.decision import Denied, Reason
from gateway.sansio.exchange import Housekeeping, Request, Settle
from tests.protocols.postgres.facts import facts
from tests.protocols.postgres.test_cuts import conversation
from tests.protocols.postgres.test_handshake import accept

CORPUS = yaml.safe_load((Path(__file__).parent / "corpus.yaml").read_text())
WIRE = [entry for entry in CORPUS if entry["kind"] == "wire"]
STARTUP = [entry for entry in CORPUS if entry["kind"] == "startup"]
DENIAL = Denied("01CORPUS", (Reason("no"),))
HARMLESS = ("select 1", "select 2")


def harmful(text: str) -> bool:
    return text.lower().strip() not in HARMLESS


@pytest.mark.parametrize("entry", WIRE, ids=[entry["id"] for entry in WIRE])
def test_no_byte_of_what_is_not_harmless_goes_on(entry: dict[str, str]) -> None:
    talk = conversation()
    data = bytes.fromhex(entry["payload"])
    out = b""
    judged: list[str] = []
    try:
        for item in talk.from_client(data):
            match item:
                case Housekeeping(raw):
                    out += raw
                case Request():
                    (statement,) = item.statements
                    judged.append(statement.text or statement.unreadable)
                    known = facts(statement)
                    talk.must_settle(item, known)
                    if statement.unreadable or harmful(statement.text):
                        out += talk.refuse(item, known, DENIAL).to_backend
                    else:
                        out += talk.admit(item, known)
                case Settle():
                    break  # nothing more is judged before the server has answered
    except ProtocolError:
        judged.append("protocol error")
    for secret in (b"DELETE", b"DROP", b"BASE_BACKUP", b"IDENTIFY_SYSTEM", b"REPLICATION", b"query_to_xml"):
        assert secret not in out
    if entry["must"] != "parse":
        held = len(data) - len(out)
        assert any(harmful(text) for text in judged) or held, "nothing was noticed"


def conflicting(data: bytes) -> bool:
    startup, _ = accept(data, encrypted=True)
    return startup.db_user != "analyst" or startup.db_name not in {"", "appdb"} or bool(startup.settings)


@pytest.mark.parametrize("entry", STARTUP, ids=[entry["id"] for entry in STARTUP])
def test_no_start_gets_more_than_it_says(entry: dict[str, str]) -> None:
    data = bytes.fromhex(entry["payload"])
    if entry["must"] == "parse":
        assert not conflicting(data)
        return
    if entry["id"] == "PG-333":
        assert accept(data)[0].kind == "cancel"  # opens nothing; whose key it is, the engine knows
        return
    with pytest.raises(ProtocolError):
        accept(data, at_once=True)
    if entry["id"] in {"PG-303", "PG-304", "PG-305", "PG-312", "PG-314"}:
        assert conflicting(data)
