"""Encrypted backups: nobody reads them without the identity, and with it nothing is lost."""

from dataclasses import replace
from pathlib import Path

import pytest
from psycopg import sql

from desbuquei_backups.core.comparison import Verdict
from desbuquei_backups.core.errors import IdentityError, IntegrityError
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import inventory, records
from desbuquei_backups.operations.archive import archive
from desbuquei_backups.operations.copies import Place
from desbuquei_backups.operations.destination import destination
from desbuquei_backups.operations.doctor_encryption import encryption
from desbuquei_backups.operations.dump import take_dump
from desbuquei_backups.operations.prune import prune
from desbuquei_backups.operations.restore import Wanted, restore
from desbuquei_backups.operations.restore_tables import restore_tables
from desbuquei_backups.operations.restored_copy import prove
from desbuquei_backups.operations.seal import seal
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.verification import verify_backup
from desbuquei_backups_tests.keys import Key, new_key
from desbuquei_backups_tests.operations.losses import flip, spoil


@pytest.fixture
def ours(tmp_path: Path) -> Key:
    return new_key(tmp_path)


def with_keys(site: Site, *recipients: Key, identity: Key | None = None) -> Site:
    """The site as on a host that encrypts to those, and has that identity."""
    settings = replace(
        site.settings,
        age_recipients=tuple(each.recipient for each in recipients),
        age_identity=identity.file if identity else None,
    )
    return replace(site, settings=settings)


@pytest.fixture
def host(site: Site, ours: Key) -> Site:
    """The backup host: it has the public key alone."""
    return with_keys(site, ours)


@pytest.fixture
def other_host(host: Site, ours: Key) -> Site:
    """Where copies are restored and proven."""
    return with_keys(host, identity=ours)


def without_floors(site: Site) -> Site:
    """With a policy that keeps nothing for its number."""
    tiers = {name: tier.model_copy(update={"never_fewer_than": 0}) for name, tier in site.policy.tiers.items()}
    policy = site.policy.model_copy(update={"tiers": tiers})
    return replace(site, settings=replace(site.settings, policy=policy))


def taken(site: Site, slot: Slot):
    take_dump(site, slot)
    seal(site, slot)
    return archive(site, slot).manifest


def test_all_files_are_encrypted_on_disk_and_in_s3_and_the_copy_is_the_source(
    host, other_host, shop, slot, bucket, ours
) -> None:
    manifest = taken(host, slot)
    assert manifest.recipients == [ours.recipient]
    names = [f"{slot.backup_id}.{kind}.gz.age" for kind in ("sql", "globals.sql", "database.sql")]
    assert [file.name for file in manifest.files] == names
    for name in names:
        assert (host.settings.folder / name).read_bytes().startswith(b"age-encryption.org/v1")
        assert next(iter(bucket.read(f"daily/{name}"))).startswith(b"age-encryption.org/v1")
    assert not list(host.settings.folder.glob("*.gz"))
    proof = prove(other_host, slot)
    assert proof.verdict is Verdict.MATCHES
    assert records.line_of(host.settings.folder, slot.backup_id)["recovery_tested"] is True


def test_without_the_identity_nothing_is_proven_and_nothing_is_held_against_the_backup(host, shop, slot, bucket):
    taken(host, slot)
    with pytest.raises(IdentityError, match="no identity is named") as caught:
        prove(host, slot)
    assert "DESBUQUEI_AGE_IDENTITY" in caught.value.remedy
    line = records.line_of(host.settings.folder, slot.backup_id)
    assert (line["status"], line["error"], line["recovery_tested"]) == ("success", None, False)
    assert not [key for key in bucket.keys("daily/") if ".proof-" in key]


@pytest.mark.parametrize("remote", [False, True])
def test_verify_compares_the_checksums_and_says_that_it_did_not_look_inside(host, other_host, shop, slot, remote):
    manifest = taken(host, slot)
    unopened = verify_backup(host, slot.backup_id, remote=remote)
    assert unopened.whole
    assert {"not what is inside" in file.unopened for file in unopened.files} == {True}
    opened = verify_backup(other_host, slot.backup_id, remote=remote)
    assert opened.whole
    assert {file.unopened for file in opened.files} == {""}
    spoil(host.settings.folder / manifest.dump.name, flip)
    assert not verify_backup(host, slot.backup_id, remote=False).whole


def test_a_wrong_identity_is_no_fault_of_the_backup(host, shop, slot, tmp_path) -> None:
    taken(host, slot)
    stranger = with_keys(host, identity=new_key(tmp_path, "stranger"))
    for step in (
        lambda: prove(stranger, slot),
        lambda: verify_backup(stranger, slot.backup_id, remote=True),
        lambda: verify_backup(stranger, slot.backup_id, remote=False),
    ):
        with pytest.raises(IdentityError, match="none of its keys") as caught:
            step()
        assert caught.value.backup_id == slot.backup_id
    assert records.line_of(host.settings.folder, slot.backup_id)["status"] == "success"


