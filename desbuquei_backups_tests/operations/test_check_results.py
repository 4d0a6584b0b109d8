"""What a check found years ago must still be there, whole, and nobody may have edited it since."""

import json
from datetime import timedelta

from desbuquei_backups.core.evidence_walk import Fault
from desbuquei_backups.operations import check_results, said
from desbuquei_backups.operations.chain_audit import audit
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups_tests.conftest import Clock
from desbuquei_backups_tests.fakes import free_port
from desbuquei_backups_tests.operations.chains import content_of, links, overwrite
from desbuquei_backups_tests.operations.tiers import back_up, fill

SHORT = [{"check": "dump_is_complete", "verdict": "matches"}]
WHOLE = [{"check": "dump_is_complete", "verdict": "matches", "findings": [{"subject": "linhas de ação"}]}]


def kept(bucket: Bucket) -> list[str]:
    return [key for key in bucket.keys("daily/") if check_results.PART in key]


def waiting(site: Site) -> list[str]:
    return [path.name for path in (site.settings.folder / "checks-owed").iterdir()]


def test_results_wait_on_disk_until_the_backup_is_archived_and_are_stored_once_beside_its_manifest(
    site, shop, slot, bucket: Bucket, clock: Clock
) -> None:
    fill(site, slot)
    said.checks(site, slot.backup_id, "dump", SHORT, whole=WHOLE)
    assert (kept(bucket), len(waiting(site))) == ([], 1)
    back_up(site, slot)
    clock.pass_by(minutes=1)
    said.checks(site, slot.backup_id, "s3_archive", SHORT)
    assert (len(kept(bucket)), waiting(site)) == (2, [])
    dump, archived = (json.loads(content_of(bucket, key)) for key in kept(bucket))
    assert (dump["step"], dump["checks"], dump["backup_id"]) == ("dump", WHOLE, slot.backup_id)
    assert (archived["step"], archived["checks"]) == ("s3_archive", SHORT)
    said.checks(site, slot.backup_id, "s3_archive", SHORT)
    assert len(kept(bucket)) == 3  # run again: nothing is overwritten
    done = audit(site)
    assert (done.whole, done.checks) == (True, 3)


def test_a_result_that_was_edited_afterwards_is_named(site, shop, slot, bucket: Bucket) -> None:
    back_up(site, slot)
    said.checks(site, slot.backup_id, "restored_copy", [{"check": "content_matches", "verdict": "does not match"}])
    (key,) = kept(bucket)
    overwrite(bucket, key, content_of(bucket, key).replace(b"does not match", b"matches"))
    (found,) = audit(site).breaks
    assert (found.fault, found.backup_id, found.key) == (Fault.CHECKS_ALTERED, slot.backup_id, key)
    assert key in found.said()


def test_an_outage_loses_no_result(site, make_site, source_url, shop, slot, bucket: Bucket) -> None:
    back_up(site, slot)
    down = make_site(source_url, aws={"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{free_port()}"})
    said.checks(down, slot.backup_id, "restored_copy", SHORT)
    assert (kept(bucket), len(waiting(site))) == ([], 1)
    said.checks(site, slot.backup_id, "restored_copy", SHORT)
    assert (len(kept(bucket)), waiting(site)) == (2, [])
    assert [link.body["step"] for link in links(bucket)[-2:]] == ["restored_copy"] * 2


def test_results_of_a_backup_that_was_never_archived_do_not_pile_up(site, slot, clock: Clock) -> None:
    said.checks(site, slot.backup_id, "dump", SHORT)
    clock.pass_by(days=29)
    check_results.try_to_send(site)
    assert len(waiting(site)) == 1
    clock.now += timedelta(days=2)
    check_results.try_to_send(site)
    assert waiting(site) == []
