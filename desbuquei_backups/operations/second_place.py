"""A second place: what is archived in the first bucket, again in one of another region, account or provider."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

from desbuquei_backups.core.errors import BackupError, Frozen, IntegrityError, NotFound, StoreRefused
from desbuquei_backups.core.manifest import FileFacts, Manifest, manifest_name
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.tiers import StorageClass
from desbuquei_backups.operations.archive import Archived, ArchivedFile
from desbuquei_backups.operations.second_wal import make_up
from desbuquei_backups.operations.site import Site, naming
from desbuquei_backups.operations.storing import class_of, lock_of, tags_of
from desbuquei_backups.operations.whereabouts import source_key
from desbuquei_backups.storage import catalog, disk
from desbuquei_backups.storage.catalog import key_of
from desbuquei_backups.storage.s3 import Bucket, StoredObject
from desbuquei_backups.storage.s3_errors import THAW

_LOG = logging.getLogger(__name__)
_FETCHED = ".second-place-"


def archive_in_second_place(site: Site, slot: Slot) -> Archived:
    """Store what is missing in the second place and compare all of it; nothing is overwritten; its manifest is last.

    Each file comes from wherever it is nearest: a copy in the second place that it is a copy of, the backup folder, the
    first place within the store, or the first place by way of this machine. The records are not changed: what they say
    is of the first place. WAL is made up for, too: see `make_up`.

    ConfigurationError if there is no second place; NotFound if the backup is not archived in the first; Frozen if no
    copy can be read; IntegrityError, StoreError.
    """
    with naming(slot.backup_id):
        with _one_at_a_time(site, slot):
            archived = _archived(site, slot)
        make_up(site)
    return archived


def _archived(site: Site, slot: Slot) -> Archived:
    second = site.at_second_place
    manifest = catalog.in_bucket(site.bucket, slot.tier, slot.backup_id)
    if manifest is None:
        raise NotFound(
            "it is not archived in the first place",
            remedy=f"desbuquei backup {slot.tier} --slot {slot.key} finishes what is missing",
        )
    if manifest.same_as is not None:
        named = catalog.in_bucket(site.bucket, Slot.of_id(manifest.same_as).tier, manifest.same_as)
        if named is not None:
            _store(site, second, named)
    reused = _store(site, second, manifest)
    files = [
        ArchivedFile(file, class_of(second, file), second.bucket.head(key_of(file.name))) for file in manifest.files
    ]
    return Archived(manifest, files, reused)


def behind(site: Site, slots: list[Slot]) -> list[Slot]:
    """Those of the slots, archived in the first place, that the second has no manifest of; StoreError."""
    second = site.at_second_place.bucket
    tiers = {slot.tier for slot in slots}
    there = {
        key
        for tier in tiers
        for key in second.keys(f"{tier}/", after=min(slot.backup_id for slot in slots if slot.tier == tier))
    }
    return [slot for slot in slots if key_of(manifest_name(slot.backup_id)) not in there]


@contextmanager
def _one_at_a_time(site: Site, slot: Slot) -> Iterator[None]:
    """A lock of its own: a dump need not wait until another region has the one before it."""
    folder = site.settings.folder
    with disk.lock(
        folder,
        f"{site.policy.database}-second-place",
        doing=f"second archive of {slot.backup_id}",
        wait_seconds=site.lock_wait_seconds,
        waiting=site.progress.stage,
    ):
        for left in (*folder.glob(f"{_FETCHED}*"), *folder.glob(f".{_FETCHED}*")):  # and the records of their uploads
            left.unlink(missing_ok=True)
        yield


def _store(site: Site, second: Site, manifest: Manifest) -> bool:
    """Store a backup's files and then its manifest; says whether it was there already."""
    there = catalog.in_bucket(second.bucket, manifest.tier, manifest.backup_id)
    if there is not None:
        if there != manifest:
            raise IntegrityError(
                f"{second.bucket.uri(manifest.tier)} holds another backup under this id",
                remedy="find out who wrote it: another host with the same bucket and prefix? Nothing was changed",
            )
        return True
    site.progress.stage("archiving in the second place", manifest.size)
    for file in manifest.files:
        _Storing(site, second, manifest, file).store()
    name = manifest_name(manifest.backup_id)
    second.bucket.put_bytes(key_of(name), manifest.to_bytes(), tags=tags_of(manifest, name), lock=lock_of(second, name))
    return False


