"""A small HTTP proxy before the S3 server that answers some requests badly."""

import http.client
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import urlsplit

_BUSY = (
    b'<?xml version="1.0"?><Error><Code>ServiceUnavailable</Code><Message>Please reduce your request rate.'
    b"</Message></Error>"
)
_BROKEN = b'<?xml version="1.0"?><Error><Code>InternalError</Code><Message>We are to blame.</Message></Error>'
_DENIED = b'<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>'
_HOP = {"connection", "transfer-encoding", "keep-alive", "content-length"}
Matches = Callable[[str, str], bool]


def anything(method: str, path: str) -> bool:
    return True


def parts(method: str, path: str) -> bool:
    """The parts of multipart uploads."""
    return method == "PUT" and "partNumber=" in path


def creations(method: str, path: str) -> bool:
    """The beginnings of multipart uploads."""
    return method == "POST" and "uploads" in urlsplit(path).query


def completions(method: str, path: str) -> bool:
    """The ends of multipart uploads."""
    return method == "POST" and "uploadId=" in path


@dataclass
class _Fault:
    matches: Matches
    times: float
    instead: Callable[["_Handler"], None]


@dataclass
class FaultyStore:
    """Forwards to the store at `to`; its methods say which requests fare otherwise, and how often."""

    to: str
    requests: list[tuple[str, str]] = field(default_factory=list)
    # How far its clock is ahead, by the Date of its answers.
    ahead: timedelta = timedelta(0)
    _faults: deque[_Fault] = field(default_factory=deque)

    def busy(self, matches: Matches = anything, *, times: float = float("inf")) -> None:
        """Answer 503."""
        self._faults.append(_Fault(matches, times, lambda handler: handler.answer(503, _BUSY)))

    def fail(self, matches: Matches = anything, *, times: float = float("inf")) -> None:
        """Answer 500."""
        self._faults.append(_Fault(matches, times, lambda handler: handler.answer(500, _BROKEN)))

    def refuse(self, matches: Matches = anything, *, times: float = float("inf")) -> None:
        """Answer 403, as to credentials that may not do that."""
        self._faults.append(_Fault(matches, times, lambda handler: handler.answer(403, _DENIED)))

    def say(self, status: int, code: str, matches: Matches = anything, *, times: float = float("inf")) -> None:
        """Answer with an error of that code."""
        content = f"<Error><Code>{code}</Code><Message>so it is</Message></Error>".encode()
        self._faults.append(_Fault(matches, times, lambda handler: handler.answer(status, content)))

    def cut(self, matches: Matches = anything, *, times: float = float("inf")) -> None:
        """Close the connection without an answer."""
        self._faults.append(_Fault(matches, times, lambda handler: handler.hang_up()))

    def break_off(self, matches: Matches = anything, *, times: float = float("inf")) -> None:
        """Announce the whole answer, and send half of it."""

        def instead(handler: "_Handler") -> None:
            handler.half = True
            handler.forward()

        self._faults.append(_Fault(matches, times, instead))

    def stall(self, matches: Matches = anything, *, half: bool = False, times: float = float("inf")) -> None:
        """Be slower than anybody waits: no answer, or one that stops half-way, until the other end has gone."""

        def instead(handler: "_Handler") -> None:
            if half:
                handler.half = True
                handler.forward()
                handler.wfile.flush()
            handler.connection.settimeout(1)
            with suppress(OSError):
                handler.connection.recv(1)
            handler.hang_up()

        self._faults.append(_Fault(matches, times, instead))

    def truncate(self, matches: Matches = anything, *, times: float = float("inf")) -> None:
        """Let the store have only half of what is sent to it, as if that were all."""

        def instead(handler: "_Handler") -> None:
            handler.body = handler.body[: len(handler.body) // 2]
            del handler.headers["Content-Length"]
            handler.headers["Content-Length"] = str(len(handler.body))
            handler.forward()

        self._faults.append(_Fault(matches, times, instead))

    def instead(self, matches: Matches, do: Callable[[], None]) -> None:
        """Do something instead of forwarding the first such request, which has no answer."""

        def instead(handler: "_Handler") -> None:
            do()
            handler.hang_up()

        self._faults.append(_Fault(matches, 1, instead))

    def after(self, matches: Matches, do: Callable[[], None]) -> None:
        """Do something when the store has done the first such request, whose answer is lost."""

        def instead(handler: "_Handler") -> None:
            handler.answer = lambda *_, **__: do()  # type: ignore[method-assign]
            handler.forward()
            handler.hang_up()

        self._faults.append(_Fault(matches, 1, instead))

    def before(self, matches: Matches, do: Callable[[], None]) -> None:
        """Do something before the first such request is forwarded."""

        def instead(handler: "_Handler") -> None:
            do()
            handler.forward()

        self._faults.append(_Fault(matches, 1, instead))

    def refusal(self, handler: "_Handler") -> bytes | None:
        """What a store that refuses more than the one behind it answers; None: it is forwarded."""
        return None

    def heal(self) -> None:
        self._faults.clear()

    def fault(self, method: str, path: str) -> _Fault | None:
        for fault in self._faults:
            if fault.times > 0 and fault.matches(method, path):
                fault.times -= 1
                return fault
        return None

    def __enter__(self) -> "FaultyStore":
        handler = type("Handler", (_Handler,), {"store": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: ClassVar[FaultyStore]
    half = False
    timeout = 5

    def _handle(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.store.requests.append((self.command, self.path))
        fault = self.store.fault(self.command, self.path)
        if (refusal := self.store.refusal(self)) is not None:
            self.answer(403, refusal)
        elif fault is not None:
            fault.instead(self)
        else:
            self.forward()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle

    def forward(self) -> None:
        to = urlsplit(self.store.to)
        connection = http.client.HTTPConnection(to.hostname or "", to.port, timeout=30)
        try:
            # The signature covers the Host header: it goes on as it came.
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("connection", "expect"):
                    connection.putheader(name, value)
            connection.endheaders(self.body)
            answer = connection.getresponse()
            content = answer.read()
            headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in _HOP]
            headers = [(name, self._dated(value) if name == "Date" else value) for name, value in headers]
            length = answer.getheader("Content-Length") if self.command == "HEAD" else None
            self.answer(answer.status, content, headers, length=length)
        finally:
            connection.close()

    def _dated(self, told: str) -> str:
        return format_datetime(parsedate_to_datetime(told) + self.store.ahead, usegmt=True)

    def answer(
        self, status: int, content: bytes, headers: list[tuple[str, str]] | None = None, length: str | None = None
    ) -> None:
        self.send_response_only(status)
        for name, value in headers or []:
            self.send_header(name, value)
        self.send_header("Content-Length", length or str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if self.half else content)
        self.close_connection = True

    def hang_up(self) -> None:
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass
