"""A base backup by the replication protocol itself: every archive a stream, and nothing of it on disk.

pg_basebackup writes one tar for each tablespace, to a folder, since it has but one standard output. Where the backup is
encrypted they would lie there in the clear first: it refuses a folder that holds pipes, and only a small cluster fits
into a disk of memory. For such a cluster alone the server is asked here, as that program asks it:
https://www.postgresql.org/docs/17/protocol-replication.html, BASE_BACKUP. Servers before 15 speak another dialect.
"""

import select
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass

import psycopg

from desbuquei_backups.core.errors import BackupError, SourceUnreachable, ToolFailed
from desbuquei_backups.postgres.connection import connect, explained
from desbuquei_backups.postgres.logical import LOST

OLDEST = 15  # the server's major version
_CHUNK = 1024 * 1024
_MANIFEST = "backup_manifest"
_DOING = "copying the cluster"
_REMEDY = "look at the server's log, then run again"


@dataclass(frozen=True, slots=True)
class Part:
    """One of the streams: a tar, or at the end PostgreSQL's own manifest.

    `location`: of the tablespace that the tar is of, as the server has it; empty for the data directory's.
    """

    name: str
    location: str = ""

    @property
    def is_manifest(self) -> bool:
        return self.name == _MANIFEST

    @property
    def oid(self) -> int | None:
        """The tablespace's; None for the data directory and for the manifest."""
        digits = self.name.removesuffix(".tar")
        return int(digits) if digits.isdecimal() else None


def base_backup_parts(url: str, *, label: str, setting: str) -> Generator[tuple[Part, Iterator[bytes]]]:
    """The cluster as uncompressed tars, with the WAL that makes it consistent, and the manifest last.

    Each stream ends before the next one comes; what is not read of it is passed over. Whoever stops early ends the
    backup on the server, too. ToolFailed, with what the server said; SourceUnreachable; SourceRefused.
    """
    with closing(connect(url, setting=setting, replication="true")) as replica:
        messages = _Messages(replica.pgconn, f"BASE_BACKUP ({_options(label)})")
        with explained(_DOING):
            messages.begin()
        while (part := messages.part()) is not None:
            yield part, messages.content()
        messages.finish()


def _options(label: str) -> str:
    """As pg_basebackup gives them with --wal-method=fetch: nobody need wait for an archive to have the WAL."""
    quoted = label.replace("'", "''")
    return (
        f"LABEL '{quoted}', CHECKPOINT 'fast', WAL, WAIT 0, TABLESPACE_MAP, "
        "MANIFEST 'yes', MANIFEST_CHECKSUMS 'SHA256', TARGET 'client'"
    )


class _Messages:
    """What the server sends: each message has a letter, and what that letter says it has."""

    def __init__(self, server: psycopg.pq.abc.PGconn, command: str) -> None:
        self._server, self._command = server, command
        self._next: Part | None = None
        self._ended = False

    def begin(self) -> None:
        """Ask for it. What comes first, where it begins and which tablespaces there are, libpq passes over."""
        answer = self._server.exec_(self._command.encode())
        if answer.status != psycopg.pq.ExecStatus.COPY_OUT:
            raise _failed(answer.error_message)

    def part(self) -> Part | None:
        """The next one; None: there is none."""
        for _ in self.content():
            pass
        part, self._next = self._next, None
        return part

    def content(self) -> Iterator[bytes]:
        """The bytes of the present part, by chunks of a megabyte: a message has 32 kB."""
        chunk = bytearray()
        while self._next is None and (message := self._message()) is not None:
            kind, rest = chr(message[0]), message[1:]
            if kind == "d":
                chunk += rest
                if len(chunk) >= _CHUNK:
                    yield bytes(chunk)
                    chunk.clear()
            elif kind == "n":
                name, location, _ = bytes(rest).split(b"\0", 2)
                self._next = Part(name.decode(), location.decode(errors="surrogateescape"))
            elif kind == "m":
                self._next = Part(_MANIFEST)
            elif kind != "p":  # of how far it is
                raise ToolFailed(f"the server sent what no base backup has: {kind!r}", remedy=_REMEDY)
        if chunk:
            yield bytes(chunk)

    def _message(self) -> "memoryview[int] | None":
        """None at the end. While nothing comes, other threads run: libpq itself would hold them up."""
        waiting = select.poll()
        waiting.register(self._server.socket, select.POLLIN)
        with explained(_DOING):
            while not self._ended:
                size, message = self._server.get_copy_data(1)
                if size > 0:
                    return message
                if size < 0:
                    self._ended = True
                else:
                    waiting.poll()
                    self._server.consume_input()
        return None

    def finish(self) -> None:
        """See that the server says that it is whole."""
        with explained(_DOING):
            while (answer := self._server.get_result()) is not None:
                if answer.status == psycopg.pq.ExecStatus.FATAL_ERROR:
                    raise _failed(answer.error_message)


def _failed(said: bytes) -> BackupError:
    text = " ".join(said.decode(errors="replace").split())
    if any(words in text for words in LOST):
        return SourceUnreachable(f"{_DOING}: {text}", remedy=_REMEDY)
    return ToolFailed(f"the server made no base backup: {text}", remedy=_REMEDY)
