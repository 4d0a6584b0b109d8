"""The process that owns a home's servers: one a home, started by the first user, gone soon after the last.

Run by desbuquei_backups.embedded.client as `python -m desbuquei_backups.embedded.supervisor HOME LOCK`, where LOCK is
the number of an inherited descriptor that holds the home's lock: whoever has it is the supervisor, and no one else.
"""

import json
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from desbuquei_backups.embedded import postgres, s3
from desbuquei_backups.embedded.endpoints import Endpoints, PostgresServer, S3Server, Server, to_json
from desbuquei_backups.embedded.errors import EmbeddedError
from desbuquei_backups.embedded.home import Home
from desbuquei_backups.embedded.place import Place, settle
from desbuquei_backups.postgres.process import Process

_GRACE = 1.5
"""Seconds without a user before the servers go: the next command of a script finds them still up."""
_TICK = 0.2


class Supervisor:
    """The servers of one home, and the count of those who use them."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.ending = False
        self._place: Place | None = None
        self._users = 0
        self._idle_since = time.monotonic()
        self._counting = threading.Lock()
        self._starting = {server: threading.Lock() for server in Server}
        self._running: dict[Server, tuple[Process, PostgresServer | S3Server]] = {}

    def serve(self) -> None:
        """Answer users until the last has gone, then stop every server."""
        with socket.socket(socket.AF_UNIX) as listener:
            self.home.socket.unlink(missing_ok=True)
            # Through the folder's descriptor: a socket's path may have 107 bytes at most, and homes lie deep.
            folder = os.open(self.home.control, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            listener.bind(f"/proc/self/fd/{folder}/{self.home.socket.name}")
            os.close(folder)
            listener.listen(128)
            listener.settimeout(_TICK)
            while not self.ending and not self._deserted():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                connection.settimeout(None)
                with self._counting:
                    self._users += 1
                threading.Thread(target=self._attend, args=(connection,), daemon=True).start()
            # Who knocks from here on is turned away, and waits for the lock.
            self.home.socket.unlink(missing_ok=True)
        self._stop()

    def _deserted(self) -> bool:
        with self._counting:
            return self._users == 0 and time.monotonic() - self._idle_since > _GRACE

    def _attend(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as lines:
                if request := lines.readline():
                    connection.sendall(json.dumps(self._answer(request)).encode() + b"\n")
                lines.read()  # until the user closes the connection, or dies
        except OSError:
            pass  # the user died meanwhile
        finally:
            with self._counting:
                self._users -= 1
                self._idle_since = time.monotonic()

    def _answer(self, request: bytes) -> dict[str, object]:
        try:
            return {"endpoints": to_json(self._provide([Server(name) for name in json.loads(request)["needed"]]))}
        except EmbeddedError as error:
            return {"error": {"what": error.what, "remedy": error.remedy}}
        except Exception as error:  # noqa: BLE001  whatever it is, the user must hear of it
            traceback.print_exc()
            remedy = f"Look at {self.home.log('supervisor')}; a full disk or missing permissions are the usual causes."
            return {"error": {"what": f"The embedded servers could not be started: {error}", "remedy": remedy}}

    def _provide(self, needed: Iterable[Server]) -> Endpoints:
        with self._counting:
            self._place = self._place or settle(self.home)
            place = self._place
        with ThreadPoolExecutor(len(Server)) as pool:
            servers = dict(zip(needed, pool.map(lambda server: self._ensure(server, place), needed), strict=True))
        return Endpoints(
            postgres={name: server for name, server in servers.items() if isinstance(server, PostgresServer)},
            s3=next((server for server in servers.values() if isinstance(server, S3Server)), None),
        )

    def _ensure(self, server: Server, place: Place) -> PostgresServer | S3Server:
        with self._starting[server]:
            if server in self._running and not self._running[server][0].ended.is_set():
                return self._running[server][1]
            started = s3.start(self.home, place) if server is Server.S3 else postgres.start(server, self.home, place)
            self._running[server] = started
            self.home.write("processes", {"supervisor": os.getpid(), server: started[0].pid})
            return started[1]

    def _stop(self) -> None:
        stops = [threading.Thread(target=self._stop_one, args=item) for item in self._running.items()]
        for thread in stops:
            thread.start()
        for thread in stops:
            thread.join()

    def _stop_one(self, server: Server, running: tuple[Process, PostgresServer | S3Server]) -> None:
        if server is Server.S3:
            s3.stop(running[0], self.home)
        else:
            postgres.stop(running[0])


def main() -> None:
    """Become a daemon and supervise; whatever still runs when this process ends, the kernel ends."""
    home, lock = Home(Path(sys.argv[1])), int(sys.argv[2])
    if os.fork():
        os._exit(0)
    os.set_inheritable(lock, False)
    os.umask(0o077)
    os.chdir("/")
    supervisor = Supervisor(home)

    def end(*_: object) -> None:
        supervisor.ending = True

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    supervisor.serve()


if __name__ == "__main__":
    main()