class _Storing:
    """One file on its way to the second place."""

    def __init__(self, site: Site, second: Site, manifest: Manifest, file: FileFacts) -> None:
        self._site, self._second, self._manifest, self._file = site, second, manifest, file
        self._key = key_of(file.name)

    def store(self) -> None:
        """From the nearest source that has it whole; the last one's error if none has."""
        refused: BackupError | None = None
        for source in (self._beside, self._on_disk, *self._from_first()):
            try:
                if source():
                    return
            except (NotFound, IntegrityError, Frozen, StoreRefused) as error:
                _LOG.warning("%s: not from there: %s", self._manifest.backup_id, error.what)
                refused = error
        raise refused or NotFound(
            f"{self._file.name} is neither on disk nor in the first place",
            remedy=f"desbuquei verify {self._manifest.backup_id} --remote says what is left of it",
        )

    def _beside(self) -> bool:
        """It is there already, or is a copy of what is there already."""
        if (there := self._second.bucket.head(self._key)) is not None and there.is_whole(self._file):
            return True
        key = source_key(self._manifest, self._file)
        return key is not None and self._copied(self._second.bucket, key)

    def _on_disk(self) -> bool:
        path = self._site.settings.folder / self._file.name
        return path.exists() and self._sent(path)

    def _from_first(self) -> Iterator[Callable[[], bool]]:
        """By its own key, and by that of what it is a copy of: one may be frozen and the other not."""
        first, same_account = self._site.bucket, self._site.settings.second_is_same_account
        for key in (self._key, source_key(self._manifest, self._file)):
            if key is not None and same_account:
                yield lambda key=key: self._copied(first, key)  # type: ignore[misc]
            if key is not None:
                yield lambda key=key: self._fetched(first, key)  # type: ignore[misc]

    def _copied(self, bucket: Bucket, key: str) -> bool:
        found = self._found(bucket, key)
        if found is None:
            return False
        self._second.bucket.copy_file(
            self._key,
            key,
            found,
            of=bucket,
            sha256=self._file.sha256,
            parts_sha256=self._file.parts_sha256,
            storage_class=self._class,
            tags=tags_of(self._manifest, self._file.name),
            lock=lock_of(self._second, self._file.name),
            progress=self._site.progress.advance,
        )
        return True

    def _fetched(self, bucket: Bucket, key: str) -> bool:
        if self._found(bucket, key) is None:
            return False
        folder = self._site.settings.folder
        with disk.disk_errors(folder), NamedTemporaryFile(dir=folder, prefix=_FETCHED) as file:
            for chunk in bucket.read(key):
                file.write(chunk)
            file.flush()
            return self._sent(Path(file.name))

    def _sent(self, path: Path) -> bool:
        self._second.bucket.put_file(
            self._key,
            path,
            sha256=self._file.sha256,
            parts_sha256=self._file.parts_sha256,
            storage_class=self._class,
            tags=tags_of(self._manifest, self._file.name),
            lock=lock_of(self._second, self._file.name),
            progress=self._site.progress.advance,
        )
        return True

    def _found(self, bucket: Bucket, key: str) -> StoredObject | None:
        """The object to take it from, whole as far as asking tells; Frozen, IntegrityError."""
        found = bucket.head(key)
        if found is None:
            return None
        if not found.is_whole(self._file):
            raise IntegrityError(f"{found.uri} is not what was archived", remedy="find out who wrote to the bucket")
        if found.frozen:
            raise Frozen(f"{found.uri} is in {found.storage_class.value}", remedy=THAW)
        return found

    @property
    def _class(self) -> StorageClass:
        return class_of(self._second, self._file) or StorageClass.STANDARD
