"""A proof, a drill or a check's result that was edited, removed or put in another one's place must be found, and named,
by who has nothing but the bucket."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from desbuquei_backups.core.evidence import FOLDER, Kind, link_key, sha256_of
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import drill_record, evidence, said
from desbuquei_backups.operations.chain_audit import audit
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups_tests.conftest import Clock, MakeSite
from desbuquei_backups_tests.operations.chains import content_of, links, overwrite, swap, told
from desbuquei_backups_tests.operations.vault import proven
from desbuquei_backups_tests.validation.test_recovery_time import recorded

TRUE = {"check": "retention_is_honoured", "verdict": "matches", "summary": "3 match"}
FALSE = {"check": "retention_is_honoured", "verdict": "does not match", "summary": "1 differs"}


@pytest.fixture
def spoken(make_site: MakeSite, clock: Clock) -> Site:
    """Two backups, links 1 to 4; a proof of each, 5 and 6; two drills, 7 and 8; two results of no backup, 9 and 10."""
    site = make_site(None)
    for backup_id in told(site, 1, 2):
        record, stored = proven(site.bucket, backup_id)
        said.proven(site, record, stored)
    for hour in (1, 2):
        record = recorded(drilled_at=clock.now + timedelta(hours=hour))
        said.drilled(site, record, drill_record.keep(site, record))
    said.general_checks(site, "retention", [FALSE])
    said.general_checks(site, "retention", [TRUE])
    return site


def test_what_nobody_touched_is_unbroken_and_counted(spoken: Site) -> None:
    done = audit(spoken)
    assert (done.whole, done.links, done.proofs, done.drills) == (True, 10, 2, 2)
    assert [link.kind for link in links(spoken.bucket)[4:]] == [Kind.PROVEN] * 2 + [Kind.DRILLED] * 2 + [
        Kind.CHECKS
    ] * 2
    assert links(spoken.bucket)[4].body["verdict"] == "matches"


def _keys(bucket: Bucket, what: str) -> list[str]:
    return (
        list(bucket.keys("drills/")) if what == "drill" else [key for key in bucket.keys("daily/") if ".proof-" in key]
    )


def _edit(bucket: Bucket, keys: list[str]) -> None:
    overwrite(bucket, keys[0], content_of(bucket, keys[0]).replace(b" ", b"  ", 1))


def _delete(bucket: Bucket, keys: list[str]) -> None:
    bucket.delete(keys[0])


def _exchange(bucket: Bucket, keys: list[str]) -> None:
    one, other = (content_of(bucket, key) for key in keys)
    overwrite(bucket, keys[0], other)
    overwrite(bucket, keys[1], one)


@pytest.mark.parametrize("what", ["proof", "drill"])
@pytest.mark.parametrize(
    ("tamper", "fault", "named"), [(_edit, "altered", 1), (_delete, "gone", 1), (_exchange, "altered", 2)]
)
def test_a_record_that_was_tampered_with_is_named(
    spoken: Site, what: str, tamper: Callable[[Bucket, list[str]], None], fault: str, named: int
) -> None:
    keys = _keys(spoken.bucket, what)
    tamper(spoken.bucket, keys)
    found = audit(spoken).breaks
    expected = f"{what} {fault}" if what == "proof" else f"{what} record {fault}"
    assert [(each.fault, each.key) for each in found] == [(expected, key) for key in keys[:named]]
    assert all((each.key or "") in each.said() for each in found)
    assert [each.backup_id for each in found] == [
        Slot.of_id(key[6:29]).backup_id if what == "proof" else None for key in keys[:named]
    ]


def test_a_link_that_is_added_to_speak_of_an_edited_record_makes_it_no_better(spoken: Site) -> None:
    key = _keys(spoken.bucket, "proof")[0]
    _edit(spoken.bucket, [key])
    told = {**links(spoken.bucket)[4].body, "sha256": sha256_of(content_of(spoken.bucket, key))}
    evidence.owe(spoken, Kind.PROVEN, links(spoken.bucket)[4].backup_id, told)
    evidence.send(spoken)
    assert [(each.fault, each.key) for each in audit(spoken).breaks] == [("proof altered", key)]


@pytest.mark.parametrize("number", [5, 7, 9], ids=["proof", "drill", "checks"])
def test_a_link_that_speaks_of_one_cannot_be_edited_removed_or_exchanged_either(spoken: Site, number: int) -> None:
    bucket, key = spoken.bucket, link_key(number)
    whole = content_of(bucket, key)
    overwrite(bucket, key, whole.replace(b'"matches"', b'"match"').replace(b"  ", b" ").replace(b'"body"', b'"body" '))
    assert [(each.fault, each.sequence) for each in audit(spoken).breaks if each.sequence] == [("altered", number)]
    bucket.delete(key)
    assert [(each.fault, each.sequence) for each in audit(spoken).breaks if each.sequence] == [("missing", number)]
    overwrite(bucket, key, whole)
    swap(bucket, number, number + 1)
    reordered = {each.sequence for each in audit(spoken).breaks if each.fault == "reordered"}
    assert reordered == {number, number + 1}
    swap(bucket, number, number + 1)
    assert audit(spoken).whole


def test_the_proofs_of_a_backup_go_with_it_when_it_is_pruned(spoken: Site) -> None:
    slot = Slot.of_id("daily-2026-01-01-020000")
    keys = [key for key in spoken.bucket.keys("daily/") if key.startswith(f"daily/{slot.backup_id}")]
    said.pruned(spoken, slot, "over", [], cut_off_since=None)
    for key in keys:
        spoken.bucket.delete(key)
    done = audit(spoken)
    assert (done.whole, done.proofs) == (True, 1)


def test_one_that_is_pruned_while_the_chain_is_walked_is_no_break(spoken: Site) -> None:
    slot, pruned = Slot.of_id("daily-2026-01-01-020000"), []

    def heard(_: object) -> None:
        if not pruned:
            pruned.append(slot)
            said.pruned(spoken, slot, "over", [], cut_off_since=None)
            for key in [key for key in spoken.bucket.keys("daily/") if key.startswith(f"daily/{slot.backup_id}")]:
                spoken.bucket.delete(key)

    assert audit(spoken, heard=heard).whole
    assert len(list(spoken.bucket.keys(FOLDER))) == 11


def test_who_has_no_backup_folder_drills_and_says_nothing(spoken: Site, tmp_path) -> None:
    elsewhere = replace(spoken, settings=replace(spoken.settings, backup_dir=tmp_path / "nowhere"))
    record = recorded(drilled_at=spoken.now() + timedelta(hours=3))
    said.drilled(elsewhere, record, drill_record.keep(elsewhere, record))
    assert not (tmp_path / "nowhere").exists()
    assert (audit(spoken).whole, len(_keys(spoken.bucket, "drill"))) == (True, 3)
