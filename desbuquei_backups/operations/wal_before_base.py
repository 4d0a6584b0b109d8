"""The slot that is there before a base backup: without all WAL since, a base backup is one moment and no more."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.core.tiers import Takes
from desbuquei_backups.operations.settings import DATABASE_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.wal_slot import Refused, cluster_of, ensure_slot
from desbuquei_backups.postgres import connection as pg
from desbuquei_backups.postgres import wal

_LOG = logging.getLogger(__name__)


@contextmanager
def keeping_wal(site: Site) -> Iterator[None]:
    """See that the server keeps all WAL from before the base backup that the block takes.

    Where nobody would bring that WAL into S3, no slot is made: it would fill the server's disk. That, and whatever else
    keeps the slot from being made, is a warning: the base backup is worth having by itself. If the block fails, a slot
    that was made for it, and that nobody used meanwhile, is dropped.
    """
    made = _made(site)
    try:
        yield
    except BaseException:
        if made is not None:
            _drop(site, made)
        raise


def _made(site: Site) -> wal.Slot | None:
    """The slot, if it was made just now."""
    try:
        with _connected(site, "making the replication slot") as connection:
            cluster = cluster_of(site, connection)
            if isinstance(cluster, Refused):
                why = cluster.why
            elif undrained := _undrained(site, connection):
                found = wal.find_slot(connection, wal.slot_name(site.policy.database))
                if found is not None and not found.lost:
                    return None  # whoever streams from it made it
                why = undrained
            else:
                ensured = ensure_slot(site, connection, cluster)
                return ensured.slot if ensured.made else None
    except BackupError as error:
        why = error.what
    _LOG.warning("no slot keeps the WAL after the base backup: %s", why)
    return None


def _undrained(site: Site, connection: pg.Connection) -> str | None:
    """Why no hourly run will bring WAL into S3; None if it will."""
    if not any(site.policy.tiers[name].takes is Takes.INCREMENTAL for name in site.policy.scheduled):
        return "no tier of the policy takes increments"
    return wal.no_restore_points(connection)


def _drop(site: Site, made: wal.Slot) -> None:
    try:
        with _connected(site, "dropping the replication slot") as connection:
            now = wal.find_slot(connection, made.name)
            if now is None or now.active or now.restart != made.restart:
                return
            wal.drop_slot(connection, made.name)
    except BackupError as error:
        _LOG.warning("the base backup failed, and the replication slot %s is left: %s", made.name, error.what)
    else:
        _LOG.info("the base backup failed: the replication slot %s was dropped again", made.name)


@contextmanager
def _connected(site: Site, doing: str) -> Iterator[pg.Connection]:
    with pg.connect(site.settings.database_url, setting=DATABASE_URL) as connection, pg.explained(doing):
        pg.pin(connection)
        yield connection
