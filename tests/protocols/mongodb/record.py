"""Records what drivers say to a server and what it answers, for ``test_transcripts.py``.

python -m tests.protocols.mongodb.record: it starts the server and the drivers itself, and writes
``transcripts/*.json``: a header, then each connection as chunks of bytes in the order they came.
"""

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import pymongo
from pymongo import MongoClient, WriteConcern
from pymongo.errors import DuplicateKeyError

from tests.e2e.node import clients as node
from tests.servers import process, secantus

TRANSCRIPTS: Final = Path(__file__).parent / "transcripts"
_OPTIONS: Final = "directConnection=true&serverMonitoringMode=poll&heartbeatFrequencyMS=60000"
_NODE: Final = """
const { MongoClient } = require(process.argv[2] + "/node_modules/mongodb");
(async () => {
  const client = await new MongoClient(process.argv[1]).connect();
  const orders = client.db("app").collection("node");
  await orders.insertMany([{ _id: 1, at: new Date(0) }, { _id: 2 }, { _id: 3 }]);
  await orders.find({}, { batchSize: 2 }).toArray();
  await orders.updateOne({ _id: 9 }, { $set: { a: 1 } }, { upsert: true });
  await orders.bulkWrite([{ deleteOne: { filter: { _id: 2 } } }, { insertOne: { document: { _id: 4 } } }]);
  const session = client.startSession();
  await session.withTransaction(async () => { await orders.insertOne({ _id: 5 }, { session }); });
  await session.endSession();
  await orders.createIndex({ a: 1 });
  await client.close();
})();
"""
_SHELL: Final = (
    "db.shell.insertOne({_id: 1}); db.shell.find().toArray(); db.shell.aggregate([{$count: 'n'}]).toArray()"
)


class Tape:
    """Passes bytes both ways, and keeps them."""

    def __init__(self, port: int) -> None:
        self._server = port
        self._listening = socket.create_server((process.LOOPBACK, 0))
        self.port: int = self._listening.getsockname()[1]
        self.connections: list[list[tuple[str, str]]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.create_connection((process.LOOPBACK, self._server))
                kept: list[tuple[str, str]] = []
                self.connections.append(kept)
                for who, source, target in (("client", client, server), ("server", server, client)):
                    arguments = (who, source, target, kept)
                    threading.Thread(target=self._pass, args=arguments, daemon=True).start()

    @staticmethod
    def _pass(who: str, source: socket.socket, target: socket.socket, kept: list[tuple[str, str]]) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                kept.append((who, data.hex()))
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """No more connections."""
        self._listening.close()


@contextmanager
def recorded(name: str, driver: str, port: int) -> Iterator[str]:
    """An address for a driver; what went through it is written at the end."""
    tape = Tape(port)
    yield f"mongodb://{process.LOOPBACK}:{tape.port}/app?{_OPTIONS}"
    tape.close()
    found = {"driver": driver, "server": "SecantusDB 0.7.0b3", "connections": tape.connections}
    (TRANSCRIPTS / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")


def with_pymongo(uri: str) -> None:
    """What most programs do."""
    mongo: MongoClient[dict[str, Any]] = MongoClient(uri, compressors="zlib")
    with mongo:
        orders = mongo.app.orders
        orders.insert_many([{"_id": number, "x": "y" * 50} for number in range(7)])
        assert len(list(orders.find({}, batch_size=3))) == 7
        orders.update_many({"_id": {"$gt": 3}}, {"$inc": {"n": 1}})
        list(orders.aggregate([{"$match": {"n": 1}}, {"$group": {"_id": "$n", "c": {"$sum": 1}}}]))
        orders.find_one_and_delete({"_id": 0})
        with suppress(DuplicateKeyError):
            orders.insert_one({"_id": 1})
        mongo.app.get_collection("orders", write_concern=WriteConcern(w=0)).insert_one({"_id": "silent"})
        with mongo.start_session() as session:
            with session.start_transaction():
                orders.insert_one({"_id": "kept"}, session=session)
            session.start_transaction()
            orders.delete_one({"_id": "kept"}, session=session)
            session.abort_transaction()
        next(iter(orders.find({}, batch_size=2)))  # and its cursor is closed
        orders.distinct("n")
        orders.drop()


def main() -> None:
    """Record each driver."""
    TRANSCRIPTS.mkdir(exist_ok=True)
    with secantus.running(None) as server:
        with recorded("pymongo", f"pymongo {pymongo.version}", server.port) as uri:
            with_pymongo(uri)
        modules = str(node.folder())
        version = json.loads((node.folder() / "node_modules/mongodb/package.json").read_text())["version"]
        with recorded("node", f"mongodb for Node.js {version}", server.port) as uri:
            subprocess.run(["node", "-e", _NODE, uri, modules], check=True, timeout=120)
        version = json.loads((node.folder() / "node_modules/mongosh/package.json").read_text())["version"]
        with recorded("mongosh", f"mongosh {version}", server.port) as uri:
            subprocess.run(
                [str(node.mongosh()), uri, "--quiet", "--norc", "--eval", _SHELL], check=True, timeout=120
            )


if __name__ == "__main__":
    main()
