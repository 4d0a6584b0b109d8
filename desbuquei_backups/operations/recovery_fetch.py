"""Fetch all that a recovery needs, at once: what was backed up is unpacked as it comes, WAL lands beside it."""

from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event

from desbuquei_backups.core.errors import IntegrityError, NotFound
from desbuquei_backups.core.manifest import Role
from desbuquei_backups.core.recovery import Plan, Wal
from desbuquei_backups.core.wal import history_name
from desbuquei_backups.core.wal_pages import PageWatcher
from desbuquei_backups.operations.recovery_catalog import BaseCopies
from desbuquei_backups.operations.recovery_folder import RecoveryFolder
from desbuquei_backups.operations.unpacking import tars_of, unpack, write_manifest
from desbuquei_backups.storage.disk import disk_errors
from desbuquei_backups.storage.stream import OTHER_COPY, read_file

_AT_ONCE = 3


def fetch(copies: BaseCopies, unpacked: Mapping[str, Path], plan: Plan, wal: Wal, folder: RecoveryFolder) -> None:
    """The backups `unpacked`, by id, each to where it is to be; and the segments and histories that lead to the target.

    IntegrityError, which names the file, if any of it is not what it should be; NotFound; StoreError; DiskError.
    """
    stopped = Event()
    progress = copies.site.progress
    names = [segment.name for segment in plan.segments]
    names += [history_name(timeline) for timeline in wal.histories.of if timeline <= plan.timeline]
    manifests = [(copies.manifests[backup_id], into) for backup_id, into in unpacked.items()]
    size = sum(file.size for manifest, _ in manifests for file, _ in tars_of(manifest))
    progress.stage(f"fetching {' and '.join(unpacked)} and {len(names)} WAL files", size)
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="wal") as pool:
        waiting = [pool.submit(_fetch_wal, copies, name, folder.wal, stopped) for name in names]
        try:
            for manifest, into in manifests:
                for file, below in tars_of(manifest):
                    chunks = copies.read(file, progress=progress.advance)
                    unpack(_until(stopped, waiting, chunks), into / below, name=file.name)
                write_manifest(copies.read(manifest.file(Role.BASE_MANIFEST)), into)
            progress.stage("fetching the rest of the WAL", len(names), unit="files")
            progress.advance(sum(each.done() for each in waiting))
            for each in waiting:
                each.result()
        except BaseException:
            stopped.set()
            for each in waiting:
                each.cancel()
            raise


def _until(stopped: Event, waiting: Iterable[Future[None]], chunks: Iterable[bytes]) -> Iterable[bytes]:
    """The chunks; what went wrong with the WAL meanwhile is raised, rather than when all of a large base is there."""
    for chunk in chunks:
        failed = next((each for each in waiting if each.done() and each.exception() is not None), None)
        if failed is not None:
            stopped.set()
            failed.result()
        yield chunk


def _fetch_wal(copies: BaseCopies, name: str, into: Path, stopped: Event) -> None:
    path = into / name
    try:
        with disk_errors(path), path.open("wb") as file:
            for chunk in copies.wal.read(name):
                if stopped.is_set():
                    return
                file.write(chunk)
    except NotFound:
        raise NotFound(
            f"{copies.wal.where(name)} is gone", remedy="run again: another base backup may lead to the target"
        ) from None
    if name.endswith(".history"):
        return
    watcher = PageWatcher(name, copies.system_identifier)
    for chunk in read_file(path):
        watcher.feed(chunk)
    watcher.finish()
    if watcher.fault is not None:
        raise IntegrityError(f"{copies.wal.where(name)} is no good: {watcher.fault}", remedy=OTHER_COPY)
