"""A manifest that is written without looking seals whatever happens to be there."""

import gzip
import hashlib

import pytest

from desbuquei_backups.core.errors import IntegrityError, NotFound
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations.archive import archive
from desbuquei_backups.operations.dump import take_dump
from desbuquei_backups.operations.seal import seal
from desbuquei_backups.storage import catalog
from desbuquei_backups_tests.operations.losses import flip, line_of, spoil


def test_a_dump_is_read_back_and_sealed_once(site, shop, slot, clock) -> None:
    draft = take_dump(site, slot).manifest
    assert draft.sealed_at is None
    sealed = seal(site, slot)
    assert (sealed.reused, sealed.where) == (False, "disk")
    assert sealed.manifest.sealed_at == clock.now
    assert (
        sealed.sha256
        == hashlib.sha256((site.settings.folder / f"{slot.backup_id}.manifest.json").read_bytes()).hexdigest()
    )
    assert not catalog.draft_path(site.settings.folder, slot.backup_id).exists()
    clock.pass_by(hours=1)
    again = seal(site, slot)
    assert (again.reused, again.manifest) == (True, catalog.on_disk(site.settings.folder, slot.backup_id).manifest)
    assert again.sha256 == sealed.sha256


def test_manifests_are_a_chain(site, shop, slot, clock) -> None:
    take_dump(site, slot)
    first = seal(site, slot)
    clock.pass_by(days=1)
    next_slot = Slot("daily", site.open_slot("daily").due)
    take_dump(site, next_slot)
    assert first.manifest.previous_manifest_sha256 is None
    assert seal(site, next_slot).manifest.previous_manifest_sha256 == first.sha256


@pytest.mark.parametrize(
    ("suffix", "change"),
    [
        ("sql.gz", flip),
        ("sql.gz", lambda data: data[:-1]),
        ("sql.gz", lambda data: data + b"\0"),
        ("sql.gz", lambda data: gzip.compress(b"another")),
        ("sql.gz", None),
        ("globals.sql.gz", flip),
        ("database.sql.gz", None),
    ],
    ids=["flip", "cut", "longer", "replaced", "gone", "roles", "properties"],
)
def test_a_file_that_is_not_what_was_dumped_is_never_sealed(site, shop, slot, losses, suffix: str, change) -> None:
    take_dump(site, slot)
    name = f"{slot.backup_id}.{suffix}"
    path = site.settings.folder / name
    if change:
        spoil(path, change)
    else:
        path.unlink()
    error = losses.fails(site, slot, seal, IntegrityError, "not what was written", spoiled=[name])
    assert name in error.what
    assert not catalog.manifest_path(site.settings.folder, slot.backup_id).exists()
    losses.fails(site, slot, archive, NotFound, "no sealed backup", spoiled=[name])
    assert not list(losses.bucket.keys("daily/"))
    # The way out that the error names:
    assert not take_dump(site, slot).reused
    seal(site, slot)
    archive(site, slot)
    assert (line_of(site, slot)["status"], line_of(site, slot)["error"]) == ("success", None)


@pytest.mark.parametrize("change", [lambda data: data[:-20], lambda data: b""], ids=["cut", "emptied"])
def test_a_manifest_that_cannot_be_read_is_an_error_not_an_empty_slot(site, shop, slot, losses, change) -> None:
    take_dump(site, slot)
    seal(site, slot)
    name = f"{slot.backup_id}.manifest.json"
    spoil(site.settings.folder / name, change)
    for step in (seal, archive):
        with pytest.raises(IntegrityError, match="cannot be read") as caught:
            step(site, slot)
        assert caught.value.backup_id == slot.backup_id
        assert line_of(site, slot)["status"] == "failed"


def test_there_is_nothing_to_seal(site, shop, slot, losses) -> None:
    losses.fails(site, slot, seal, NotFound, "no dump of this slot", status=None)
    assert not (site.settings.folder / "backup-metadata.jsonl").exists()
