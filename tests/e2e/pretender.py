"""What a proxy that was taken over can do with what it holds."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.e2e.apart import Service
from tests.servers.process import LOOPBACK


class Pretender:
    """A proxy that was taken over: it answers for the auth service with the certificate that it has."""

    def __init__(self, proxy: Service, host_ca: str) -> None:
        held = json.loads((proxy.data_dir / "service" / "service.json").read_text())
        self.heard: list[str] = []
        self._files = (proxy.folder / "taken.crt", proxy.folder / "taken.key")
        for path, name in zip(self._files, ("certificate", "key"), strict=True):
            path.write_text(held[name])
        ping = json.dumps(
            {"host_ca": host_ca, "time": datetime.now(UTC).isoformat(), "cluster": "e2e"}
        ).encode()
        heard = self.heard

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                heard.append(self.requestline)
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(ping)))
                self.end_headers()
                self.wfile.write(ping)

            do_POST = do_GET  # noqa: N815 # as above

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # as the base class has it
                """Nothing is printed."""

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Answers)

    @contextmanager
    def answering(self) -> Iterator[str]:
        """Its address, by a name that stands in the certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._files[0], self._files[1])
        with self._server as server:
            server.socket = context.wrap_socket(server.socket, server_side=True)
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield f"localhost:{server.server_address[1]}"
            finally:
                server.shutdown()
                thread.join(10)
