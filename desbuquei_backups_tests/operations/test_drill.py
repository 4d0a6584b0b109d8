"""A recovery drill: it finds what is wrong, measures, keeps the record, and leaves nothing behind."""

from dataclasses import replace

from desbuquei_backups.core.targets import Target
from desbuquei_backups.operations import drill_record
from desbuquei_backups.operations.drill import drill
from desbuquei_backups.operations.drill_record import ACCEPTING, DrillRecord
from desbuquei_backups.operations.recovered_copy import Wanted
from desbuquei_backups.operations.status import status
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups_tests.operations.story import POINT, Story


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
    assert drill_record.newest(story.site) == record
    assert status(story.site).last_drill == record
    elsewhere = replace(story.site, settings=replace(story.site.settings, backup_dir=story.ground / "nowhere"))
    assert drill_record.newest(elsewhere) == record
