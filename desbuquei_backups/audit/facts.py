"""What the report is made of, as it was gathered: plain values, so that every rule over them can be tried by itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from desbuquei_backups.audit.model import Period, SignedOff
from desbuquei_backups.core.comparison import Verdict
from desbuquei_backups.core.evidence import Kind
from desbuquei_backups.core.looks import Looks
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.tiers import Policy
from desbuquei_backups.operations.disk_use import DiskUse
from desbuquei_backups.operations.drill_record import DrillRecord
from desbuquei_backups.operations.pruning import Planned
from desbuquei_backups.operations.verified import Oldest


class Source(StrEnum):
    """Who says that there was a backup. RECORDS can be edited by anybody on the host."""

    CHAIN = "the chain of evidence"
    BUCKET = "its manifest in the bucket"
    RECORDS = "the records on the host"


class Question(StrEnum):
    """What is asked beside the chain; its value is what a person reads where it was not answered."""

    LISTING = "what S3 has"
    RECORDS = "the records on this host"
    MANIFESTS = "manifests in S3"
    DRILLS = "recovery drills"
    COPIES = "how long restored copies took"
    SERVER = "what else is on the server"
    SINCE = "since when it is protected"
    BUCKET = "the bucket"
    RETENTION = "what retention says"
    DISK = "what is on disk"
    LOOKS = "the last looks at the WAL"


@dataclass(frozen=True, slots=True)
class Checked:
    """A check's result as link `link` of the chain says it. `backup_id` None: it belongs to no backup."""

    link: int
    at: datetime
    backup_id: str | None
    step: str
    check: str
    verdict: Verdict | None  # None: in words that this program does not know
    summary: str


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that there is or was. `taken_at`: the moment that it restores to; `archived`: S3 has it, or had it.

    Sizes are bytes. `left_out`: what it does not hold, as kind, name and reason. `pruned_at`: since when S3 has it no
    more. None: not known, or not so.
    """

    slot: Slot
    source: Source
    taken_at: datetime
    archived: bool = False
    archived_at: datetime | None = None
    size: int | None = None
    seconds: float | None = None
    rows: int | None = None
    tables: int | None = None
    wal: bool = False
    base: bool = False
    encrypted: bool = False
    origin: str | None = None
    operator: str | None = None
    reason: str | None = None
    left_out: Sequence[tuple[str, str, str]] = ()
    pruned_at: datetime | None = None
    link: int | None = None

    @property
    def backup_id(self) -> str:
        return self.slot.backup_id

    @property
    def available_at(self) -> datetime:
        """Since when it can be recovered from: archived, or where nobody says when that was, taken."""
        return self.archived_at or self.taken_at + timedelta(seconds=self.seconds or 0)

    def as_archived(self, at: datetime | None = None, *, there: bool = False) -> "Backup":
        """The same, with what is known of its archive: since when S3 has it, and whether it is `there` now."""
        since = self.archived_at or at
        known = self.archived or since is not None or self.pruned_at is not None or there
        return replace(self, archived=known, archived_at=since)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that somebody did, as a link of the chain says it: a hold, a prune, a verification, a policy."""

    link: int
    at: datetime
    kind: Kind
    backup_id: str | None
    what: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the records on this host say of a slot: success, failed, skipped or pruned, and why."""

    status: str
    taken_at: datetime | None
    error: str | None = None
    failed_in: str | None = None
    archived: bool = False
    proven: bool = False
    size: int | None = None
    seconds: float | None = None
    wal: bool = False
    restore_seconds: float | None = None
    restored_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Walked:
    """How the chain of evidence was found. `breaks` are sentences; `broken`: the numbers of links not to be believed.

    `anchors`, `second`: what it was compared with, beside itself; `keys`: how many may sign, and how many links are
    `signed`. `whole_at`: when all of it was last found unbroken from this host, as far as is remembered here.
    `trouble`: why it could not be walked; then nothing of it is known.
    """

    start: int = 1
    links: int = 0
    first_at: datetime | None = None
    last: int | None = None
    head_sha256: str | None = None
    anchors: int = 0
    second: bool = False
    manifests: int = 0
    checks: int = 0
    proofs: int = 0
    drills: int = 0
    keys: int = 0
    signed: int = 0
    breaks: Sequence[str] = ()
    broken: frozenset[int] = frozenset()
    whole_at: datetime | None = None
    trouble: str | None = None


@dataclass(frozen=True, slots=True)
class Store:
    """Where the backups rest. `region`: what the store says; None, and `region_unknown` says why, if it does not.

    `has_lock` None: these credentials may not ask. `locks`: until when the newest of what the policy locks is locked,
    in words. `second`: the second place, which lacks those that are `behind`.
    """

    uri: str
    region: str | None
    region_unknown: str | None
    is_here: bool
    has_lock: bool | None
    locks: Mapping[str, str] = field(default_factory=dict)
    second: str | None = None
    behind: Sequence[str] = ()
    second_trouble: str | None = None


@dataclass(frozen=True, slots=True)
class Restored:
    """That a copy was restored, when, and how many seconds it took until it could be used."""

    backup_id: str
    at: datetime
    seconds: float


@dataclass(frozen=True, slots=True)
class Facts:
    """All that was gathered for one period at `now`. What could not be asked is in `unknown`, by what it would tell.

    `backups`: those whose slots are in the period, what came just before, and each tier's newest; `checks` in the
    chain's order; `lost`: ids of what should be in S3 and is not. `listed`: the slots that S3 has now, `on_disk` those
    whose dump is in the backup folder; None: it could not be asked. `unvouched`: records of drills that the chain does
    not speak of, or not so, and that are left out; in sentences. `looks`: at the WAL, as the chain says; `looks_here`:
    those since, which this host remembers.
    """

    policy: Policy
    period: Period
    now: datetime
    since: datetime | None
    chain: Walked = Walked()
    backups: Mapping[Slot, Backup] = field(default_factory=dict)
    checks: Sequence[Checked] = ()
    events: Sequence[Event] = ()
    signed_off: Sequence[SignedOff] = ()
    recorded: Mapping[Slot, Recorded] | None = None
    store: Store | None = None
    listed: frozenset[Slot] | None = None
    plan: Sequence[Planned] | None = None
    lost: Sequence[str] = ()
    drills: Sequence[DrillRecord] = ()
    unvouched: Sequence[str] = ()
    looks: Sequence[Looks] = ()
    looks_here: Looks | None = None
    drill_before: DrillRecord | None = None
    restored: Sequence[Restored] = ()
    verified: Oldest | None = None
    recipients: bool = False
    disk: DiskUse | None = None
    on_disk: frozenset[Slot] | None = None
    other_databases: Sequence[str] | None = None
    unknown: Mapping[Question, str] = field(default_factory=dict)

    def in_period(self) -> list[Backup]:
        """The backups whose slot fell due in the period, oldest first."""
        found = [each for each in self.backups.values() if self.period.has(each.slot.due)]
        return sorted(found, key=lambda each: (each.slot.due, each.slot.tier))
