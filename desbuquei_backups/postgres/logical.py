"""pg_dump, pg_dumpall and psql, streamed: what goes out of a database, and what goes into one."""

import fcntl
import select
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import IO, Any

from desbuquei_backups.core.errors import RestoreFailed, SourceUnreachable, ToolFailed
from desbuquei_backups.postgres.connection import described, environment
from desbuquei_backups.postgres.plain_dump import PlainDumpReader
from desbuquei_backups.postgres.programs import Programs, clean_environment

_CHUNK = 1024 * 1024
# An instant is worded by the session's time zone, in a partition's bounds say: the same on every server.
_WORDING = {"PGTZ": "UTC", "PGDATESTYLE": "ISO, YMD"}
_NAME, _OURS = "PGAPPNAME", "desbuquei_backups"  # how the server lists us, unless the URL has another name
LOST = ("server closed the connection", "connection to server", "terminating connection")
# The entries that make up `<id>.database.sql.gz`: what a plain dump without --create leaves out.
_OF_THE_DATABASE = ("DATABASE", "DATABASE PROPERTIES")


def dump(
    programs: Programs,
    parameters: Mapping[str, Any],
    *,
    snapshot: str,
    exclude: Sequence[str],
    lock_timeout_ms: int,
    warnings: list[str],
) -> Iterator[bytes]:
    """The plain dump of a snapshot, as pg_dump writes it. ToolFailed if it ends badly; its warnings are appended.

    `exclude` are quoted patterns of relations that the role may not read.
    """

    def heard(line: str) -> None:
        if "warning:" in line:
            warnings.append(line.partition("warning:")[2].strip())

    arguments = ["--format=plain", "--verbose", f"--snapshot={snapshot}", f"--lock-wait-timeout={lock_timeout_ms}"]
    arguments += [f"--exclude-table={pattern}" for pattern in exclude]
    return run(programs, "pg_dump", arguments, parameters, heard)


def globals_(programs: Programs, parameters: Mapping[str, Any], *, passwords: bool) -> Iterator[bytes]:
    """Roles, memberships, role settings and tablespaces; password hashes only if `passwords`.

    pg_dumpall writes VALID UNTIL in the source's own DateStyle, and a server that reads 05/06 the other way round takes
    it in silence.
    """
    arguments = ["--globals-only", f"--database={parameters.get('dbname', '')}"]
    arguments += [] if passwords else ["--no-role-passwords"]
    return run(programs, "pg_dumpall", arguments, parameters)


def database_properties(
    programs: Programs, parameters: Mapping[str, Any], *, exclude: Sequence[str]
) -> Iterator[bytes]:
    """Encoding, locale, owner, comment, grants and settings of the database itself, as SQL."""
    reader = PlainDumpReader(
        keep=lambda entry: (
            entry.kind in _OF_THE_DATABASE
            or (entry.kind in ("COMMENT", "ACL", "SECURITY LABEL") and entry.name.startswith("DATABASE "))
        )
    )
    arguments = ["--format=plain", "--verbose", "--create", "--schema-only", "--exclude-schema=*"]
    arguments += [f"--exclude-table={pattern}" for pattern in exclude]
    for chunk in run(programs, "pg_dump", arguments, parameters):
        yield from reader.feed(chunk)
    reader.finish()


def tables(
    programs: Programs, parameters: Mapping[str, Any], patterns: Sequence[str], *, tablespaces: bool
) -> Iterator[bytes]:
    """The plain dump of the tables that match exactly one of the quoted `patterns`, with sequences they own."""
    arguments = ["--format=plain", "--strict-names", *(f"--table={pattern}" for pattern in patterns)]
    arguments += [] if tablespaces else ["--no-tablespaces"]
    return run(programs, "pg_dump", arguments, parameters)


def schema(programs: Programs, parameters: Mapping[str, Any]) -> PlainDumpReader:
    """The DDL of a database, entry by entry, in the reader's `found.ddl`."""
    reader = PlainDumpReader(passing=False, collect_ddl=True)
    arguments = ["--format=plain", "--verbose", "--schema-only"]
    for chunk in run(programs, "pg_dump", arguments, parameters):
        reader.feed(chunk)
    reader.finish()
    return reader


