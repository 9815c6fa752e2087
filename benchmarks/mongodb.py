"""pymongo finding documents by their _id in 16 threads: direct and through Regate, in one run.

TLS on every leg and SCRAM at the server (FerretDB with SQLite: it looks texts up by index, numbers not),
OPA asked for every command, the audit durable before anything is forwarded. The gateway runs in one process,
its default. As with pgbench, connections are open before the clock starts. The last line is one JSON object.
"""

import argparse
import json
import sys
import threading
import time

from pymongo import MongoClient

from tests.e2e import mongo_rig
from tests.e2e.mongo_rig import Client, Shop, client
from tests.servers import ferretdb, process

THREADS = 16
DOCUMENTS = 350
_BEFORE = 5  # so that each thread finds a connection open


def measure(mongo: Client, requests: int) -> float:
    """Documents found per second."""
    with mongo:
        orders = mongo.app.orders
        clock: list[float] = []
        ready = threading.Barrier(THREADS, lambda: clock.append(time.perf_counter()))

        def load(at: int) -> None:
            for _ in range(_BEFORE):
                orders.find_one({"_id": "0"})
            ready.wait(60)
            for number in range(requests // THREADS):
                assert orders.find_one({"_id": str((at * 31 + number) % DOCUMENTS)}) is not None

        threads = [threading.Thread(target=load, args=(each,)) for each in range(THREADS)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        return requests / (time.perf_counter() - clock[0])


def straight(shop: Shop) -> Client:
    """The way to the server itself, as the gateway goes."""
    ca = shop.cluster.folder / "mongo-db.crt"
    ca.write_text(shop.cluster.admin("auth", "export", "--type=db").stdout)
    who = f"{ferretdb.USER}:{ferretdb.PASSWORD}"
    where = f"mongodb://{who}@{shop.locked.uri}/?authSource=admin&authMechanism=SCRAM-SHA-256"
    return MongoClient(where, tls=True, tlsCAFile=str(ca), maxPoolSize=THREADS)


def main() -> int:
    """Run; the command line says how much."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="less of everything")
    requests = 3_200 if parser.parse_args().quick else 16_000
    with mongo_rig.running(workers=1) as shop:
        with straight(shop) as mongo:
            mongo.app.orders.insert_many(
                [{"_id": str(number), "v": f"x{number}"} for number in range(DOCUMENTS)]
            )
        access = shop.native("ann", ferretdb.USER, database=mongo_rig.LOCKED)
        rates = [
            (measure(straight(shop), requests), measure(client(access, maxPoolSize=THREADS), requests))
            for _ in range(2)
        ]
    plain, through = (sum(each) / len(rates) for each in zip(*rates, strict=True))
    print(
        f"find by _id  direct {plain:8.0f}/s  regate {through:8.0f}/s  ratio {through / plain:.3f}",
        flush=True,
    )
    print(json.dumps({"mongodb_find_by_id_vs_direct": round(through / plain, 3)}), flush=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except process.ServerError as failure:
        sys.exit(f"bench: {failure}")
