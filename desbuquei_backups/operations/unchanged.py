"""Whether a database is still what the newest backup holds: then that backup's dump stands for this slot too."""

import logging
import time
from datetime import UTC

from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.core.manifest import Manifest
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import records, verify
from desbuquei_backups.operations.own_transactions import known
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.whereabouts import faults_in_store, is_on_disk, stored
from desbuquei_backups.postgres import connection as pg
from desbuquei_backups.postgres import contents
from desbuquei_backups.postgres.snapshots import mark, nothing_ended
from desbuquei_backups.storage import catalog

_LOG = logging.getLogger(__name__)


def unchanged(site: Site, slot: Slot, connection: pg.Connection) -> Manifest | None:
    """The draft of a backup that names the newest one's files, if nothing has changed since; else None.

    `connection` is in a transaction with one snapshot: it is the state at that snapshot that has not changed.
    """
    begun = time.monotonic()
    last = _newest(site)
    if last is None or last.mark is None or set(last.recipients) != set(site.settings.age_recipients):
        return None
    now, row = mark(connection), connection.execute("select now()").fetchone()
    assert row is not None
    if now is None or not nothing_ended(last.mark, now, known(site.settings.folder)):
        return None
    carried = [relation for relation in contents.relations(connection) if relation.readable]
    sequences = contents.sequences(connection, carried)
    if sorted(sequences, key=lambda each: each.name) != sorted(last.sequences, key=lambda each: each.name):
        return None
    if faults := _faults(site, last):
        _LOG.warning("nothing changed since %s, but it does not verify: %s", last.backup_id, "; ".join(faults))
        return None
    return last.standing_for(
        slot.backup_id,
        slot.tier,
        slot=slot.due,
        taken_at=row[0].astimezone(UTC),
        duration_seconds=round(time.monotonic() - begun, 3),
        same_as=last.same_as or last.backup_id,
        copy_of=None,
        mark=now,
    )


def _newest(site: Site) -> Manifest | None:
    """The newest backup by the moment it restores to, if it is sealed, of a tier whose objects can be read at any time.

    Of several of one moment, it is the one that was dumped rather than a copy.
    """
    newest: list[records.Line] = []
    for line in records.lines(site.settings.folder):
        if line.get("status") == "success" and (not newest or _taken_at(newest[0]) <= _taken_at(line)):
            newest = [*(each for each in newest if _taken_at(each) == _taken_at(line)), line]
    for line in sorted(newest, key=lambda line: line.get("copy_of") is not None):
        tier = site.policy.tiers.get(str(line.get("file")).partition("-")[0])
        if tier is not None and not tier.storage_class.frozen:
            return _manifest(site, str(line["backup_id"]))
    return None


def _manifest(site: Site, backup_id: str) -> Manifest | None:
    try:
        there = catalog.on_disk(site.settings.folder, backup_id)
        if there is not None:
            return there.manifest if there.sealed else None
        return catalog.in_bucket(site.bucket, Slot.of_id(backup_id).tier, backup_id)
    except BackupError as error:
        _LOG.warning("whether anything changed since %s cannot be told: %s", backup_id, error.what)
        return None


def _taken_at(line: records.Line) -> str:
    return str(line.get("backup_timestamp"))


def _faults(site: Site, manifest: Manifest) -> list[str]:
    folder = site.settings.folder
    if is_on_disk(folder, manifest):
        site.progress.stage("nothing changed: verifying what there is", manifest.size)
        return verify.faults_on_disk(folder, manifest, progress=site.progress.advance)
    try:
        there = stored(site, manifest)
    except BackupError as error:
        return [error.what]
    frozen = [f"{found.uri} is frozen" for found in there.values() if found is not None and found.frozen]
    return faults_in_store(manifest, there) + frozen
