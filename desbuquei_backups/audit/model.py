"""The report as values: a verdict for each control, with its promise, its evidence and its exceptions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from desbuquei_backups.audit.plots import Plot


class Verdict(StrEnum):
    """What can be said of a control. Nothing holds by default; what was not promised can neither hold nor fail."""

    HOLDS = "holds"
    FAILS = "does not hold"
    NOT_KNOWN = "not known"
    NOT_PROMISED = "not promised"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of texts under their columns; `title` says of what. Columns named in `right` are figures."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Clause:
    """A clause of a framework, and in a few words what it asks for."""

    framework: str
    clause: str
    about: str

    def said(self) -> str:
        return f"{self.framework} {self.clause}"


@dataclass(frozen=True, slots=True)
class Control:
    """One control. `why` is the verdict's reason, in one sentence; `exceptions`: all that is not as promised.

    `figures` are numbers for trends, by name; None is one that is not known.
    """

    name: str
    title: str
    promise: str
    verdict: Verdict
    why: str
    evidence: Sequence[str] = ()
    exceptions: Sequence[str] = ()
    tables: Sequence[Table] = ()
    plots: Sequence[Plot] = ()
    clauses: Sequence[Clause] = ()
    figures: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NotCovered:
    """Something that no backup here holds, and why."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class SignedOff:
    """That somebody reviewed a report of a period; `link` is where the chain of evidence says so."""

    reviewer: str
    at: datetime
    start: datetime
    end: datetime
    report_sha256: str
    note: str | None
    link: int


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` until before `end`, both aware UTC."""

    start: datetime
    end: datetime

    def has(self, instant: datetime) -> bool:
        return self.start <= instant < self.end

    def said(self) -> str:
        return f"{self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True, slots=True)
class Report:
    """All of it. `facts` are what else the first page says, by name; what is not known there says so, and why.

    `proves` and `proves_not`: what the chain of evidence shows, and what it cannot.
    """

    database: str
    period: Period
    made_at: datetime
    version: str
    controls: Sequence[Control]
    facts: Mapping[str, str]
    not_covered: Sequence[NotCovered]
    erasure: Sequence[str]
    proves: Sequence[str]
    proves_not: Sequence[str]
    signed_off: Sequence[SignedOff]
    daily: Table
    plots: Sequence[Plot] = ()

    def control(self, name: str) -> Control:
        """The control of that name; KeyError if there is none."""
        return {each.name: each for each in self.controls}[name]

    def counted(self, verdict: Verdict) -> int:
        return sum(each.verdict is verdict for each in self.controls)
