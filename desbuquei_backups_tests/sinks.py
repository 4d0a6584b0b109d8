"""A real HTTP server that takes what Apprise posts and what a dead-man's switch asks for."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar


@dataclass
class HttpSink:
    """`status` is what it answers; `heard` the messages that it took, `asked` the paths that were asked for."""

    port: int = 0
    status: int = 200
    heard: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """As Apprise wants it."""
        return f"json://127.0.0.1:{self.port}/"

    def take(self) -> list[dict[str, Any]]:
        """What was heard since it was last taken."""
        heard, self.heard = self.heard, []
        return heard


class _Handler(BaseHTTPRequestHandler):
    sink: ClassVar[HttpSink]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.sink.status == 200:
            self.sink.heard.append(json.loads(body))
        self._answer()

    def do_GET(self) -> None:
        self.sink.asked.append(self.path)
        self._answer()

    def _answer(self) -> None:
        self.send_response(self.sink.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def http_sink() -> Iterator[HttpSink]:
    sink = HttpSink()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"sink": sink}))
    server.daemon_threads = False
    sink.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield sink
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
