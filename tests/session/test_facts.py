"""A long text is read in another process, and means there what it means here."""

import pytest

from gateway.model.statement import Catalog, NameContext, Phase, Statement
from gateway.protocols.postgres import POSTGRES
from gateway.sansio.protocol import Request
from gateway.session.facts import Classifier

NAMES = NameContext("appdb", "analyst", ("app",), Catalog({}))


@pytest.mark.asyncio
@pytest.mark.parametrize("length", [5_000, 300_000])
async def test_what_an_earlier_statement_changes_a_long_text_s_later_one_meets(length: int) -> None:
    text = "SELECT app.f(); SELECT * FROM orders" + " " * length
    statement = Statement(text, "postgres", NAMES, parameters=(16_400,))
    request = Request(b"", Phase.QUERY, (statement,))
    classifier = Classifier()
    try:
        assert classifier.now(POSTGRES, request) is None
        facts = await classifier.later(POSTGRES, request)
    finally:
        await classifier.close()
    assert [item.complete for item in facts] == [True, False]
    assert facts[0].casts[0].name == "oid 16400"
