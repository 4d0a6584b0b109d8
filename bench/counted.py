"""A TCP relay that counts what passes: what a program takes from a server, and what it gives."""

import socket
import threading
from types import TracebackType

_CHUNK = 1024 * 1024


class Counted:
    """Listens on loopback and relays to `host`:`port`. `taken` are bytes from that server, `given` bytes to it."""

    def __init__(self, host: str, port: int) -> None:
        self._to = host, port
        self._lock = threading.Lock()
        self.taken = self.given = 0

    def __enter__(self) -> "Counted":
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            server = socket.create_connection(self._to)
            for source, sink, taken in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._relay, args=(source, sink, taken), daemon=True).start()

    def _relay(self, source: socket.socket, sink: socket.socket, taken: bool) -> None:
        try:
            while data := source.recv(_CHUNK):
                with self._lock:
                    if taken:
                        self.taken += len(data)
                    else:
                        self.given += len(data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            for each in (source, sink):
                each.close()
