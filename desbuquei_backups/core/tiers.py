"""The policy: what each tier takes, when, where it rests and for how long."""

import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from desbuquei_backups.core.errors import ConfigurationError


class StorageClass(StrEnum):
    """S3's storage classes, by their names in its API."""

    STANDARD = "STANDARD"
    STANDARD_IA = "STANDARD_IA"
    GLACIER_IR = "GLACIER_IR"
    GLACIER = "GLACIER"
    DEEP_ARCHIVE = "DEEP_ARCHIVE"


class Unit(StrEnum):
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


class Period(BaseModel):
    """A length of time in calendar units: `30 days`, `12 months`, `7 years`."""

    model_config = ConfigDict(frozen=True)
    count: int = Field(gt=0)
    unit: Unit

    def __str__(self) -> str:
        return f"{self.count} {self.unit}{'' if self.count == 1 else 's'}"

    @property
    def timedelta(self) -> timedelta:
        """The same as a duration; ValueError for months and years, which have none of their own."""
        seconds = {Unit.MINUTE: 60, Unit.HOUR: 3600, Unit.DAY: 86400, Unit.WEEK: 604800}
        if self.unit not in seconds:
            raise ValueError(f"{self} is a calendar period, not a duration")
        return timedelta(seconds=self.count * seconds[self.unit])


def _period(value: object) -> object:
    match = re.fullmatch(r"(\d+) (minute|hour|day|week|month|year)s?", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('write a number and a unit, like "30 days" or "7 years"')
    return Period(count=int(match[1]), unit=Unit(match[2]))


def _duration(value: object) -> object:
    period = _period(value)
    return period.timedelta if isinstance(period, Period) else period


def _cron(value: str) -> str:
    try:
        next(CronSim(value, datetime(2024, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration) as error:
        raise ValueError(f"not a cron that ever falls due: {error}") from None
    return value


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Retention = Annotated[Period, BeforeValidator(_period)]
Duration = Annotated[timedelta, BeforeValidator(_duration)]
Cron = Annotated[str, AfterValidator(_cron)]


class Tier(BaseModel):
    """One tier: a row of data. Its name is its key in the policy."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    cron: Cron
    kept_on_disk: Retention | None = None
    kept_in_s3: Retention
    never_fewer_than: int = Field(ge=0)
    storage_class: StorageClass


class Policy(BaseModel):
    """What is promised for one database."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    database: Name
    protected_since: AwareDatetime | None = None
    recovery_point_objective: Duration
    recovery_time_objective: Duration
    lock_timeout: Duration
    tiers: Mapping[Name, Tier] = Field(min_length=1)

    def tier(self, name: str) -> Tier:
        """The tier of that name; ConfigurationError if the policy has none."""
        if name not in self.tiers:
            raise ConfigurationError(
                f"the policy has no tier {name!r}", remedy=f"choose one of: {', '.join(self.tiers)}"
            )
        return self.tiers[name]


def load_policy(path: Path | None = None) -> Policy:
    """The policy in `path`, or the packaged one; ConfigurationError names the line and the reason."""
    where = str(path) if path else "the packaged policy"
    try:
        text = (path or resources.files(__package__) / "policy.toml").read_text(encoding="utf-8")
        return Policy.model_validate(tomllib.loads(text))
    except OSError as error:
        raise ConfigurationError(
            f"the policy {where} cannot be read: {error.strerror}", remedy="correct DESBUQUEI_POLICY"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the policy {where} is not TOML: {error}", remedy="mend that line") from None
    except ValidationError as error:
        faults = [f"{_place(text, fault['loc'])}: {fault['msg']}" for fault in error.errors()]
        raise ConfigurationError(f"the policy {where} is refused: " + "; ".join(faults), remedy="mend it") from None


def _place(text: str, location: tuple[Any, ...]) -> str:
    """`line 7, tiers.daily.cron` for a fault at that place in a TOML text, as near as its lines tell."""
    keys = [str(part) for part in location]
    table, line_of = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[([^\]]+)\]", line):
            table = header[1].strip()
            if table == ".".join(keys[: table.count(".") + 1]):
                line_of = number
        elif assigned := re.match(r"\s*([\w\"-]+)\s*=", line):
            name = f"{table}.{assigned[1]}" if table else assigned[1]
            if name == ".".join(keys[: name.count(".") + 1]):
                return f"line {number}, {'.'.join(keys)}"
    return f"line {line_of}, {'.'.join(keys)}" if line_of else ".".join(keys)
