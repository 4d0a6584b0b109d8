"""The user's own invariants: named questions in SQL, and what their answers must be. A file of data, refused if bad."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from desbuquei_backups.core.errors import ConfigurationError
from desbuquei_backups.core.expectation_names import NAMES
from desbuquei_backups.core.periods import Duration
from desbuquei_backups.core.tiers import Name
from desbuquei_backups.core.toml_places import place

# Checks that assets have of their own: an invariant of that name could not be told from them.
TAKEN = frozenset(
    """
    archive_is_encrypted archive_matches_manifest base_backup_verifies checksums_match connection_is_encrypted
    content_matches disk_usage_below_threshold dump_is_complete evidence_is_unbroken indexes_are_valid
    objects_match pages_are_sound recovery_point_within_objective recovery_time_within_objective retention_is_honoured
    row_counts_match schema_matches tables_match wal_is_continuous
    """.split()
)
_LENGTH = TypeAdapter(Duration)
_NUMBER = r"[+-]?\d+(?:\.\d+)?"
_WITHIN = re.compile(
    rf"(?:(?P<sign>=|<=|>=|<|>)?\s*(?P<number>{_NUMBER})|between (?P<low>{_NUMBER}) and (?P<high>{_NUMBER}))"
    r"(?P<rows> rows?)?"
)
_QUOTED = r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$"
_TAKEN_AT = re.compile(rf"(?:{_QUOTED})|(?<![:\w])(?P<found>:taken_at)\b", re.DOTALL)
_PRESENT = re.compile(
    rf"(?:{_QUOTED})|\b(?P<found>(?:now|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday)\s*\("
    r"|current_date|current_time|current_timestamp|localtime|localtimestamp)",
    re.DOTALL | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Within:
    """A number, or with `rows` how many rows there are, is from `low` to `high`; `strict`: and neither of them."""

    low: Decimal | None
    high: Decimal | None
    rows: bool = False
    strict: bool = False


@dataclass(frozen=True, slots=True)
class NoOlderThan:
    """An instant that is to be no older than this at the snapshot."""

    age: timedelta


Expected = Within | NoOlderThan


def _expected(text: str) -> Expected:
    """What `expect` says; ValueError if it is nothing that is known."""
    if (age := text.removeprefix("no older than ")) != text:
        return NoOlderThan(_LENGTH.validate_python(age))
    found = _WITHIN.fullmatch(text)
    if found is None:
        raise ValueError('write it like "0 rows", ">= 1000", "between 10 and 20 rows" or "no older than 25 hours"')
    rows = found["rows"] is not None
    if found["number"] is not None:
        number, sign = Decimal(found["number"]), found["sign"] or "="
        least, most = (number if sign in signs else None for signs in (("=", ">", ">="), ("=", "<", "<=")))
        return Within(least, most, rows, strict=sign in ("<", ">"))
    low, high = Decimal(found["low"]), Decimal(found["high"])
    if low > high:
        raise ValueError(f"nothing is between {low} and {high}: the lower one comes first")
    return Within(low, high, rows)


def _understood(text: str) -> str:
    _expected(text)
    return text


def _question(sql: str) -> str:
    if not sql.strip():
        raise ValueError("there is no question")
    for found in _PRESENT.finditer(sql):
        if found["found"]:
            raise ValueError(
                f"{found['found'].rstrip('( ')} is when it is restored, which may be years after: write :taken_at"
            )
    return sql


def _known(name: str) -> str:
    if name not in NAMES:
        raise ValueError("Great Expectations has none of that name for the result of a query")
    return name


def _not_taken(name: str) -> str:
    if name in TAKEN:
        raise ValueError(f"{name} is a check that every backup has already: choose another name")
    return name


class Invariant(BaseModel):
    """One question. Its name is its key in the file: a sentence that is true when all is well.

    Either `expect` says what the answer must be, or `expectation` names one of Great Expectations', with its `kwargs`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    sql: Annotated[str, AfterValidator(_question)]
    description: str = ""
    timeout: Duration = timedelta(minutes=5)
    expect: Annotated[str, AfterValidator(_understood)] | None = None
    expectation: Annotated[str, AfterValidator(_known)] | None = None
    kwargs: Mapping[str, Any] = {}

    @model_validator(mode="after")
    def _one_answer(self) -> Self:
        if (self.expect is None) is (self.expectation is None):
            raise ValueError("say what the answer must be, by either expect or expectation")
        if self.kwargs and self.expectation is None:
            raise ValueError("kwargs are an expectation's")
        return self

    @property
    def expected(self) -> Expected | None:
        """What the answer must be; None where an expectation says it."""
        return None if self.expect is None else _expected(self.expect)

    @property
    def wanted(self) -> str:
        """What the answer must be, for a person: `0 rows`, `expect_column_values_to_be_unique(column=id)`."""
        if self.expect is not None:
            return self.expect
        return f"{self.expectation}({', '.join(f'{name}={value}' for name, value in self.kwargs.items())})"

    @property
    def described(self) -> str:
        """What is asked, and what the answer must be."""
        return f"{self.description or self.sql.strip()}: {self.wanted}"

    @property
    def speaks_of_the_snapshot(self) -> bool:
        """Whether its SQL has `:taken_at` in it: of another snapshot, it is another question."""
        return any(found["found"] for found in _TAKEN_AT.finditer(self.sql))

    def at(self, taken_at: datetime) -> str:
        """Its SQL, `:taken_at` being that instant (aware UTC)."""
        literal = f"'{taken_at.isoformat()}'::timestamptz"
        return _TAKEN_AT.sub(lambda found: literal if found["found"] else found[0], self.sql)


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    invariants: Mapping[Annotated[Name, AfterValidator(_not_taken)], Invariant] = Field(min_length=1)


NONE: Mapping[str, Invariant] = MappingProxyType({})


def load_invariants(path: Path) -> Mapping[str, Invariant]:
    """The invariants in that file, by name; ConfigurationError names the line and the reason."""
    try:
        text = path.read_text(encoding="utf-8")
        return _File.model_validate(tomllib.loads(text)).invariants
    except OSError as error:
        raise ConfigurationError(
            f"the invariants {path} cannot be read: {error.strerror}", remedy="correct DESBUQUEI_INVARIANTS"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the invariants {path} are not TOML: {error}", remedy="mend that line") from None
    except ValidationError as error:
        faults = [f"{place(text, fault['loc'])}: {fault['msg']}" for fault in error.errors()]
        raise ConfigurationError(f"the invariants {path} are refused: {'; '.join(faults)}", remedy="mend it") from None
