"""The hourly where only logical dumps are to be had: nothing is read twice, and no more than the budget allows."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import records
from desbuquei_backups.operations.archive import archive
from desbuquei_backups.operations.dump import Skipped, take_dump
from desbuquei_backups.operations.egress import price, spent_so_far
from desbuquei_backups.operations.restored_copy import prove
from desbuquei_backups.operations.seal import seal
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.verification import chosen, verify_backup
from desbuquei_backups.storage import catalog
from desbuquei_backups_tests.conftest import Clock, MakeSite
from desbuquei_backups_tests.operations.losses import flip, line_of, spoil
from desbuquei_backups_tests.operations.tiers import (
    DAILY,
    HOURLY,
    QUARTERLY,
    TOGETHER,
    WEEKLY,
    back_up,
    counted_dumps,
    fill,
)

HOUR = timedelta(hours=1)
NEXT, AFTER = (Slot("hourly", TOGETHER + hours * HOUR) for hours in (1, 2))


pytestmark = pytest.mark.usefixtures("together", "no_wal")


def backed_up_later(site: Site, clock: Clock, slot: Slot) -> None:
    clock.now = slot.due + timedelta(minutes=10)
    back_up(site, slot)


def fails_half_way(site: Site, slot: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dump whose rows were read, and that then fails."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no roles")

    with monkeypatch.context() as patch:
        patch.setattr("desbuquei_backups.operations.snapshot_dump.logical.globals_", broken)
        with pytest.raises(RuntimeError):
            fill(site, slot)


def test_where_nothing_changed_a_manifest_names_the_objects_that_are_there(
    site: Site, shop: psycopg.Connection, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(site, HOURLY)
    before = set(site.bucket.keys("hourly/"))
    with counted_dumps(monkeypatch) as dumps:
        backed_up_later(site, clock, NEXT)
        backed_up_later(site, clock, AFTER)
    assert dumps == []
    added = set(site.bucket.keys("hourly/")) - before
    assert added == {f"hourly/{slot.backup_id}.manifest.json" for slot in (NEXT, AFTER)}
    first, last = (catalog.in_bucket(site.bucket, "hourly", slot.backup_id) for slot in (HOURLY, AFTER))
    assert first is not None
    assert last is not None
    assert last.same_as == HOURLY.backup_id  # not the one between, which has no bytes of its own
    assert last.files == first.files
    assert last.taken_at > first.taken_at
    assert line_of(site, AFTER)["same_as"] == HOURLY.backup_id
    assert line_of(site, AFTER)["egress_bytes"] == 0
    assert verify_backup(site, AFTER.backup_id, remote=True).whole
    assert verify_backup(site, AFTER.backup_id, remote=False).whole


def test_the_proof_of_an_unchanged_slot_is_that_of_the_objects_that_it_names(
    site: Site, shop: psycopg.Connection, clock: Clock
) -> None:
    back_up(site, HOURLY)
    prove(site, HOURLY)
    backed_up_later(site, clock, NEXT)
    proof = prove(site, NEXT)
    assert (proof.restored, proof.verdict) == (HOURLY.backup_id, "matches")
    assert line_of(site, NEXT)["recovery_tested"] is True


@pytest.mark.parametrize(
    "change",
    [
        "insert into clientes (nome) values ('nova')",
        "update pedidos set valor = valor + 1 where id = 1",
        "delete from pedidos where id = 1",
        "truncate pedidos",
        "alter table vazia add b int",
        "create index on pedidos (valor)",
        "create unlogged table solta (a int)",
        "select nextval('clientes_id_seq')",
        "select lo_create(0)",
        "comment on database {database} is 'outra'",
    ],
)
def test_whatever_changed_is_dumped(
    site: Site,
    shop: psycopg.Connection,
    clock: Clock,
    change: str,
    database_name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    back_up(site, HOURLY)
    shop.execute(change.format(database=database_name))
    with counted_dumps(monkeypatch) as dumps:
        backed_up_later(site, clock, NEXT)
    assert len(dumps) == 1
    assert line_of(site, NEXT)["same_as"] is None


def test_a_change_that_was_under_way_at_the_last_dump_is_dumped_when_it_is_committed(
    site: Site, shop: psycopg.Connection, application: psycopg.Connection, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with application.transaction():
        application.execute("insert into clientes (nome) values ('demorada')")
        shop.execute("insert into clientes (nome) values ('depois')")
        back_up(site, HOURLY)
    with counted_dumps(monkeypatch) as dumps:
        backed_up_later(site, clock, NEXT)
    assert len(dumps) == 1
    manifest = catalog.in_bucket(site.bucket, "hourly", NEXT.backup_id)
    assert manifest is not None
    assert {table.identity: table.rows for table in manifest.tables}["public.clientes"] == 52


def test_a_change_that_is_undone_is_dumped_all_the_same(
    site: Site, shop: psycopg.Connection, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(site, HOURLY)
    shop.execute("begin; insert into clientes (nome) values ('nunca'); rollback")
    with counted_dumps(monkeypatch) as dumps:
        backed_up_later(site, clock, NEXT)
    assert len(dumps) == 1  # its sequence has moved


@pytest.mark.parametrize("damage", ["on disk", "everywhere"])
def test_where_what_is_there_does_not_verify_a_dump_is_taken(
    site: Site, shop: psycopg.Connection, clock: Clock, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(site, HOURLY)
    spoil(site.settings.folder / f"{HOURLY.backup_id}.sql.gz", flip)
    if damage == "everywhere":
        site.bucket.delete(f"hourly/{HOURLY.backup_id}.sql.gz")
    with counted_dumps(monkeypatch) as dumps:
        backed_up_later(site, clock, NEXT)
    assert len(dumps) == 1


def test_without_the_list_of_our_own_transactions_a_dump_is_taken(
    site: Site, shop: psycopg.Connection, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(site, HOURLY)
    (site.settings.folder / ".own-transactions").unlink()
    with counted_dumps(monkeypatch) as dumps:
        backed_up_later(site, clock, NEXT)
    assert len(dumps) == 1


def test_after_an_outage_the_backup_whose_files_are_named_is_archived_first(
    make_site: MakeSite, source_url: str, shop: psycopg.Connection, clock: Clock
) -> None:
    site = make_site(source_url)
    fill(site, HOURLY)
    seal(site, HOURLY)  # S3 is down: it is not archived
    clock.now = NEXT.due + timedelta(minutes=10)
    fill(site, NEXT)
    seal(site, NEXT)
    archive(site, NEXT)
    assert verify_backup(site, NEXT.backup_id, remote=True).whole
    assert verify_backup(site, HOURLY.backup_id, remote=True).whole
    assert archive(site, HOURLY).reused


def test_full_tiers_are_dumped_though_nothing_changed(
    site: Site, shop: psycopg.Connection, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.now = DAILY.due - timedelta(minutes=50)
    back_up(site, Slot("hourly", DAILY.due - HOUR))
    clock.now = DAILY.due + timedelta(minutes=1)
    with counted_dumps(monkeypatch) as dumps:
        back_up(site, DAILY)
    assert len(dumps) == 1


def test_what_only_stands_for_an_earlier_dump_is_promoted_to_no_longer_tier(
    site: Site, shop: psycopg.Connection, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.now = DAILY.due - timedelta(minutes=50)
    back_up(site, Slot("hourly", DAILY.due - HOUR))
    clock.now = DAILY.due + timedelta(minutes=1)
    back_up(site, HOURLY)
    assert line_of(site, HOURLY)["same_as"] == Slot("hourly", DAILY.due - HOUR).backup_id
    with counted_dumps(monkeypatch) as dumps:
        back_up(site, DAILY)
    assert len(dumps) == 1


@pytest.fixture
def poor(make_site: MakeSite, source_url: str, shop: psycopg.Connection) -> Site:
    """A site whose budget allows a dump every few hours."""
    site = make_site(source_url)
    once = make_site(source_url, folder=site.settings.folder.with_name("measured"))
    read = fill(once, DAILY).manifest
    gb = 235 * sum(file.plain_size for file in read.files) / 1e9
    object.__setattr__(site.settings, "policy", site.policy.model_copy(update={"max_monthly_egress_gb": gb}))
    return site


def test_beyond_the_budget_a_slot_is_left_out_with_its_reason_and_is_no_failure(
    poor: Site, shop: psycopg.Connection, clock: Clock
) -> None:
    back_up(poor, DAILY)
    shop.execute("insert into clientes (nome) values ('nova')")
    clock.now = NEXT.due + timedelta(minutes=10)
    left = take_dump(poor, NEXT)
    assert isinstance(left, Skipped)
    assert "allows a dump at one due time in 4" in left.why
    line = line_of(poor, NEXT)
    assert (line["status"], line["error"], line["egress_bytes"]) == ("skipped", left.why, 0)
    assert catalog.on_disk(poor.settings.folder, NEXT.backup_id) is None
    again = take_dump(poor, NEXT)
    assert isinstance(again, Skipped)


def test_beyond_the_budget_a_slot_is_filled_when_enough_time_has_passed(
    poor: Site, shop: psycopg.Connection, clock: Clock
) -> None:
    back_up(poor, DAILY)
    taken = []
    for hours in range(1, 10):
        shop.execute("insert into clientes (nome) values ('nova')")
        clock.now = TOGETHER + hours * HOUR + timedelta(minutes=1)
        taken.append(not isinstance(take_dump(poor, Slot("hourly", TOGETHER + hours * HOUR)), Skipped))
    filled = [hours for hours, each in enumerate(taken, 1) if each]
    assert filled[0] == 4
    assert filled[1] - filled[0] in (4, 5)  # what was left out is recorded in the database too: it grows


def test_beyond_the_budget_an_unchanged_slot_is_filled(poor: Site, shop: psycopg.Connection, clock: Clock) -> None:
    back_up(poor, DAILY)
    backed_up_later(poor, clock, NEXT)
    assert line_of(poor, NEXT)["same_as"] == DAILY.backup_id


def test_a_dump_that_failed_half_way_was_paid_for(
    site: Site, shop: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails_half_way(site, DAILY, monkeypatch)
    failed = line_of(site, DAILY)
    assert failed["status"] == "failed"
    spent = failed["egress_bytes"]
    assert isinstance(spent, int)
    assert spent > 0
    manifest = fill(site, DAILY).manifest
    assert line_of(site, DAILY)["egress_bytes"] == spent + sum(file.plain_size for file in manifest.files)


def test_the_price_and_the_real_recovery_point_are_said(poor: Site, shop: psycopg.Connection, clock: Clock) -> None:
    assert price(poor, "hourly") is None
    # The records tell when a snapshot was taken by the database's clock, which is not the test's.
    back_up(poor, DAILY)
    found = price(poor, "hourly")
    assert found is not None
    assert found.cadence.every == 4
    assert found.recovery_point >= 4 * HOUR
    assert "at one due time in 4" in found.said()
    assert list(records.lines(poor.settings.folder))


def test_a_managed_servers_role_can_tell_that_nothing_changed(
    make_site: MakeSite, project_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(project_url)
    back_up(site, HOURLY)
    with counted_dumps(monkeypatch) as dumps:
        for hours in range(1, 5):  # that server's own housekeeping may be a transaction, in one of them
            backed_up_later(site, clock, Slot("hourly", TOGETHER + hours * HOUR))
    assert len(dumps) < 4
    with psycopg.connect(project_url, autocommit=True) as application, counted_dumps(monkeypatch) as dumps:
        application.execute("create table public.novidade as select 1 as id")
        try:
            backed_up_later(site, clock, Slot("hourly", TOGETHER + 5 * HOUR))
        finally:
            application.execute("drop table public.novidade")
    assert len(dumps) == 1


@pytest.mark.parametrize("first", [DAILY, QUARTERLY], ids=["daily first", "quarterly first"])
def test_an_unchanged_hour_never_names_what_is_frozen(
    site: Site, shop: psycopg.Connection, clock: Clock, first: Slot
) -> None:
    back_up(site, first, *({DAILY, QUARTERLY} - {first}))
    backed_up_later(site, clock, NEXT)
    manifest = catalog.in_bucket(site.bucket, "hourly", NEXT.backup_id)
    assert manifest is not None
    assert manifest.same_as == DAILY.backup_id
    there = site.bucket.head(catalog.key_of(manifest.dump.name))
    assert there is not None
    assert not there.frozen


def test_an_unchanged_hour_names_no_files_of_a_tier_that_the_policy_no_longer_has(
    site: Site, shop: psycopg.Connection, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(site, DAILY)
    tiers = {("nightly" if name == "daily" else name): tier for name, tier in site.policy.tiers.items()}
    object.__setattr__(site.settings, "policy", site.policy.model_copy(update={"tiers": tiers}))
    with counted_dumps(monkeypatch) as dumps:
        backed_up_later(site, clock, NEXT)
    assert len(dumps) == 1
    assert verify_backup(site, DAILY.backup_id, remote=True).whole


def test_archiving_an_unchanged_hour_does_not_whitewash_the_backup_that_it_names(
    site: Site, shop: psycopg.Connection, clock: Clock
) -> None:
    back_up(site, DAILY)
    clock.now = NEXT.due + timedelta(minutes=10)
    fill(site, NEXT)
    seal(site, NEXT)
    records.change(
        site, DAILY.backup_id, status="failed", error="the restored copy is not the source", failed_in="proof"
    )
    archive(site, NEXT)
    archive(site, DAILY)
    assert line_of(site, DAILY)["status"] == "failed"


def test_what_failed_attempts_have_read_does_not_count_as_the_size_of_a_dump(
    site: Site, shop: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        fails_half_way(site, DAILY, monkeypatch)
    manifest = fill(site, DAILY).manifest
    spent = spent_so_far(records.lines(site.settings.folder), datetime.now(UTC))
    assert spent.dump_bytes == sum(file.plain_size for file in manifest.files)
    assert spent.month_bytes > 2 * spent.dump_bytes


def test_all_that_is_on_disk_is_verified_past_what_is_in_s3_alone(
    site: Site, shop: psycopg.Connection, clock: Clock
) -> None:
    back_up(site, DAILY, WEEKLY)
    backed_up_later(site, clock, NEXT)
    ids = chosen(site, latest=None, remote=False)
    assert ids == [NEXT.backup_id, DAILY.backup_id]
    assert all(verify_backup(site, each, remote=False).whole for each in ids)
    assert set(chosen(site, latest=None, remote=True)) == {*ids, WEEKLY.backup_id}
