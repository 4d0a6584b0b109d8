"""A recovery drill: it finds what is wrong, measures, keeps the record, and leaves nothing behind."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from desbuquei_backups.core.comparison import Verdict
from desbuquei_backups.core.errors import IntegrityError, OutOfReach
from desbuquei_backups.core.evidence import Kind, sha256_of
from desbuquei_backups.core.targets import Target
from desbuquei_backups.core.tiers import load_policy
from desbuquei_backups.core.wal_points import RecoveryPoint
from desbuquei_backups.operations import drill_record
from desbuquei_backups.operations.copies import Place
from desbuquei_backups.operations.drill import drill
from desbuquei_backups.operations.drill_record import ACCEPTING, DrillRecord
from desbuquei_backups.operations.recovered_copy import Wanted
from desbuquei_backups.operations.status import status
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups.validation.checks import recovery_time_within_objective
from desbuquei_backups_tests.operations.altered_base import with_an_altered_page
from desbuquei_backups_tests.operations.chains import content_of, links
from desbuquei_backups_tests.operations.losses import Watching, children
from desbuquei_backups_tests.operations.story import POINT, Story, killed_while_its_server_runs, store_wal
from desbuquei_backups_tests.operations.test_recover import replaced, store

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


def test_a_drill_proves_a_recovery_from_s3_and_leaves_nothing_but_its_record(story: Story) -> None:
    bucket = Bucket(story.site.settings.s3_url, story.site.settings.aws)
    for beat in story.beats:
        bucket.put_bytes(f"wal/{beat.system_identifier}/points/{beat.name}.json", beat.to_bytes(), tags={})
    record = drill(story.site, Wanted(Target(name=POINT)))
    assert record.faults == []
    assert record.checked == [
        "every database read, every table counted",
        "heartbeats: hourly-before, hourly-after",
        "pg_amcheck, every database",
        "page checksums",
    ]
    (database,) = record.databases
    assert database.counted["public.ledger"] == len(story.before(story.point))
    assert database.counted["public.accounts"] == 100
    assert {"fetch and unpack", "verify", "replay", "check", ACCEPTING} <= record.seconds.keys()
    assert record.present_size is not None
    assert list(story.site.settings.home.iterdir()) == []
    (key,) = bucket.keys("drills/")
    assert DrillRecord.model_validate_json(b"".join(bucket.read(key))) == record
    (link,) = [each for each in links(bucket) if each.kind is Kind.DRILLED]
    assert (link.body["key"], link.body["sha256"]) == (key, sha256_of(content_of(bucket, key)))
    assert (link.body["backup_id"], link.body["faults"]) == (record.backup_id, [])
    assert drill_record.newest(story.site) == record
    assert status(story.site).last_drill == record
    elsewhere = replace(story.site, settings=replace(story.site.settings, backup_dir=story.ground / "nowhere"))
    assert drill_record.newest(elsewhere) == record
    assert kept(record, record.recovery_seconds * 100) is Verdict.MATCHES
    assert kept(record, record.recovery_seconds - 0.001) is Verdict.DIFFERS


def kept(record: DrillRecord, objective: float) -> Verdict:
    policy = load_policy().model_copy(update={"recovery_time_objective": timedelta(seconds=objective)})
    return recovery_time_within_objective(policy, record).verdict


def test_an_altered_page_and_a_row_that_is_on_the_wrong_side_of_the_target_are_found(story: Story) -> None:
    urls = {"DESBUQUEI_S3_URL": f"{story.site.settings.s3_url}/spoilt"}
    with story.origin.connect() as connection:
        (file,) = connection.execute("select pg_relation_filepath('unchanged')").fetchone()
    with story.changed() as changed:
        settings = replace(changed.site.settings, urls=urls)
        site = replace(changed.site, settings=settings)
        manifest = with_an_altered_page(settings.folder, story.manifest, file)
        store(site, settings.folder, manifest)
        store_wal(site.bucket, manifest, story.segments)
        before, after = story.beats
        # No row was ever committed for the one; the other's was, before the target.
        for beat in (replaced_name(before, "lost"), replaced_name(after, before.name)):
            site.bucket.put_bytes(f"wal/{beat.system_identifier}/points/{beat.name}.json", beat.to_bytes(), tags={})
        record = drill(site, Wanted(Target(name=POINT)))
    said = "\n".join(record.faults)
    assert "the heartbeat lost is not there, and was committed before the target" in said
    assert f"the heartbeat {before.name} is there, and is later" in said
    assert "database postgres: reading postgres: invalid page in block 0" in said
    assert "pg_checksums 17" in said
    assert "pg_amcheck: " in said
    assert record.databases == []
    assert list(story.site.settings.home.iterdir()) == []


def replaced_name(beat: RecoveryPoint, name: str) -> RecoveryPoint:
    return beat.model_copy(update={"name": name})


def test_one_that_fails_leaves_no_server_no_folder_and_no_record(story: Story) -> None:
    home, servers = story.site.settings.home, children("postgres")

    def cut() -> None:
        assert len(children("postgres")) > len(servers)
        raise KeyboardInterrupt

    site = replace(story.site, progress=Watching(at={"counting every table": cut}))
    records = list(site.bucket.keys("drills/"))
    with pytest.raises(KeyboardInterrupt):
        drill(site, Wanted(Target(name=POINT), Place.DISK))
    assert (children("postgres"), list(home.iterdir())) == (servers, [])
    with story.changed() as changed:
        replaced(changed.segments[-1], lambda content: content[:100])
        with pytest.raises(IntegrityError):
            drill(changed.site, Wanted(Target(), Place.DISK))
    assert (children("postgres"), list(home.iterdir())) == (servers, [])
    assert list(site.bucket.keys("drills/")) == records


def test_what_one_left_that_was_killed_goes_with_the_next_one(story: Story) -> None:
    home = story.site.settings.home

    def data() -> Path | None:
        return next(home.glob(".drill-*/data"), None)

    killed_while_its_server_runs(story.command("drill", "--to", POINT, home=home), data)
    assert data() is not None
    with pytest.raises(OutOfReach):
        drill(story.site, Wanted(Target(position=0)))
    assert list(home.iterdir()) == []
