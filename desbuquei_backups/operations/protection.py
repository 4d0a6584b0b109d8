"""Since when a database is protected: told by the policy, or written down once, and never computed again."""

import logging
from datetime import UTC, datetime

from desbuquei_backups.core.errors import ConfigurationError, DiskError
from desbuquei_backups.operations.settings import Settings
from desbuquei_backups.storage import disk

_FILE = "protected-since"
_LOG = logging.getLogger(__name__)


def protected_since(settings: Settings, now: datetime) -> datetime:
    """The instant from which slots count.

    The policy's own, else the one that was written into the backup folder at the first start, which is now. Where the
    folder cannot be written yet, it is now, and is written when it can be.
    """
    path = settings.folder / _FILE
    try:
        if (known := recorded_since(settings)) is not None:
            return known
        disk.prepare(settings.folder)
        disk.write_file(path, f"{now.isoformat(timespec='seconds')}\n".encode())
    except DiskError as error:
        _LOG.warning("since when %s is protected cannot be written down: %s", settings.policy.database, error.what)
    return now


def recorded_since(settings: Settings) -> datetime | None:
    """The same as far as it is told or written down; None if it is not. DiskError; nothing is written.

    ConfigurationError if what is written is no instant.
    """
    if settings.policy.protected_since is not None:
        return settings.policy.protected_since
    path = settings.folder / _FILE
    try:
        with disk.disk_errors(path):
            return _instant(path.read_text().strip()) if path.exists() else None
    except ValueError:
        raise ConfigurationError(
            f"{path} does not hold an instant", remedy="write one like 2026-02-02T00:00:00+00:00 into it"
        ) from None


def _instant(written: str) -> datetime:
    """The instant, in UTC; ValueError if it is none, or is none for want of its zone."""
    found = datetime.fromisoformat(written)
    if found.utcoffset() is None:
        raise ValueError(f"{written} has no zone")
    return found.astimezone(UTC)
