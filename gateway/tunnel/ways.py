"""The other addresses of the cluster that a service was told of, kept for its next start.

They are hints and nothing secret: whoever answers there has to show a certificate of the cluster's.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from gateway import address
from gateway.address import Address
from gateway.errors import ConfigError
from gateway.files import replace_private

FILE = "ways.json"
DEFAULT_PORT = 443


def parsed(texts: Sequence[object]) -> list[Address]:
    """The addresses among *texts*, each once; what is none is left out."""
    found = []
    for text in texts:
        with suppress(ConfigError):
            found.append(address.parse(str(text), default_port=DEFAULT_PORT))
    return list(dict.fromkeys(found))


def load(folder: Path) -> tuple[Address, ...]:
    """Those in *folder*; none where nothing can be read, as there is still the address in the file."""
    try:
        kept = json.loads((folder / FILE).read_bytes())
    except (OSError, ValueError):
        return ()
    return tuple(parsed(kept)) if isinstance(kept, list) else ()


def save(folder: Path, others: Sequence[Address]) -> None:
    """Keep them in *folder*, whole or not at all; raises OSError."""
    replace_private(folder / FILE, json.dumps([str(item) for item in others]).encode())
