"""A base backup from before the slot has no WAL after it; a slot that nobody reads fills the server's disk."""

import resource
from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest

from desbuquei_backups.core.errors import DiskError, IntegrityError
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.tiers import Takes
from desbuquei_backups.core.wal import parse_lsn
from desbuquei_backups.operations.base_backup import BaseTaken, take_base_backup
from desbuquei_backups.operations.dump import take_dump
from desbuquei_backups.operations.settings import DATABASE_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.wal_before_base import keeping_wal
from desbuquei_backups.postgres import connection as pg
from desbuquei_backups.postgres import physical, wal
from desbuquei_backups.postgres.programs import choose
from desbuquei_backups.postgres.receiving import Receiver
from desbuquei_backups_tests.clusters import Cluster
from desbuquei_backups_tests.embedded.processes import eventually
from desbuquei_backups_tests.operations.story import taken
from desbuquei_backups_tests.operations.wal import SLOT, drained, give_up_slot, said, write
from desbuquei_backups_tests.urls import with_credentials

NO_SLOT = "no slot keeps the WAL after the base backup"


def slot_of(cluster: Cluster) -> wal.Slot | None:
    with cluster.connect() as connection:
        return wal.find_slot(connection, SLOT)


def fails_for_want_of_disk(site: Site, slot: Slot) -> None:
    """The dump is small enough, and the base backup is not."""
    take_dump(site, slot)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(DiskError):
            take_base_backup(site, slot)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def interrupted(site: Site, meanwhile: Callable[[], object]) -> None:
    """A base backup that a person stops after something else happened."""

    def begun() -> None:
        with keeping_wal(site):
            meanwhile()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        begun()


def test_the_first_base_backup_has_all_wal_after_it(wal_site, own_server, slot) -> None:
    base = taken(wal_site, slot).base
    kept = slot_of(own_server)
    assert kept is not None
    assert kept.restart <= parse_lsn(base.start_lsn)
    write(own_server, 3)
    with own_server.connect() as connection:
        for _ in range(2):  # what no slot keeps is removed
            connection.execute("checkpoint")
    assert drained(wal_site).gap is None
    assert said(wal_site, untrue_only=True) == {}


def test_a_base_backup_after_the_slot_was_lost_has_all_wal_after_it_too(wal_site, own_server, slot) -> None:
    drained(wal_site)
    give_up_slot(own_server)
    base = taken(wal_site, slot).base
    write(own_server, 3)
    gap = drained(wal_site, "hourly-2026-02-02-040000").gap
    assert gap is not None
    assert parse_lsn(gap.end) <= parse_lsn(base.start_lsn)
    assert said(wal_site, untrue_only=True) == {}


def test_the_slot_of_a_first_base_backup_that_fails_is_dropped(wal_site, own_server, slot) -> None:
    fails_for_want_of_disk(wal_site, slot)
    assert slot_of(own_server) is None
    assert isinstance(take_base_backup(wal_site, slot), BaseTaken)
    assert slot_of(own_server) is not None


def test_one_that_is_not_whole_has_failed_too(wal_site, own_server, slot, monkeypatch) -> None:
    with own_server.connect() as connection:
        connection.execute("create table clientes as select 'cliente ' || i as nome from generate_series(1, 9) i")
    whole = physical.base_backup

    def altered(*given, **named):
        return (piece.replace(b"cliente 7", b"cliente 8") for piece in whole(*given, **named))

    monkeypatch.setattr(physical, "compresses", lambda _: False)
    monkeypatch.setattr(physical, "base_backup", altered)
    take_dump(wal_site, slot)
    with pytest.raises(IntegrityError, match="checksum mismatch"):
        take_base_backup(wal_site, slot)
    assert slot_of(own_server) is None


def test_a_slot_that_was_there_or_that_somebody_used_meanwhile_is_not_dropped(wal_site, own_server, slot) -> None:
    interrupted(wal_site, lambda: drained(wal_site))
    assert slot_of(own_server) is not None
    fails_for_want_of_disk(wal_site, slot)
    assert slot_of(own_server) is not None


def test_a_slot_that_somebody_streams_from_is_not_dropped(wal_site, own_server, tmp_path) -> None:
    receivers = []

    def stream() -> None:
        receivers.append(Receiver(choose(17), pg.parse(own_server.url, setting=DATABASE_URL), tmp_path, SLOT))
        assert eventually(lambda: slot_of(own_server).active)

    interrupted(wal_site, stream)
    receivers[0].stop()
    assert slot_of(own_server) is not None


def test_a_role_that_may_make_no_slot_has_its_base_backup_all_the_same(make_site, own_server, slot, caplog) -> None:
    with own_server.connect() as connection:
        connection.execute(
            "create role narrow login replication in role pg_read_all_data;"
            "grant execute on function pg_create_restore_point(text), pg_switch_wal() to narrow;"
            "revoke execute on function pg_create_physical_replication_slot from public"
        )
    assert taken(make_site(with_credentials(own_server.url, "narrow", "none")), slot).base is not None
    assert slot_of(own_server) is None
    assert NO_SLOT in caplog.text
    assert "permission denied for function pg_create_physical_replication_slot" in caplog.text


def test_where_no_hourly_run_would_read_it_no_slot_is_made(wal_site, make_site, own_server, caplog) -> None:
    with own_server.connect() as connection:
        connection.execute("create role narrow login replication in role pg_read_all_data")
    with keeping_wal(make_site(with_credentials(own_server.url, "narrow", "none"))):
        assert "may not call pg_create_restore_point" in caplog.text
    full = {name: tier for name, tier in wal_site.policy.tiers.items() if tier.takes is Takes.FULL}
    policy = wal_site.policy.model_copy(update={"tiers": full})
    with keeping_wal(replace(wal_site, settings=replace(wal_site.settings, policy=policy))):
        assert "no tier of the policy takes increments" in caplog.text
    standby = own_server.standby(f"{own_server.name}-standby")
    try:
        with keeping_wal(make_site(standby.url)):
            assert "this server is a standby" in caplog.text
            assert slot_of(standby) is None
    finally:
        standby.remove()
    assert slot_of(own_server) is None


def test_where_the_server_allows_no_replication_nothing_is_made(make_site, project_url, caplog) -> None:
    with keeping_wal(make_site(project_url)), psycopg.connect(project_url) as connection:
        assert connection.execute("select count(*) from pg_replication_slots").fetchone() == (0,)
    assert "no pg_hba.conf entry" in caplog.text
