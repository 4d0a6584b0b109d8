"""What is said of the WAL: a gap, a base from before the slot, an archive that is late, a slot that fills a disk."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from desbuquei_backups.core.comparison import Verdict
from desbuquei_backups.core.manifest import BaseFacts, FileFacts, Manifest, Role
from desbuquei_backups.core.wal import Segment, show_lsn
from desbuquei_backups.core.wal_points import DeclaredGap
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.slot_safety import is_urgent, slot_safety
from desbuquei_backups.operations.wal_bucket import clusters, gap_key, listed, point_key
from desbuquei_backups.operations.wal_findings import recovery_point
from desbuquei_backups.operations.wal_pruning import plan_wal, prune_wal
from desbuquei_backups.operations.wal_state import WalState, wal_state
from desbuquei_backups.postgres.wal import Slot
from desbuquei_backups_tests.examples import example_manifest
from desbuquei_backups_tests.operations.wal import SLOT, drained, said, there, write

HOUR = timedelta(hours=1)
MB = 1_000_000


def with_base(site: Site, day: datetime, start: int, *, of: str | None = None) -> Manifest:
    """The archived manifest of a daily whose base backup began in that segment, `of` the one cluster there is."""
    backup_id = f"daily-{day:%Y-%m-%d}-020000"
    (identifier,) = [of] if of is not None else clusters(site.bucket)
    facts = example_manifest()
    base = FileFacts(
        name=f"{backup_id}.base.tar.zst", role=Role.BASE, size=9, plain_size=9, md5="0" * 32, sha256="0" * 64
    )
    manifest = example_manifest(
        backup_id=backup_id,
        slot=day,
        taken_at=day,
        files=[*facts.files, base],
        server=facts.server.model_copy(update={"system_identifier": identifier}),
        base=BaseFacts(
            timeline=1,
            start_lsn=show_lsn(start + 40),
            stop_lsn=show_lsn(start + 400),
            stopped_at=day,
            size=9,
            duration_seconds=1,
            tool="17.10",
        ),
    )
    site.bucket.put_bytes(f"daily/{base.name}", b"unread...", tags={})
    site.bucket.put_bytes(f"daily/{backup_id}.manifest.json", manifest.to_bytes(), tags={})
    return manifest


def state_of(site: Site) -> WalState:
    found = wal_state(site)
    assert isinstance(found, WalState)
    return found


def segments(site: Site) -> list[Segment]:
    return sorted(Segment.of_name(name) for name in there(site).segments)


def forget(site: Site, *lost: Segment) -> None:
    (identifier,) = clusters(site.bucket)
    for segment in lost:
        site.bucket.delete(f"wal/{identifier}/{segment.name}.zst")


def test_all_is_well_from_the_base_to_where_the_server_is(wal_site, own_server, clock) -> None:
    write(own_server, 2)
    drained(wal_site)
    with_base(wal_site, clock.now, segments(wal_site)[1].start)
    assert said(wal_site, untrue_only=True) == {}
    # An idle hour is no alarm, whatever the time.
    late = recovery_point(state_of(wal_site), timedelta(0))
    assert late.verdict is Verdict.MATCHES


def test_a_segment_that_is_missing_in_the_middle_is_named(wal_site, own_server, clock) -> None:
    write(own_server, 4)
    drained(wal_site)
    have = segments(wal_site)
    with_base(wal_site, clock.now, have[0].start)
    forget(wal_site, have[2])
    (why,) = said(wal_site, untrue_only=True).values()
    assert why.startswith(have[2].name)
    assert "no base backup was taken after it" in why


def test_a_gap_that_was_declared_and_has_a_base_after_it_is_neither_good_nor_bad(wal_site, own_server, clock) -> None:
    write(own_server, 5)
    drained(wal_site)
    have = segments(wal_site)
    with_base(wal_site, clock.now - timedelta(days=1), have[0].start)
    forget(wal_site, have[2])
    gap = DeclaredGap(
        system_identifier=clusters(wal_site.bucket)[0],
        timeline=1,
        start=show_lsn(have[2].start),
        end=show_lsn(have[2].end),
        why="the slot was lost",
        declared_at=clock.now,
    )
    wal_site.bucket.put_if_absent(gap_key(gap), gap.to_bytes())
    assert len(said(wal_site, untrue_only=True)) == 1
    after = with_base(wal_site, clock.now, have[3].start)
    assert said(wal_site, untrue_only=True) == {}
    (why,) = [why for subject, why in said(wal_site).items() if subject.startswith("WAL 0/")]
    assert f"{after.backup_id} was taken after it" in why


def test_a_base_from_before_the_slot_has_no_wal_after_it(wal_site, own_server, clock) -> None:
    drained(wal_site)
    # As if the slot had begun three segments after the base was whole.
    first = segments(wal_site)[0]
    write(own_server, 4)
    drained(wal_site, "hourly-2026-02-02-040000")
    with_base(wal_site, clock.now, first.start)
    forget(wal_site, *segments(wal_site)[:3])
    (why,) = said(wal_site, untrue_only=True).values()
    # The segment that the base stopped in is in the base itself; what is missing begins after it.
    assert why.startswith(f"{Segment(first.timeline, first.number + 1, first.size).name} to ")


def test_the_segment_that_a_base_holds_itself_is_not_missed_in_s3(wal_site, own_server, clock) -> None:
    write(own_server, 4)
    drained(wal_site)
    first = segments(wal_site)[0]
    with_base(wal_site, clock.now, first.start)
    forget(wal_site, first)
    assert said(wal_site, untrue_only=True) == {}


def test_an_archive_that_does_nothing_for_a_while_is_late(wal_site, own_server) -> None:
    drained(wal_site)
    with own_server.connect() as connection:
        connection.execute("create table t as select 1 as a")
    state = state_of(wal_site)
    assert state.age is not None
    assert state.age > timedelta(0)
    assert recovery_point(state, HOUR).verdict is Verdict.MATCHES
    assert recovery_point(state, timedelta(0)).verdict is Verdict.DIFFERS


def test_with_the_slot_gone_what_is_not_in_s3_is_not_on_its_way(wal_site, own_server) -> None:
    drained(wal_site)
    with own_server.connect() as connection:
        connection.execute("select pg_drop_replication_slot(%s)", (SLOT,))
    write(own_server, 2)
    untrue = said(wal_site, untrue_only=True)
    assert "nothing keeps what is between" in untrue["the newest segment against the server"]
    assert untrue["slot"].startswith("there is none")


def test_wal_that_no_base_of_the_window_needs_goes_and_nothing_else(wal_site, own_server, clock) -> None:
    write(own_server, 5)
    drained(wal_site)
    have = segments(wal_site)
    assert [len(planned.keys) for planned in plan_wal(wal_site)] == [0]
    with_base(wal_site, clock.now - timedelta(days=9), have[1].start)
    with_base(wal_site, clock.now - timedelta(days=8), have[3].start)
    with_base(wal_site, clock.now - timedelta(days=6), have[4].start)
    (identifier,) = clusters(wal_site.bucket)
    for name in ("hourly-2026-01-20-030000", "antes_da_migracao"):
        wal_site.bucket.put_bytes(point_key(identifier, name), b"unread", tags={})  # by its name alone
    elsewhere = replace(wal_site, settings=replace(wal_site.settings, prunes_s3=False))
    (planned,) = plan_wal(elsewhere)
    assert ", 0 would go;" in planned.said()
    assert planned.said().endswith("; pruned from elsewhere")
    (planned,) = plan_wal(wal_site)
    assert ", 4 would go;" in planned.said()
    (done,) = prune_wal(wal_site)
    assert (done.gone, done.locked) == (4, 0)
    assert listed(wal_site.bucket, identifier).points == ["antes_da_migracao", "hourly-2026-02-02-030000"]
    wal_site.bucket.delete(point_key(identifier, "antes_da_migracao"))
    assert segments(wal_site) == have[3:]
    assert said(wal_site, untrue_only=True) == {}


def slot(**changed: object) -> Slot:
    values = {"held": 0, "left": None, "most": None, "status": "reserved", "active": False, "restart": 1}
    return Slot(name=SLOT, **{**values, **changed})


@pytest.mark.parametrize(
    ("found", "verdict", "urgent"),
    [
        (slot(held=400 * MB, most=1000 * MB), Verdict.MATCHES, False),
        (slot(held=500 * MB, most=1000 * MB), Verdict.DIFFERS, False),
        (slot(held=900 * MB, most=1000 * MB), Verdict.DIFFERS, True),
        (slot(held=600 * MB, most=1000 * MB, status="unreserved"), Verdict.DIFFERS, True),
        (slot(held=900 * MB), Verdict.UNCOMPARED, False),
        (slot(status="lost", restart=None), Verdict.DIFFERS, True),
        (None, Verdict.DIFFERS, True),
    ],
)
def test_a_slot_that_would_fill_the_server_s_disk_is_a_warning_and_then_an_error(
    found: Slot | None, verdict: Verdict, urgent: bool
) -> None:
    (finding,) = slot_safety(found)
    assert (finding.verdict, is_urgent(found)) == (verdict, urgent)
