"""How the WAL in the second place is: what is missing there for good, and how far it is behind the first."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from desbuquei_backups.core.comparison import Finding, Verdict
from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.core.periods import in_words
from desbuquei_backups.core.recovery import Base
from desbuquei_backups.core.wal import Gap, Histories, Segment, gaps
from desbuquei_backups.core.wal_points import DeclaredGap
from desbuquei_backups.operations.second_wal import Lacking, lacking
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.wal_bucket import current_at_of, read_gaps, read_wal
from desbuquei_backups.operations.wal_findings import gap_findings
from desbuquei_backups.operations.wal_state import WalState, wanted_segments

_SUBJECT = "second place"


@dataclass(frozen=True, slots=True)
class SecondWal:
    """What was found. `base`: the first base backup of the window there; `reached`: the last segment up to which it has
    all that the first place has. `lacking`: how many files it should have and has not.

    `behind`: how much less of the latest can be recovered to than from the first place, None: not known. `gaps` are in
    neither place. `trouble`: why it could not be asked, or None.
    """

    uri: str
    bases: Sequence[Base] = ()
    reached: Segment | None = None
    lacking: int = 0
    behind: timedelta | None = None
    gaps: Sequence[Gap] = ()
    declared: Sequence[DeclaredGap] = ()
    trouble: str | None = None

    @property
    def base(self) -> Base | None:
        return next(iter(self.bases), None)

    def said(self) -> str:
        """In one line, for a person."""
        if self.trouble is not None:
            return f"could not be asked: {self.trouble}"
        if self.base is None:
            return "no base backup of this cluster is there yet; its WAL follows it"
        to = self.reached.name if self.reached is not None else f"the end of {self.base.backup_id}"
        if not self.lacking:
            return f"has all that the first place has, to {to}"
        late = in_words(self.behind) if self.behind is not None else "it is not known how long"
        return f"{self.lacking:,} files are not there yet; to {to}, {late} behind the first place"


def second_wal(site: Site, state: WalState) -> SecondWal | None:
    """By what was found of the first place; None if there is no second one."""
    if site.second is None:
        return None
    uri = site.second.bucket.uri("")
    try:
        return _found(site, state, uri, lacking(site, state.cluster.system_identifier))
    except BackupError as error:
        return SecondWal(uri, trouble=error.what)


def second_continuity(found: SecondWal, objective: timedelta) -> list[Finding]:
    """From the first base backup of the window that is there, and how far it is behind: at most the objective."""
    expected = f"at most {in_words(objective)} behind the first"
    if found.trouble is not None:
        return [Finding(_SUBJECT, expected, "could not be asked", Verdict.DIFFERS, found.trouble)]
    if found.base is None:
        return [Finding(_SUBJECT, expected, None, Verdict.UNCOMPARED, found.said())]
    if found.behind is None:
        judged = Finding(_SUBJECT, expected, None, Verdict.UNCOMPARED, found.said())
    elif found.behind > objective:
        judged = Finding(_SUBJECT, expected, in_words(found.behind), Verdict.DIFFERS, found.said())
    else:
        judged = Finding(_SUBJECT, expected, expected, Verdict.MATCHES, found.said())
    return [*gap_findings(found.gaps, found.declared, found.bases), judged]


def _found(site: Site, state: WalState, uri: str, missing: Lacking) -> SecondWal:
    if not missing.bases:
        return SecondWal(uri)
    bucket, there = site.at_second_place.bucket, missing.there
    wal = read_wal(bucket, there, since=site.now())
    histories = Histories({**wal.histories.of, **state.cluster.histories.of})
    both = replace(wal, segments=wal.segments | {*missing.files})
    base = missing.bases[0]
    wanted = wanted_segments(both, histories, state.cluster, base)
    first = next((each for each in wanted if each.name in missing.files), None)
    has = [each for each in wanted if first is None or each < first]
    reached = next((each for each in reversed(has) if each.name in wal.segments), None)
    stored = bucket.head(there.key(reached.name)) if reached is not None else None
    at = current_at_of(stored) if stored is not None else base.stopped_at
    return SecondWal(
        uri,
        bases=missing.bases,
        reached=reached,
        lacking=len(missing.keys),
        behind=_behind(state.newest_at, at) if missing.files else timedelta(0),
        gaps=gaps(wanted, both.segments),
        declared=read_gaps(bucket, there.system_identifier),
    )


def _behind(first: datetime | None, second: datetime | None) -> timedelta | None:
    return max(first - second, timedelta(0)) if first is not None and second is not None else None
