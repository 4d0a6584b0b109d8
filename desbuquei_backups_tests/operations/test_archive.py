"""An archive that only seems complete is lost together with the machine."""

import signal
from collections.abc import Iterator

import pytest

from desbuquei_backups.core.errors import DiskError, IntegrityError, NotFound, StoreRefused, StoreUnreachable
from desbuquei_backups.core.manifest import FileFacts, Role
from desbuquei_backups.core.tiers import StorageClass
from desbuquei_backups.operations import records
from desbuquei_backups.operations.archive import archive
from desbuquei_backups.operations.dump import take_dump
from desbuquei_backups.operations.seal import seal
from desbuquei_backups.operations.settings import S3_URL
from desbuquei_backups.operations.storing import class_of
from desbuquei_backups.storage import catalog
from desbuquei_backups_tests.fakes import free_port
from desbuquei_backups_tests.faults import FaultyStore, _Fault, completions, parts
from desbuquei_backups_tests.operations.elsewhere import elsewhere, said
from desbuquei_backups_tests.operations.losses import flip, line_of, spoil, unfinished


@pytest.fixture
def store(endpoints) -> Iterator[FaultyStore]:
    with FaultyStore(endpoints.aws["AWS_ENDPOINT_URL_S3"]) as store:
        yield store


@pytest.fixture
def faulty(make_site, source_url, store):
    """A site whose store is reached through `store`."""
    return make_site(source_url, aws={"AWS_ENDPOINT_URL_S3": store.url})


@pytest.fixture
def sealed(site, shop, slot):
    """The site, with a sealed backup on disk."""
    take_dump(site, slot)
    seal(site, slot)
    return site


def test_every_file_is_archived_in_its_class_encrypted_and_the_manifest_last(sealed, slot, bucket) -> None:
    archived = archive(sealed, slot)
    assert not archived.reused
    for file in archived.files:
        assert file.whole
        assert file.stored.encryption == "AES256"
        assert file.stored.storage_class is StorageClass.STANDARD  # smaller than what STANDARD_IA bills at least
    names = [f"{slot.backup_id}.{end}" for end in ("database.sql.gz", "globals.sql.gz", "manifest.json", "sql.gz")]
    assert sorted(bucket.keys("daily/")) == [f"daily/{name}" for name in names]
    manifest = bucket.head(f"daily/{slot.backup_id}.manifest.json")
    assert (manifest.storage_class, manifest.encryption) == (StorageClass.STANDARD, "AES256")
    assert catalog.in_bucket(bucket, "daily", slot.backup_id) == archived.manifest
    line = line_of(sealed, slot)
    assert (line["s3_uri"], line["storage_class"]) == (archived.dump_uri, "STANDARD")
    assert line["s3_uri"] == bucket.uri(f"daily/{slot.backup_id}.sql.gz")


@pytest.mark.usefixtures("big")
def test_a_dump_as_large_as_its_class_bills_is_stored_in_it(site, slot) -> None:
    take_dump(site, slot)
    seal(site, slot)
    classes = {
        file.name.removeprefix(f"{slot.backup_id}."): file.stored.storage_class for file in archive(site, slot).files
    }
    small = dict.fromkeys(("globals.sql.gz", "database.sql.gz"), StorageClass.STANDARD)
    assert classes == {"sql.gz": StorageClass.STANDARD_IA, **small}
    assert line_of(site, slot)["storage_class"] == "STANDARD_IA"


@pytest.mark.parametrize(
    ("tier", "size", "stored_as"),
    [
        ("daily", 128 * 1024 - 1, StorageClass.STANDARD),
        ("daily", 128 * 1024, StorageClass.STANDARD_IA),
        ("monthly", 128 * 1024 - 1, StorageClass.STANDARD),
        ("monthly", 128 * 1024, StorageClass.GLACIER_IR),
        ("quarterly", 1, StorageClass.DEEP_ARCHIVE),
        ("gone", 1_000_000, None),
    ],
)
def test_small_objects_are_in_no_class_that_bills_them_as_large_ones(site, tier, size, stored_as) -> None:
    name = f"{tier}-2026-01-01-020000.sql.gz"
    assert class_of(site, FileFacts(name=name, role=Role.DUMP, size=size, plain_size=1, md5="", sha256="")) is stored_as


def test_a_second_run_compares_and_sends_nothing(sealed, slot) -> None:
    first = archive(sealed, slot)
    second = archive(sealed, slot)
    assert second.reused
    assert (second.files, second.manifest) == (first.files, first.manifest)


@pytest.mark.parametrize(
    ("suffix", "change"),
    [
        ("sql.gz", flip),
        ("sql.gz", lambda data: data[:-1]),
        ("sql.gz", lambda data: data * 2),
        ("sql.gz", None),
        ("globals.sql.gz", flip),
        ("database.sql.gz", None),
    ],
    ids=["flip", "cut", "doubled", "gone", "roles", "properties"],
)
def test_a_file_altered_after_its_manifest_is_never_archived(sealed, slot, losses, suffix: str, change) -> None:
    name = f"{slot.backup_id}.{suffix}"
    path = sealed.settings.folder / name
    if change:
        spoil(path, change)
    else:
        path.unlink()
    losses.fails(sealed, slot, archive, (IntegrityError, NotFound, DiskError), name.replace(".", r"\."), spoiled=[name])
    assert list(losses.bucket.keys("daily/")) == []
    # The way out that the error names:
    assert not take_dump(sealed, slot).reused
    seal(sealed, slot)
    assert all(file.whole for file in archive(sealed, slot).files)
    assert line_of(sealed, slot)["status"] == "success"


