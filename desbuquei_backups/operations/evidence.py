"""Say something for good: owed on disk first, then appended to the chain in the bucket, never lost, never overwritten.

An outage leaves what is owed where it is; whoever sends next sends it first.
"""

import logging
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from desbuquei_backups.core.errors import BackupError, IntegrityError, StoreUnreachable
from desbuquei_backups.core.evidence import Entry, Head, Kind, follow, head_of, link_key, parse_entry
from desbuquei_backups.core.signatures import link_bytes
from desbuquei_backups.operations.evidence_copies import copy_to_second
from desbuquei_backups.operations.evidence_head import WRITTEN, find, lock_of_link, newer, recall, remember
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage import disk
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups.storage.s3_errors import Taken

_LOG = logging.getLogger(__name__)
_OWED = "evidence-owed"
_TRIES = 50
_LONGEST_WAIT_SECONDS = 60.0


def owe(site: Site, kind: Kind, backup_id: str | None, body: Mapping[str, Any], *, entry_id: str | None = None) -> None:
    """Write down what is to be said, so that neither a crash nor an outage loses it; DiskError.

    `entry_id`: of something that is said once only; what is owed already under it is not owed again.
    """
    site = site.first or site
    folder = site.settings.folder / _OWED
    disk.prepare(folder)
    there = owed(site)
    if entry_id is not None and any(path.name.endswith(f"-{entry_id}.json") for path in there):
        return
    entry = Entry(
        entry_id=entry_id or secrets.token_hex(16),
        at=site.now(),
        kind=kind,
        database=site.policy.database,
        backup_id=backup_id,
        body=body,
    )
    # In the order of their names, also when the clock goes back.
    number = max(time.time_ns(), *(int(path.name.partition("-")[0]) + 1 for path in there), 0)
    disk.write_file(folder / f"{number:020}-{entry.entry_id}.json", entry.to_bytes())


def owed(site: Site) -> list[Path]:
    """What is to be said and is not in the chain yet, in order."""
    folder = site.settings.folder / _OWED
    with disk.disk_errors(folder):
        return sorted(path for path in folder.glob("[0-9]*-*.json")) if folder.exists() else []


def send(site: Site) -> int:
    """Append all that is owed, in order; says how much it was. StoreError, Busy: the rest stays owed.

    The new links are copied to the second place too, if there is one; that it does not answer is only said.
    """
    site = site.first or site
    if not owed(site):
        return 0
    with _one_at_a_time(site):
        chain = _Chain(site)
        sent = 0
        for path in owed(site):
            if (entry := _read(path)) is not None:
                chain.append(entry)
                sent += 1
                with disk.disk_errors(path):
                    path.unlink()
                    disk.sync_folder(path.parent)
        remember(site, WRITTEN, chain.head)
        try:
            copy_to_second(site)
        except BackupError as error:
            _LOG.warning("the chain of evidence is not in the second place yet: %s", error.what)
        return sent


def try_to_send(site: Site) -> None:
    """Send what is owed; what stands in the way is said, and keeps no backup from being taken."""
    try:
        send(site)
    except BackupError as error:
        _LOG.warning("what is owed to the chain of evidence is sent later: %s", error.what)


class _Chain:
    """The chain as far as it is known here: the remembered head first, then what the bucket says when it refuses.

    Where the bucket has lost its end since, the next link still follows on what was there: the walk shows the gap.
    """

    def __init__(self, site: Site) -> None:
        self._bucket: Bucket = site.bucket
        self._lock = lock_of_link(site)
        self._signer = site.signer
        self._said = set[str]()
        known = recall(site, WRITTEN)
        self.head: Head = known or find(site.bucket)
        if known is None:
            # What is written from here on is after it: there a killed run's links are looked for.
            remember(site, WRITTEN, self.head)

    def append(self, entry: Entry) -> None:
        for _ in range(_TRIES):
            if entry.entry_id in self._said:  # by a try of ours that was killed, or whose answer was lost
                return
            link = follow(self.head, entry)
            content = link_bytes(link, self._signer)
            try:
                self._bucket.put_if_absent(link_key(link.sequence), content, lock=self._lock)
            except Taken:
                found = newer(self._bucket, self.head)
                self.head, self._said = found.head, self._said | found.entries
            else:
                self.head = head_of(link.sequence, content)
                return
        raise StoreUnreachable(
            f"the next number of the chain was taken {_TRIES} times",
            remedy="another host may be writing very fast; run again",
        )


def _read(path: Path) -> Entry | None:
    """What is owed in that file; one that cannot be read is put aside, and must not keep the others."""
    with disk.disk_errors(path):
        content = path.read_bytes()
    try:
        return parse_entry(content, where=str(path))
    except IntegrityError as error:
        _LOG.warning("%s; it is put aside", error.what)
        disk.set_aside(path, "unreadable")
        return None


@contextmanager
def _one_at_a_time(site: Site) -> Iterator[None]:
    """A lock of its own: nobody who dumps waits long for somebody who sends."""
    with disk.lock(
        site.settings.folder,
        f"{site.policy.database}-evidence",
        doing="sending evidence",
        wait_seconds=min(site.lock_wait_seconds, _LONGEST_WAIT_SECONDS),
    ):
        yield
