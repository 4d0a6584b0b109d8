"""The policy: what each tier takes, when, where it rests and for how long."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from importlib import resources
from itertools import islice, pairwise, takewhile
from pathlib import Path
from typing import Annotated, Any

from cronsim import CronSim, CronSimError
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from desbuquei_backups.core.errors import ConfigurationError
from desbuquei_backups.core.periods import Duration, Period, Rate, Retention, Unit
from desbuquei_backups.core.slots import due_before, falls_due, last_due
from desbuquei_backups.core.toml_places import place

# Asset keys, prefixes and folders of other things than tiers.
RESERVED = {
    "audit_report",
    "base_backup",
    "drills",
    "evidence",
    "evidence_anchor",
    "evidence_packs",
    "probe",
    "recovery_drill",
    "rejected",
    "reproof",
    "retention",
    "source",
    "wal",
}
_COUNTED_FROM = datetime(2026, 1, 1, tzinfo=UTC)
# How many due times are looked at to see whether one tier is due whenever another is.
_COMPARED = 100


class StorageClass(StrEnum):
    """S3's storage classes, by their names in its API."""

    STANDARD = "STANDARD"
    STANDARD_IA = "STANDARD_IA"
    GLACIER_IR = "GLACIER_IR"
    GLACIER = "GLACIER"
    DEEP_ARCHIVE = "DEEP_ARCHIVE"

    @property
    def frozen(self) -> bool:
        """Whether an object of this class cannot be read before it was thawed, which takes hours."""
        return self in (StorageClass.GLACIER, StorageClass.DEEP_ARCHIVE)

    @property
    def least_billed(self) -> int:
        """The bytes that an object of this class is billed as, if it is smaller.

        https://aws.amazon.com/s3/storage-classes/: the infrequent-access classes bill 128 KiB at least.
        """
        return 128 * 1024 if self in (StorageClass.STANDARD_IA, StorageClass.GLACIER_IR) else 0


class LockMode(StrEnum):
    """Who may delete a locked object before its time: a person with a permission of their own, or nobody at all."""

    GOVERNANCE = "governance"
    COMPLIANCE = "compliance"


class Takes(StrEnum):
    """What a tier takes. INCREMENTAL: what changed, as the server allows; a logical dump within the egress budget."""

    FULL = "full"
    INCREMENTAL = "incremental"


def _cron(value: str) -> str:
    try:
        next(CronSim(value, datetime(2024, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration) as error:
        raise ValueError(f"not a cron that ever falls due: {error}") from None
    return value


def _not_reserved(name: str) -> str:
    if name in RESERVED:
        raise ValueError(f"the name {name} is taken: something else is stored under it")
    return name


def _a_day_at_least(period: Period) -> Period:
    if period.after(_COUNTED_FROM) - _COUNTED_FROM < timedelta(days=1):
        raise ValueError("copies are restored once more by a job that runs once a day: a day at least")
    return period


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
TierName = Annotated[Name, AfterValidator(_not_reserved)]
Cron = Annotated[str, AfterValidator(_cron)]
Instant = Annotated[AwareDatetime, AfterValidator(lambda instant: instant.astimezone(UTC))]


class Tier(BaseModel):
    """One tier: a row of data. Its name is its key in the policy. Without a cron it is filled when somebody asks."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    on_demand: bool = False
    cron: Annotated[Cron | None, Field(validate_default=True)] = None
    takes: Takes = Takes.FULL
    base_backup: bool = False
    kept_on_disk: Retention | None = None
    kept_in_s3: Retention
    kept_in_second_place: Retention | None = None
    never_fewer_than: int = Field(ge=0)
    storage_class: StorageClass
    object_lock: LockMode | None = None

    @field_validator("cron")
    @classmethod
    def _due_or_on_demand(cls, cron: str | None, info: ValidationInfo) -> str | None:
        if (cron is None) is not bool(info.data.get("on_demand")):
            raise ValueError("a tier has either a cron, or on_demand = true")
        return cron

    @field_validator("takes")
    @classmethod
    def _increments_fall_due(cls, takes: Takes, info: ValidationInfo) -> Takes:
        if takes is Takes.INCREMENTAL and info.data.get("on_demand"):
            raise ValueError("a tier that is filled on demand takes a full backup")
        return takes

    @field_validator("base_backup")
    @classmethod
    def _bases_are_full(cls, base_backup: bool, info: ValidationInfo) -> bool:
        if base_backup and info.data.get("takes") is Takes.INCREMENTAL:
            raise ValueError("a base backup is taken beside a full backup")
        return base_backup

    @field_validator("never_fewer_than")
    @classmethod
    def _floor_within_reach(cls, floor: int, info: ValidationInfo) -> int:
        cron, kept = info.data.get("cron"), info.data.get("kept_in_s3")
        if cron is None or kept is None:
            return floor
        newest = last_due(cron, _COUNTED_FROM)
        oldest = kept.before(newest)
        within = takewhile(lambda due: due > oldest, due_before(cron, newest + timedelta(seconds=1)))
        counted = sum(1 for _ in islice(within, floor))
        if counted < floor:
            raise ValueError(f"only {counted} fall due in {kept}: there would never be {floor} to keep")
        return floor


class Evidence(BaseModel):
    """How long the chain of evidence is kept, and who may not delete it; the command that carries its head away."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kept_in_s3: Retention = Period(count=7, unit=Unit.YEAR)
    object_lock: LockMode = LockMode.GOVERNANCE
    anchor_command: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)] | None = None


