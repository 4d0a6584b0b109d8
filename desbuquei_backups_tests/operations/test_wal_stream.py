"""Continuous streaming: killed at any moment, cut off from S3 or from the server, no segment is lost or doubled."""

import os
import random
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.wal_bucket import clusters, fetch_segment, listed
from desbuquei_backups.operations.wal_spool import spool_of
from desbuquei_backups.operations.wal_stream import Streamer
from desbuquei_backups_tests.clusters import Cluster
from desbuquei_backups_tests.embedded.processes import eventually
from desbuquei_backups_tests.faults import FaultyStore
from desbuquei_backups_tests.operations.wal import SLOT, drained, missing, there, write

LATER = "hourly-2026-02-02-040000"


@contextmanager
def command(site: Site, *options: str) -> Iterator["subprocess.Popen[str]"]:
    """`desbuquei wal stream` in a process of its own, killed if it is left."""
    environment = {
        "PATH": os.environ["PATH"],
        "DESBUQUEI_BACKUP_DIR": str(site.settings.folder),
        **site.settings.urls,
        **site.settings.aws,
    }
    with subprocess.Popen(
        [Path(sys.executable).with_name("desbuquei"), "wal", "stream", *options],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def streaming(cluster: Cluster) -> bool:
    with cluster.connect() as connection:
        row = connection.execute("select active from pg_replication_slots where slot_name = %s", (SLOT,)).fetchone()
    return row == (True,)


def position(cluster: Cluster) -> str:
    with cluster.connect() as connection:
        return connection.execute("select pg_walfile_name(pg_current_wal_lsn())").fetchone()[0]


def archived_before(site: Site, name: str) -> Callable[[], bool]:
    """Whether all segments before that one are in S3."""
    return lambda: any(int(each, 16) == int(name, 16) - 1 for each in there(site).segments)


@pytest.fixture
def streamed(wal_site: Site) -> Iterator[Streamer]:
    """A streamer of this process, ended afterwards."""
    streamer = Streamer(wal_site, tick_seconds=0.05, look_seconds=0.2)
    thread = threading.Thread(target=streamer.run)
    thread.start()
    yield streamer
    streamer.stop.set()
    thread.join()


def test_a_streamer_killed_at_any_moment_loses_and_doubles_nothing(wal_site, make_site, own_server, endpoints) -> None:
    own_server.settings = {"wal_keep_size": "1GB"}  # to compare with
    own_server.restart()
    drained(wal_site)  # from here on everything must be there
    moments = random.Random(7)  # noqa: S311
    with FaultyStore(endpoints.aws["AWS_ENDPOINT_URL_S3"]) as store:
        site = make_site(own_server.url, aws={"AWS_ENDPOINT_URL_S3": store.url})
        for round_ in range(4):
            with command(site) as process:
                assert eventually(lambda: streaming(own_server))
                if round_ == 3:
                    # When S3 has a segment, and it was not removed here yet.
                    store.after(lambda method, path: method == "PUT" and ".zst" in path, process.kill)
                write(own_server, 3)
                if round_ == 3:
                    assert process.wait(30) == -signal.SIGKILL
                threading.Event().wait(moments.random() / 2)
                process.send_signal(signal.SIGKILL)
            # pg_receivewal does not outlive it: the slot is free for the next one.
            assert eventually(lambda: not streaming(own_server))
        last = position(own_server)
        with command(site) as process:
            assert eventually(archived_before(wal_site, last))
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
    assert missing(there(wal_site)) == []
    assert (spool_of(wal_site).files(), spool_of(wal_site).rejected()) == ([], [])
    (identifier,) = clusters(wal_site.bucket)
    found = listed(wal_site.bucket, identifier)
    stored = [key for key in wal_site.bucket.keys(f"wal/{identifier}/") if ".zst" in key]
    assert len(stored) == len(found.files)
    for name in there(wal_site).segments:
        assert b"".join(fetch_segment(wal_site.bucket, found, name, None)) == segment_of(own_server, name)


def segment_of(cluster: Cluster, name: str) -> bytes:
    return (cluster.data / "pg_wal" / name).read_bytes()


def test_a_full_disk_is_waited_out_and_nothing_is_lost(wal_site, own_server, caplog) -> None:
    drained(wal_site)
    write(own_server, 2)
    last = position(own_server)
    streamer = Streamer(wal_site, tick_seconds=0.05)
    thread = threading.Thread(target=streamer.run)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        thread.start()
        assert eventually(lambda: "the disk is full, WAL cannot be received" in caplog.text)
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert eventually(archived_before(wal_site, last))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        streamer.stop.set()
        thread.join()
    assert missing(there(wal_site)) == []


def test_while_it_streams_the_hourly_run_waits_for_it(wal_site, own_server, streamed) -> None:
    assert eventually(lambda: streaming(own_server))
    write(own_server, 2)
    done = drained(wal_site, LATER, streamer_seconds=60)
    assert (done.streamed, done.gap) == (True, None)
    assert done.point.last.name in there(wal_site).segments
    assert missing(there(wal_site)) == []


def test_a_quiet_hour_comes_into_s3_too_and_a_silent_one_costs_nothing(wal_site, own_server) -> None:
    streamer = Streamer(wal_site, tick_seconds=0.05, look_seconds=0.2, switch_seconds=0.5)
    thread = threading.Thread(target=streamer.run)
    thread.start()
    try:
        assert eventually(lambda: streaming(own_server))
        with own_server.connect() as connection:
            connection.execute("create table t as select 1 as a")
            (name,) = connection.execute("select pg_walfile_name(pg_current_wal_lsn())").fetchone()
        assert eventually(lambda: name in there(wal_site).segments)
        assert eventually(lambda: position(own_server) > name)
        quiet = position(own_server)
        threading.Event().wait(2)
        # Nothing but our own heartbeat was written since: at most one segment more.
        assert int(position(own_server), 16) <= int(quiet, 16) + 1
    finally:
        streamer.stop.set()
        thread.join()


def test_an_hour_without_s3_is_made_up_for(make_site, wal_site, own_server, endpoints) -> None:
    with FaultyStore(endpoints.aws["AWS_ENDPOINT_URL_S3"]) as store:
        broken = make_site(own_server.url, aws={"AWS_ENDPOINT_URL_S3": store.url})
        store.busy()
        streamer = Streamer(broken, tick_seconds=0.05)
        thread = threading.Thread(target=streamer.run)
        thread.start()
        try:
            assert eventually(lambda: streaming(own_server))
            write(own_server, 4)
            last = position(own_server)
            assert eventually(lambda: len(spool_of(broken).names()) >= 4)
            store.heal()
            assert eventually(archived_before(wal_site, last))
        finally:
            streamer.stop.set()
            thread.join()
    assert missing(there(wal_site)) == []


def test_a_server_that_restarts_is_waited_for(wal_site, own_server, streamed) -> None:
    assert eventually(lambda: streaming(own_server))
    write(own_server, 1)
    own_server.restart()
    assert eventually(lambda: streaming(own_server))
    write(own_server, 2)
    last = position(own_server)
    assert eventually(archived_before(wal_site, last))
    assert missing(there(wal_site)) == []