def test_a_store_that_is_down_keeps_no_dump_from_being_taken(
    make_site, source_url, shop, slot, losses, endpoints
) -> None:
    down = make_site(source_url, aws={"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{free_port()}"})
    assert not take_dump(down, slot).reused
    seal(down, slot)
    error = losses.fails(down, slot, archive, StoreUnreachable, "s3://")
    assert not error.permanent
    # Two days later it is made up for, from the same files.
    up = make_site(source_url)
    assert take_dump(up, slot).reused
    assert not archive(up, slot).reused
    assert (line_of(up, slot)["status"], line_of(up, slot)["error"]) == ("success", None)


def test_an_archive_held_up_is_made_up_for_when_its_slot_is_long_closed(sealed, slot, clock) -> None:
    clock.pass_by(days=40)
    assert all(file.whole for file in archive(sealed, slot).files)


def test_503_for_a_while_is_waited_out(faulty, sealed, slot, store) -> None:
    store.busy(times=2)
    store.busy(parts, times=2)
    assert all(file.whole for file in archive(faulty, slot).files)


def test_a_completion_whose_answer_was_lost_is_no_failure(faulty, sealed, slot, store, bucket) -> None:
    """S3 had done it; boto3 asked again, and was told that the key is taken."""
    taken = b"<Error><Code>PreconditionFailed</Code><Message>at least one of them did not hold</Message></Error>"

    def lost(handler) -> None:
        handler.answer = lambda *_, **__: handler.hang_up()
        handler.forward()

    store._faults.append(_Fault(completions, 1, lost))
    store._faults.append(_Fault(completions, 1, lambda handler: handler.answer(412, taken)))
    assert all(file.whole for file in archive(faulty, slot).files)
    assert (line_of(sealed, slot)["status"], line_of(sealed, slot)["error"]) == ("success", None)
    assert unfinished(bucket) == []


def test_503_without_end_is_a_passing_error_and_the_next_run_finishes(faulty, sealed, slot, store, losses) -> None:
    done: list[str] = []

    def after_the_first(method: str, path: str) -> bool:
        if completions(method, path):
            done.append(path)
        return bool(done) and method in ("PUT", "POST") and not (len(done) == 1 and completions(method, path))

    store.busy(after_the_first)
    error = losses.fails(faulty, slot, archive, StoreUnreachable, "ServiceUnavailable")
    assert not error.permanent
    assert [key.rpartition("/")[2] for key in losses.bucket.keys("daily/")] == [f"{slot.backup_id}.sql.gz"]
    assert catalog.in_bucket(losses.bucket, "daily", slot.backup_id) is None
    store.heal()
    store.requests.clear()
    assert all(file.whole for file in archive(faulty, slot).files)
    assert not [path for method, path in store.requests if parts(method, path) and f"{slot.backup_id}.sql.gz" in path]


def test_a_missing_bucket_needs_a_person(make_site, source_url, shop, slot, losses) -> None:
    nowhere = make_site(source_url, urls={S3_URL: "s3://no-such-bucket-here/x"})
    take_dump(nowhere, slot)
    seal(nowhere, slot)
    error = losses.fails(nowhere, slot, archive, StoreRefused, "NoSuchBucket|no bucket")
    assert "create the bucket" in error.remedy
    assert error.permanent


def test_a_refusing_store_needs_a_person(make_site, source_url, shop, slot, losses) -> None:
    refused = make_site(source_url, aws={"AWS_SECRET_ACCESS_KEY": "wrong-key-material"})
    losses.secrets.append("wrong-key-material")
    take_dump(refused, slot)
    seal(refused, slot)
    error = losses.fails(refused, slot, archive, StoreRefused, "SignatureDoesNotMatch|403")
    assert error.permanent


def test_a_killed_archive_leaves_the_rest_to_the_next_run(sealed, slot, bucket) -> None:
    with elsewhere(sealed, slot, "archive", hang_at="archiving") as run:
        assert [said(run), said(run)] == ["ready", "hanging"]
        run.send_signal(signal.SIGKILL)
    assert unfinished(bucket) == [f"{bucket.prefix}/daily/{slot.backup_id}.sql.gz"]
    assert all(file.whole for file in archive(sealed, slot).files)
    assert unfinished(bucket) == []


def test_another_hosts_backup_under_the_same_id_is_not_touched(
    sealed, make_site, source_url, slot, tmp_path, losses
) -> None:
    other = make_site(source_url, folder=tmp_path / "other")
    take_dump(other, slot)
    # The other host took its own while S3 was away, and archives it only now.
    seal(other, slot)
    theirs = archive(sealed, slot)
    losses.fails(other, slot, archive, IntegrityError, "S3 holds another backup under this id")
    assert catalog.in_bucket(losses.bucket, "daily", slot.backup_id) == theirs.manifest


def test_an_object_that_is_gone_or_altered_shows_when_asked_again(sealed, slot, bucket) -> None:
    uri = archive(sealed, slot).dump_uri
    key = f"daily/{slot.backup_id}.sql.gz"
    bucket.client.put_object(Bucket=bucket.name, Key=f"{bucket.prefix}/{key}", Body=b"altered")
    again = archive(sealed, slot)
    assert [file.name for file in again.files if not file.whole] == [f"{slot.backup_id}.sql.gz"]
    assert line_of(sealed, slot)["status"] == "failed"
    bucket.client.delete_object(Bucket=bucket.name, Key=f"{bucket.prefix}/{key}")
    assert [file.stored for file in archive(sealed, slot).files if not file.whole] == [None]
    assert uri is not None
    assert next(records.lines(sealed.settings.folder))["s3_uri"] is None
