"""Known ways around a gateway that speaks MongoDB, judged by the conversation that would meet them."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli.main import cli

CORPUS = Path(__file__).parents[2] / "corpus" / "mongodb.yaml"


@pytest.mark.opa
def test_every_entry_gets_what_it_must() -> None:
    done = CliRunner().invoke(cli, ["policy", "corpus", str(CORPUS)])
    assert done.exit_code == 0, done.output
    assert "34" in done.output
