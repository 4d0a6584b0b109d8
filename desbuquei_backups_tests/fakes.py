"""Stand-ins for what no wheel brings: poolers between a client and PostgreSQL."""

import queue
import secrets
import socket
import struct
import threading
from contextlib import suppress

from psycopg import pq

from desbuquei_backups_tests.urls import with_port

_TLS_REQUEST, _GSS_REQUEST, _CANCEL_REQUEST = 80877103, 80877104, 80877102
_REPORTED = (b"server_version", b"client_encoding", b"server_encoding", b"standard_conforming_strings",
             b"integer_datetimes", b"TimeZone", b"DateStyle", b"is_superuser", b"session_authorization")  # fmt: skip


_DEAF: list[socket.socket] = []


def free_port() -> int:
    """A port that nobody listens on, as long as this process lives: it is bound, so that nobody else gets it."""
    if not _DEAF:
        _DEAF.append(socket.socket())
        _DEAF[0].bind(("127.0.0.1", 0))
    return _DEAF[0].getsockname()[1]


class _Backend:
    """A session of the real server: libpq logs in, then its socket is ours."""

    def __init__(self, url: str) -> None:
        self._libpq = pq.PGconn.connect(url.encode())
        if self._libpq.status != pq.ConnStatus.OK:
            raise ConnectionError(self._libpq.error_message.decode())
        self.socket = socket.socket(fileno=self._libpq.socket)
        self.socket.setblocking(True)
        self.parameters = {name: self._libpq.parameter_status(name) or b"" for name in _REPORTED}

    def close(self) -> None:
        self.socket.detach()
        self._libpq.finish()


class _Pooler:
    """Speaks PostgreSQL's protocol to clients, lets anybody in, and gives each the use of a backend.

    As with pgbouncer, the process that a client is told of (its BackendKeyData) is the pooler's own.
    """

    releases_after_transactions: bool
    backends = 3

    def __init__(self, url: str) -> None:
        self._url = url
        self._free: queue.Queue[_Backend] = queue.Queue()
        self._all: list[_Backend] = []
        self._clients: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = with_port(url, self._listener.getsockname()[1])

    def __enter__(self) -> "_Pooler":
        for _ in range(self.backends):
            backend = _Backend(self._url)
            self._all.append(backend)
            self._free.put(backend)
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for client in self._clients:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        for backend in self._all:
            with suppress(OSError):
                backend.socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self._listener.close()
        for backend in self._all:
            backend.close()

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._clients.append(client)
                self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError, EOFError):
            if self._greet(client):
                self._relay(client)

    def _greet(self, client: socket.socket) -> bool:
        while True:
            (length,) = struct.unpack("!I", _exactly(client, 4))
            (code,) = struct.unpack("!I", _exactly(client, length - 4)[:4])
            if code == _CANCEL_REQUEST:
                return False
            if code not in (_TLS_REQUEST, _GSS_REQUEST):
                break
            client.sendall(b"N")
        greeting = _message(b"R", struct.pack("!I", 0))
        for name, value in self._all[0].parameters.items():
            greeting += _message(b"S", name + b"\0" + value + b"\0")
        key = struct.pack("!II", 1_000_000 + secrets.randbelow(1_000_000), secrets.randbits(31))
        client.sendall(greeting + _message(b"K", key) + _message(b"Z", b"I"))
        return True

    def _relay(self, client: socket.socket) -> None:
        backend: _Backend | None = None
        try:
            while True:
                kind, message = _read(client)
                if kind == b"X":
                    return
                # The one that was free longest: rarely the one that this client had before.
                backend = backend or self._free.get(timeout=30)
                backend.socket.sendall(message)
                if kind not in (b"Q", b"S"):
                    continue
                while kind != b"Z":
                    kind, message = _read(backend.socket)
                    client.sendall(message)
                if self.releases_after_transactions and message[-1:] == b"I":
                    self._free.put(backend)
                    backend = None
        finally:
            if backend is not None:
                self._free.put(backend)


class TransactionPooler(_Pooler):
    """As pgbouncer with pool_mode = transaction: each transaction runs in any of a few sessions."""

    releases_after_transactions = True


class SessionPooler(_Pooler):
    """As pgbouncer with pool_mode = session: a client keeps its session to the end."""

    releases_after_transactions = False


def _exactly(stream: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = stream.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def _read(stream: socket.socket) -> tuple[bytes, bytes]:
    head = _exactly(stream, 5)
    (length,) = struct.unpack("!I", head[1:])
    return head[:1], head + _exactly(stream, length - 4)


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body
