"""Recovered under a write load it is exact: all that was committed before the target, and nothing that was after."""

import itertools
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import psycopg

from desbuquei_backups.core.manifest import BaseFacts
from desbuquei_backups.core.targets import parse_target
from desbuquei_backups.core.wal import parse_lsn, show_lsn
from desbuquei_backups.operations.recovered_copy import Wanted, recovered_copy
from desbuquei_backups_tests.clusters import Cluster
from desbuquei_backups_tests.conftest import SLOT
from desbuquei_backups_tests.embedded.processes import eventually
from desbuquei_backups_tests.operations.origin import Commit, commits
from desbuquei_backups_tests.operations.story import ledger_of, taken
from desbuquei_backups_tests.operations.wal import drained

_POINT = "hourly-2026-02-02-030000"
_WRITES = "begin;\ninsert into ledger values (txid_current(), clock_timestamp());\nend;\n"
_GIVEN_UP = "begin;\ninsert into ledger values (txid_current(), clock_timestamp());\nrollback;\n"


@contextmanager
def pgbench(cluster: Cluster, folder: Path) -> Iterator[None]:
    """Four clients that write to the ledger all the time; every tenth transaction is given up."""
    for name, script in (("writes", _WRITES), ("given-up", _GIVEN_UP)):
        (folder / name).write_text(script)
    arguments = ["-n", "-c", "4", "-T", "600", "-f", f"{folder}/writes@9", "-f", f"{folder}/given-up@1", cluster.url]
    with subprocess.Popen(
        [cluster.bin_dir / "pgbench", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.defpath},
    ) as running:
        try:
            written(cluster, 500)
            yield
            assert running.poll() is None
        finally:
            running.kill()


def written(cluster: Cluster, more: int) -> None:
    """Wait for so many rows more."""
    with cluster.connect() as connection:
        before = count(connection)
        assert eventually(lambda: count(connection) >= before + more)


def count(connection: psycopg.Connection) -> int:
    return connection.execute("select count(*) from ledger").fetchone()[0]


def clean_cut(found: Sequence[Commit], base: BaseFacts) -> int:
    """Where, about the middle of what was committed after the base, all before is earlier than all after.

    Sessions take their commit's time a moment before its place in the WAL: PostgreSQL itself ends at the first that
    is later.
    """
    before = list(itertools.accumulate((each.at for each in found), max))
    after = list(itertools.accumulate((each.at for each in reversed(found)), min))[::-1]
    first = next(number for number, each in enumerate(found) if each.position > parse_lsn(base.stop_lsn))
    cuts = [each for each in range(first + 1, len(found) - 1) if before[each] < after[each + 1]]
    return cuts[len(cuts) // 2]


def test_to_a_moment_a_position_and_a_name_it_has_what_was_committed_before_and_nothing_later(
    wal_site, own_server: Cluster, open_ground: Path, tmp_path: Path
) -> None:
    own_server.settings = {"track_commit_timestamp": "on", "wal_keep_size": "1GB"}
    own_server.restart()
    with own_server.connect() as connection:
        connection.execute("create table ledger (xid bigint, at timestamptz)")
    with pgbench(own_server, tmp_path):
        drained(wal_site, "hourly-2026-02-02-020000")
        base = taken(wal_site, SLOT).base
        written(own_server, 500)
        point = drained(wal_site, _POINT).point
        written(own_server, 500)
        drained(wal_site, "hourly-2026-02-02-040000")
    with own_server.connect() as connection:
        connection.execute("insert into ledger values (txid_current(), clock_timestamp())")
        rows = connection.execute("select xid, pg_xact_commit_timestamp(xid::text::xid) from ledger").fetchall()
    drained(wal_site, "hourly-2026-02-02-050000")
    ledger: dict[int, datetime] = dict(rows)
    by_wal = [each for each in commits(own_server.data / "pg_wal") if each.xid in ledger]
    # The server's own two tellings of when each row was committed.
    assert {each.xid: each.at for each in by_wal} == ledger
    during = [each for each in by_wal if parse_lsn(base.start_lsn) < each.position < parse_lsn(base.stop_lsn)]
    assert len(during) > 10
    assert by_wal[-1].position > parse_lsn(point.lsn) > parse_lsn(base.stop_lsn)

    def recovered(to: str) -> set[int]:
        wanted = Wanted(parse_target(to), throw_away=True)
        with recovered_copy(wal_site, wanted, open_ground / "under-load") as copy:
            return ledger_of(copy)

    cut = clean_cut(by_wal, base)
    moment, position = by_wal[cut].at, by_wal[cut // 2 + len(by_wal) // 2].position
    assert recovered(moment.isoformat()) == {xid for xid, at in ledger.items() if at <= moment}
    assert recovered(show_lsn(position)) == {each.xid for each in by_wal if each.position < position}
    assert recovered(_POINT) == {each.xid for each in by_wal if each.position < parse_lsn(point.lsn)}
