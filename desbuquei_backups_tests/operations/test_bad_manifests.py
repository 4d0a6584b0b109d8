"""A manifest in the bucket that is missing, damaged, too new or another's: it is named, and hides no other backup."""

import json
from collections.abc import Callable

import pytest

from desbuquei_backups.core.comparison import Verdict
from desbuquei_backups.core.errors import IntegrityError, NotFound
from desbuquei_backups.core.manifest import Manifest
from desbuquei_backups.operations import inventory
from desbuquei_backups.operations.destination import Destination, destination
from desbuquei_backups.operations.restore import Wanted, restore
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.verification import chosen
from desbuquei_backups.operations.verify_in_turn import verify_in_turn
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups_tests.operations.tiers import back_up
from desbuquei_backups_tests.operations.vault import manifest_of
from desbuquei_backups_tests.urls import with_database

BAD, OTHER = "daily-2026-01-30-020000", "daily-2026-01-31-020000"


@pytest.fixture
def into(target: str) -> Destination:
    return destination(target)


def spoilt(manifest: Manifest, **changed: object) -> bytes:
    return json.dumps({**json.loads(manifest.to_bytes()), **changed}).encode()


_BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "truncated": (lambda: manifest_of(BAD).to_bytes()[:300], "cannot be read"),
    "empty": (lambda: b"", "cannot be read"),
    "altered": (lambda: spoilt(manifest_of(BAD), files=None), "cannot be read: files"),
    "too new": (lambda: spoilt(manifest_of(BAD), schema_version=2), "was written by a newer desbuquei_backups"),
    "renamed": (lambda: manifest_of(OTHER).to_bytes(), f"is that of '{OTHER}'"),
}


@pytest.mark.parametrize("bad", _BAD)
def test_a_manifest_that_cannot_be_read_is_named_and_the_others_are_there(
    site: Site, shop, slot, bucket: Bucket, into, scratch, bad: str
) -> None:
    back_up(site, slot)
    content, said = _BAD[bad]
    key = f"daily/{BAD}.manifest.json"
    bucket.put_bytes(key, content(), tags={})
    listing = inventory.remote(site)
    assert [each.backup_id for each in listing.held] == [slot.backup_id]
    (fault,) = listing.faults
    assert bucket.uri(key) in fault
    assert said in fault
    turn = verify_in_turn(site, chosen(site, latest=None, remote=True), budget=None)
    assert {each.backup_id: each.whole for each in turn.done} == {BAD: False, slot.backup_id: True}
    assert [file.faults for each in turn.done for file in each.files if file.faults] == [[fault]]
    with pytest.raises(IntegrityError) as refused:
        restore(site, BAD, into, Wanted())
    assert (refused.value.backup_id, refused.value.what) == (BAD, fault)
    assert refused.value.remedy
    assert not scratch.execute("select from pg_database where datname = %s", (into.name,)).fetchall()
    assert b"".join(bucket.read(key)) == content()


def test_a_manifest_that_is_missing_is_no_backup_and_says_what_there_is(site: Site, shop, slot, bucket, into) -> None:
    back_up(site, slot)
    bucket.put_bytes(f"daily/{BAD}.sql.gz", b"left of an archive", tags={})
    assert [each.backup_id for each in inventory.remote(site).held] == [slot.backup_id]
    assert chosen(site, latest=None, remote=True) == [slot.backup_id]
    with pytest.raises(NotFound, match="not archived in") as missing:
        restore(site, BAD, into, Wanted())
    assert "desbuquei list --remote" in missing.value.remedy


def test_a_backup_of_another_servers_life_is_restored_and_the_mixture_is_named(
    site: Site, shop, slot, bucket, into, make_site
) -> None:
    (done,) = back_up(site, slot)
    server = done.manifest.server.model_copy(update={"system_identifier": "7"})
    older = done.manifest.model_copy(update={"server": server})
    bucket.delete(f"daily/{slot.backup_id}.manifest.json")
    bucket.put_bytes(f"daily/{slot.backup_id}.manifest.json", older.to_bytes(), tags={})
    changed = {"system_identifier": "8", "database": older.server.database}
    bucket.put_bytes(f"daily/{OTHER}.manifest.json", manifest_of(OTHER, server=changed).to_bytes(), tags={})
    listing = inventory.remote(site)
    turn = verify_in_turn(site, [slot.backup_id, OTHER], budget=None)
    for notes in (listing.notes, turn.notes):
        (note,) = notes
        assert note == (
            f"backups of 2 servers, as after an upgrade or a move (system identifiers): 7: {slot.backup_id}; 8: {OTHER}"
        )
    assert listing.faults == []
    assert restore(site, slot.backup_id, into, Wanted()).verdict is Verdict.MATCHES


def test_a_backup_of_another_database_is_named_and_restored_when_it_is_asked_for(
    site: Site, shop, slot, into, make_site, source_url
) -> None:
    back_up(site, slot)
    ours = site.settings.database_url
    name = source_url.rpartition("/")[2].partition("?")[0]
    other = make_site(with_database(ours, "folha"))
    listing = inventory.remote(other)
    assert [each.backup_id for each in listing.held] == [slot.backup_id]
    said = f"of the database {name}, not of folha: {slot.backup_id}; each needs an S3 prefix of its own"
    assert listing.faults == [said]
    assert verify_in_turn(other, [slot.backup_id], budget=None).faults == [said]
    restored = restore(other, slot.backup_id, into, Wanted())
    assert said in restored.notes
    assert restored.verdict is Verdict.MATCHES
    # Where nothing says which database is meant, none is another's.
    assert inventory.remote(make_site(None)).faults == []