class Policy(BaseModel):
    """What is promised for one database."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    database: Name
    protected_since: Instant | None = None
    recovery_point_objective: Duration
    recovery_time_objective: Duration
    pitr_window: Duration = timedelta(days=7)
    lock_timeout: Duration
    reproof: Annotated[Retention, AfterValidator(_a_day_at_least)] = Period(count=1, unit=Unit.YEAR)
    max_monthly_egress_gb: float = Field(default=200, gt=0, allow_inf_nan=False)
    max_bandwidth: Rate | None = None
    kms_key: str | None = Field(default=None, min_length=1)
    evidence: Evidence = Evidence()
    storage_prices: Mapping[StorageClass, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = {}
    tiers: Mapping[TierName, Tier] = Field(min_length=1)

    def tier(self, name: str) -> Tier:
        """The tier of that name; ConfigurationError if the policy has none."""
        if name not in self.tiers:
            raise ConfigurationError(
                f"the policy has no tier {name!r}", remedy=f"choose one of: {', '.join(self.tiers)}"
            )
        return self.tiers[name]

    @property
    def scheduled(self) -> Mapping[str, str]:
        """The tiers that fall due by themselves, with their crons."""
        return {name: tier.cron for name, tier in self.tiers.items() if tier.cron is not None}

    @property
    def physical(self) -> bool:
        """Whether any tier takes base backups or WAL."""
        return any(tier.base_backup or tier.takes is Takes.INCREMENTAL for tier in self.tiers.values())

    def due_at(self, instant: datetime) -> list[str]:
        """The tiers that fall due at that very instant (aware UTC)."""
        return [name for name, cron in self.scheduled.items() if falls_due(cron, instant)]

    def promoted_from(self, name: str) -> str | None:
        """The full tier that is due whenever `name` is, the one most often due; None if there is none."""
        cron = self.tier(name).cron
        if cron is None:
            return None
        oftener = [
            other
            for other, theirs in self.scheduled.items()
            if other != name
            and theirs != cron
            and self.tiers[other].takes is Takes.FULL
            and _due_whenever(theirs, cron)
        ]
        return min(oftener, key=lambda other: shortest_interval(self.scheduled[other]), default=None)


# What is asked of crons is asked again for each database, which have the same ones.
@cache
def _dues(cron: str) -> tuple[datetime, ...]:
    return tuple(islice(CronSim(cron, _COUNTED_FROM), _COMPARED))


@cache
def _due_whenever(cron: str, other: str) -> bool:
    """Whether `cron` is due whenever `other` is."""
    return all(falls_due(cron, instant) for instant in _dues(other))


@cache
def shortest_interval(cron: str) -> timedelta:
    """The shortest time between two of the next due times of `cron`."""
    return min(later - earlier for earlier, later in pairwise(_dues(cron)))


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """A policy as it is written: where, its text, its tables. `further`: what it says of databases after the first."""

    where: str
    text: str
    first: Mapping[str, Any]
    further: Any

    def refusal(self, faults: Iterable[str]) -> ConfigurationError:
        return ConfigurationError(f"the policy {self.where} is refused: " + "; ".join(faults), remedy="mend it")

    def place(self, location: tuple[Any, ...]) -> str:
        return place(self.text, location)


def read_policy(path: Path | None = None) -> PolicyFile:
    """The file `path`, or the packaged one; ConfigurationError if it cannot be read, or is not TOML."""
    where = str(path) if path else "the packaged policy"
    try:
        text = (path or resources.files(__package__) / "policy.toml").read_text(encoding="utf-8")
        tables = tomllib.loads(text)
    except OSError as error:
        raise ConfigurationError(
            f"the policy {where} cannot be read: {error.strerror}", remedy="correct DESBUQUEI_POLICY"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the policy {where} is not TOML: {error}", remedy="mend that line") from None
    return PolicyFile(where, text, tables, tables.pop("databases", {}))


def load_policy(path: Path | None = None) -> Policy:
    """The first database's policy in `path`, or the packaged one; ConfigurationError names the line and the reason."""
    return first_policy(read_policy(path))


def first_policy(file: PolicyFile) -> Policy:
    """The first database's policy; ConfigurationError names the line and the reason."""
    try:
        return Policy.model_validate(file.first)
    except ValidationError as error:
        raise file.refusal(f"{file.place(fault['loc'])}: {fault['msg']}" for fault in error.errors()) from None
