"""One join token, shown by many at the same moment over connections of their own."""

import json
import ssl
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPSConnection

from tests.ca.material import request_for

MANY = 50


def all_at_once(ports: Sequence[int], authority: str, secret: str) -> Counter[str]:
    """What came of fifty who show *secret* together, over *ports* in turns: ``joined``, or why not.

    Each comes from an address of its own, so that nobody is slowed down for what the others do.
    *authority* is whom they trust, in PEM.
    """
    context = ssl.create_default_context(cadata=authority)
    together, csr = threading.Barrier(MANY), request_for()

    def redeem(number: int) -> str:
        source, port = f"127.0.1.{number + 1}", ports[number % len(ports)]
        given = {"token": secret, "service": "db", "csr": csr, "hostname": f"h{number}"}
        connection = HTTPSConnection(
            "localhost", port, source_address=(source, 0), context=context, timeout=60
        )
        with closing(connection):
            connection.connect()
            together.wait(60)
            connection.request("POST", "/v1/join", json.dumps(given), {"Content-Type": "application/json"})
            said = json.loads(connection.getresponse().read())
        return str(said["error"]["code"]) if "error" in said else "joined"

    with ThreadPoolExecutor(MANY) as pool:
        return Counter(pool.map(redeem, range(MANY)))
