"""What fills a slot already: a bad copy must neither pass for a backup nor stand in the way of the next one."""

import pytest

from desbuquei_backups.core.errors import StoreUnreachable
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations.archive import archive
from desbuquei_backups.operations.dump import take_dump
from desbuquei_backups.operations.seal import seal
from desbuquei_backups.storage import catalog
from desbuquei_backups_tests.fakes import free_port
from desbuquei_backups_tests.operations.losses import flip, spoil


def test_one_damaged_old_manifest_does_not_stop_the_next_backup(site, shop, slot, clock) -> None:
    take_dump(site, slot)
    seal(site, slot)
    catalog.manifest_path(site.settings.folder, slot.backup_id).write_bytes(b"{ half")
    clock.pass_by(days=1)
    following = Slot("daily", site.open_slot("daily").due)
    take_dump(site, following)
    assert not seal(site, following).reused
    assert not archive(site, following).reused


def test_an_unreadable_manifest_of_an_open_slot_is_set_aside_and_the_dump_taken_anew(site, shop, slot) -> None:
    take_dump(site, slot)
    seal(site, slot)
    path = catalog.manifest_path(site.settings.folder, slot.backup_id)
    path.write_bytes(b"{ half")
    assert not take_dump(site, slot).reused
    assert [each for each in (site.settings.folder / "rejected").iterdir() if each.name.startswith(path.name)]
    assert not seal(site, slot).reused


def test_a_bad_copy_on_disk_does_not_stand_in_the_way_of_the_good_one_in_s3(site, shop, slot) -> None:
    take_dump(site, slot)
    manifest = seal(site, slot).manifest
    archive(site, slot)
    spoil(site.settings.folder / manifest.dump.name, flip)
    assert take_dump(site, slot).where == "S3"
    assert seal(site, slot).where == "S3"
    assert all(file.whole for file in archive(site, slot).files)


def test_a_backup_known_to_be_in_s3_is_not_taken_twice_while_s3_is_away(make_site, source_url, shop, slot) -> None:
    site = make_site(source_url)
    take_dump(site, slot)
    seal(site, slot)
    archive(site, slot)
    for path in site.settings.folder.glob("daily-*"):
        path.unlink()
    away = make_site(source_url, aws={"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{free_port()}"})
    with pytest.raises(StoreUnreachable):
        take_dump(away, slot)
    assert take_dump(site, slot).where == "S3"