def load(
    programs: Programs, parameters: Mapping[str, Any], script: Iterable[bytes], *, single_transaction: bool = False
) -> None:
    """Run a SQL script through psql, stopping at the first error; RestoreFailed says which line and why."""
    arguments = ["--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--output=/dev/null"]
    arguments += ["--single-transaction"] if single_transaction else []
    process = subprocess.Popen(
        [programs.path("psql"), *arguments, "--file=-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=clean_environment(**{_NAME: _OURS} | environment(parameters)),
    )
    said = _Listener(process.stderr)
    try:
        assert process.stdin is not None
        _widen(process.stdin)
        with suppress(BrokenPipeError), process.stdin:  # psql that stopped at an error says which itself
            for piece in script:
                process.stdin.write(piece)
    except BaseException:
        process.kill()
        raise
    finally:
        process.wait()
        said.finish()
    if process.returncode:
        text = said.text() or _ending(process.returncode)
        kind = RestoreFailed if "ERROR:" in text else ToolFailed
        raise kind(
            f"psql stopped restoring into {described(parameters)}: {text}",
            remedy="mend what it names on that server, or restore to one that has what the manifest lists",
        )


def run(
    programs: Programs,
    name: str,
    arguments: Sequence[str],
    parameters: Mapping[str, Any],
    heard: Callable[[str], None] = lambda _: None,
    every: float | None = None,
) -> Iterator[bytes]:
    """What a program prints, by chunks; while it prints nothing, an empty one each time that `every` seconds passed."""
    process = subprocess.Popen(
        [programs.path(name), "--no-password", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean_environment(**{_NAME: _OURS} | environment(parameters) | _WORDING),
    )
    said = _Listener(process.stderr, heard)
    ended = False
    try:
        assert process.stdout is not None
        _widen(process.stdout)
        with process.stdout:
            while True:
                while every is not None and not select.select([process.stdout], [], [], every)[0]:
                    yield b""
                if not (chunk := process.stdout.read(_CHUNK)):
                    break
                yield chunk
        ended = True
    finally:
        # A reader that gives up must not leave the program, and its locks on the source, behind.
        if not ended:
            process.kill()
        process.wait()
        said.finish()
    if process.returncode:
        text = said.text() or _ending(process.returncode)
        kind = SourceUnreachable if any(words in text for words in LOST) else ToolFailed
        raise kind(
            f"{name} {programs.version} failed on {described(parameters)}: {text}",
            remedy="mend what it names, then run again; no file was left under a final name",
        )


class _Listener:
    """Reads a program's messages as they come, so that it never waits; keeps what is not mere progress."""

    def __init__(self, stream: IO[bytes] | None, heard: Callable[[str], None] = lambda _: None) -> None:
        self._kept: list[str] = []
        self._heard = heard
        self._stream = stream
        self._thread = threading.Thread(target=self._listen, name="messages", daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        for raw in self._stream or ():
            line = raw.decode(errors="replace").rstrip()
            self._heard(line)
            if not line.startswith("pg_dump: ") or "error:" in line or "detail:" in line:
                self._kept.append(line)

    def finish(self) -> None:
        self._thread.join()
        if self._stream is not None:
            self._stream.close()

    def text(self) -> str:
        """From the first error on, or all that was kept, on one line; without the rows that DETAIL quotes."""
        first = next((n for n, line in enumerate(self._kept) if "ERROR:" in line or "FATAL:" in line), 0)
        told = [line for line in self._kept[first:] if not line.startswith(("DETAIL:", "CONTEXT:"))]
        return " ".join(" ".join(told[:8]).split())


def _widen(pipe: IO[bytes]) -> None:
    """Ask for a pipe of 1 MiB: a sixteenth of the wake-ups. A kernel that refuses keeps its own size."""
    with suppress(OSError):
        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _CHUNK)


def _ending(status: int) -> str:
    return f"it was killed by signal {-status}" if status < 0 else f"it ended with status {status}"