@pytest.mark.parametrize("place", [Place.S3, Place.DISK])
def test_a_restore_takes_the_identity_and_refuses_without_it_before_anything_is_made(
    host, other_host, shop, slot, place, target
) -> None:
    taken(host, slot)
    with pytest.raises(IdentityError):
        restore(host, slot.backup_id, destination(target), Wanted(place))
    done = restore(other_host, slot.backup_id, destination(target), Wanted(place))
    assert done.verdict is Verdict.MATCHES


def test_single_tables_come_out_of_an_encrypted_backup(host, other_host, shop, slot, target, scratch) -> None:
    taken(host, slot)
    into = destination(target)
    scratch.execute(sql.SQL("create database {}").format(sql.Identifier(into.name)))
    with pytest.raises(IdentityError):
        restore_tables(host, slot.backup_id, ["public.vazia"], into, Wanted())
    assert restore_tables(other_host, slot.backup_id, ["public.clientes"], into, Wanted()).verdict is Verdict.MATCHES


def test_an_object_that_was_altered_is_never_restored(host, other_host, shop, slot, bucket, target) -> None:
    manifest = taken(host, slot)
    where = bucket.where(f"daily/{manifest.dump.name}")
    content = b"".join(bucket.read(f"daily/{manifest.dump.name}"))
    bucket.client.put_object(Bucket=where[0], Key=where[1], Body=flip(content))
    with pytest.raises(IntegrityError, match="damaged"):
        restore(other_host, slot.backup_id, destination(target), Wanted())


def test_a_copy_of_an_encrypted_dump_is_the_same_bytes_and_proven_by_them(host, other_host, shop, together) -> None:
    due = host.open_slot("quarterly").due
    daily, weekly = taken(host, Slot("daily", due)), taken(host, Slot("monthly", due))
    assert weekly.copy_of == daily.backup_id
    assert weekly.dump.sha256 == daily.dump.sha256
    assert weekly.recipients == daily.recipients
    prove(other_host, Slot("daily", due))
    assert prove(host, Slot("monthly", due)).restored == daily.backup_id


@pytest.mark.usefixtures("no_wal")
def test_with_another_key_an_unchanged_hour_is_dumped_again(host, shop, clock, tmp_path, source) -> None:
    taken(host, host.open_slot("hourly"))
    clock.pass_by(hours=1)
    assert taken(host, host.open_slot("hourly")).same_as is not None
    clock.pass_by(hours=1)
    rotated = with_keys(host, new_key(tmp_path, "new"))
    manifest = taken(rotated, rotated.open_slot("hourly"))
    assert manifest.same_as is None
    assert manifest.recipients == list(rotated.settings.age_recipients)


@pytest.mark.usefixtures("same_time")
def test_encrypted_files_are_listed_verified_again_and_pruned_like_others(host, shop, slot, clock) -> None:
    taken(host, slot)
    assert inventory.local(host).held[0].on_disk is True
    assert take_dump(host, slot).reused
    clock.pass_by(days=1)
    taken(host, host.open_slot("daily"))
    clock.pass_by(days=7)
    done = {each.backup_id: each for each in prune(without_floors(host)) if each.planned.place == "disk"}
    assert done[slot.backup_id].done
    assert not list(host.settings.folder.glob(f"{slot.backup_id}.*.age"))


def test_doctor_says_who_can_read_the_backups(site, host, other_host, ours, tmp_path) -> None:
    def found(site: Site) -> dict[str, tuple[str, str]]:
        return {each.name: (each.outcome.value, each.said) for each in encryption(site)}

    assert found(site)["recipients"][0] == "not applicable"
    assert ours.recipient in found(host)["recipients"][1]
    assert found(host)["identity"][0] == "ok"
    both = with_keys(host, ours, identity=ours)
    assert found(both)["identity"][0] == "warning"
    ours.file.chmod(0o644)
    assert found(both)["permissions"][0] == "failure"
    stranger = with_keys(host, ours, identity=new_key(tmp_path, "stranger"))
    assert "does not open" in found(stranger)["identity"][1]


def test_what_another_host_proved_is_taken_over_where_the_identity_is_not(
    host, other_host, shop, slot, tmp_path
) -> None:
    taken(host, slot)
    elsewhere = replace(other_host, settings=replace(other_host.settings, backup_dir=tmp_path / "elsewhere"))
    prove(elsewhere, slot)
    assert records.line_of(host.settings.folder, slot.backup_id)["recovery_tested"] is False
    assert prove(host, slot).verdict is Verdict.MATCHES
    assert records.line_of(host.settings.folder, slot.backup_id)["recovery_tested"] is True
