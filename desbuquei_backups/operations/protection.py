"""Since when a database is protected: told by the policy, or written down once, and never computed again."""

from datetime import datetime

from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.operations.settings import Settings
from desbuquei_backups.storage import disk

_FILE = "protected-since"


def protected_since(settings: Settings, now: datetime) -> datetime:
    """The instant from which slots count.

    The policy's own, else the one that was written into the backup folder at the first start, which is now. Where the
    folder cannot be written yet, it is now, and is written when it can be.
    """
    if settings.policy.protected_since is not None:
        return settings.policy.protected_since
    path = settings.folder / _FILE
    if path.exists():
        return datetime.fromisoformat(path.read_text().strip())
    try:
        disk.prepare(settings.folder)
        disk.write_file(path, f"{now.isoformat(timespec='seconds')}\n".encode())
    except BackupError:
        pass
    return now
