"""What can go wrong, as few classes that each say what happened, to which backup, and what to do next.

BackupError
├── ConfigurationError      a setting is missing or wrong (exit status 2)
├── SourceError             the database to back up
│   ├── SourceUnreachable   no connection, or it was lost; may pass by itself
│   ├── SourceRefused       credentials, TLS or a transaction pooler; a person must act
│   └── SourceUnreadable    tables, rows or large objects that the role may not read
├── ToolError               one of PostgreSQL's own programs
│   ├── ToolMissing         not found, or older than the server
│   ├── ToolFailed          ended with an error, or was killed; may pass by itself
│   └── RestoreFailed       psql refused a statement of the dump
├── DiskError               the backup folder: full, missing, not writable
├── StoreError              the bucket
│   ├── StoreUnreachable    down, slow or answering 5xx; may pass by itself
│   ├── StoreRefused        no such bucket, no permission, an object already there
│   └── Frozen              the object must be thawed before it can be read or copied
├── IntegrityError          bytes are not what they were
├── IdentityError           an encrypted backup, and no identity here that opens it
├── SlotError               a backup cannot be taken in the past or in the future
├── TargetRefused           the place to restore into is not empty, or is the source itself
├── OutOfReach              no base backup and WAL lead to the recovery target
├── NotFound                no such backup here
├── NoDump                  a backup of WAL, which is recovered as a cluster and not restored
├── ClockWrong              this machine's clock and the store's are too far apart to delete by
└── Busy                    another run holds the database's lock
"""

__all__ = [
    "BackupError",
    "Busy",
    "ClockWrong",
    "ConfigurationError",
    "DiskError",
    "Frozen",
    "IdentityError",
    "IntegrityError",
    "NoDump",
    "NotFound",
    "OutOfReach",
    "RestoreFailed",
    "SlotError",
    "SourceError",
    "SourceRefused",
    "SourceUnreachable",
    "SourceUnreadable",
    "StoreError",
    "StoreRefused",
    "StoreUnreachable",
    "TargetRefused",
    "ToolError",
    "ToolFailed",
    "ToolMissing",
]


class BackupError(Exception):
    """The base of all: what happened, what to do next, and to which backup.

    `permanent` errors are never retried by themselves: a person, or a changed setting, must come first.
    `backup_id` is filled in by the operation that knows it.
    """

    permanent = True
    exit_status = 1

    def __init__(self, what: str, *, remedy: str, backup_id: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy
        self.backup_id = backup_id

    def __str__(self) -> str:
        subject = f"{self.backup_id}: " if self.backup_id else ""
        return f"{subject}{self.what}\nWhat to do: {self.remedy}"


class ConfigurationError(BackupError):
    exit_status = 2


class SourceError(BackupError):
    pass


class SourceUnreachable(SourceError):
    permanent = False


class SourceRefused(SourceError):
    pass


class SourceUnreadable(SourceError):
    pass


class ToolError(BackupError):
    pass


class ToolMissing(ToolError):
    pass


class ToolFailed(ToolError):
    permanent = False


class RestoreFailed(ToolError):
    pass


class DiskError(BackupError):
    permanent = False


class StoreError(BackupError):
    pass


class StoreUnreachable(StoreError):
    permanent = False


class StoreRefused(StoreError):
    pass


class Frozen(StoreError):
    pass


class IntegrityError(BackupError):
    pass


class IdentityError(BackupError):
    pass


class SlotError(BackupError):
    pass


class TargetRefused(BackupError):
    pass


class OutOfReach(BackupError):
    pass


class NotFound(BackupError):
    pass


class NoDump(BackupError):
    pass


class ClockWrong(BackupError):
    pass


class Busy(BackupError):
    permanent = False
