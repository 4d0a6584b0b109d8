"""How old the newest recovery point is: by the WAL in S3 where the server gives it, else by the newest backup there."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from desbuquei_backups.core.comparison import Finding, Verdict
from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.core.periods import in_words
from desbuquei_backups.core.tiers import shortest_interval
from desbuquei_backups.operations import inventory, metadata_file
from desbuquei_backups.operations.egress import incremental_tiers, price, takes_wal
from desbuquei_backups.operations.held import instant
from desbuquei_backups.operations.protection import recorded_since
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.wal_slot import Refused
from desbuquei_backups.operations.wal_state import WalState, wal_state
from desbuquei_backups.storage import catalog

# What a run may take to begin and to archive, before what it brings counts as late.
_GRACE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class NewestPoint:
    """`age`: how much would be lost if the database died now; None: not known. `of`: what holds the newest point.

    `expected`: it gets no older while every backup is taken when it is due, give or take. `why`: how it is known.
    """

    age: timedelta | None
    of: str
    objective: timedelta
    expected: timedelta
    why: str

    @property
    def late(self) -> bool:
        """Whether it is older than what was promised, and than what goes as it should."""
        return self.age is not None and self.age > max(self.objective, self.expected)

    def finding(self) -> Finding:
        """The age held against the objective."""
        subject, promised = "age of the newest recovery point", f"at most {in_words(self.objective)}"
        if self.age is None:
            return Finding(subject, promised, None, Verdict.UNCOMPARED, self.why)
        if self.age > self.objective:
            return Finding(subject, promised, in_words(self.age), Verdict.DIFFERS, f"{self.of}: {self.why}")
        return Finding(subject, promised, promised, Verdict.MATCHES, f"{in_words(self.age)}: {self.of}; {self.why}")


def newest_point(site: Site, state: WalState | Refused | None = None) -> NewestPoint:
    """Look at server and S3, unless the `state` of the WAL is known; where they do not answer, at the records.

    BackupError if nobody can say.
    """
    if state is None:
        try:
            state = wal_state(site)
        except BackupError as error:
            # Nobody writes to a database that is down; the records know of what was archived.
            return by_backups(site, f"the WAL could not be looked at: {error.what}")
    if isinstance(state, WalState) and state.newest is not None and state.age is not None:
        objective = site.policy.recovery_point_objective
        why = "how much of the latest WAL is not in S3"
        return NewestPoint(state.age, state.newest.name, objective, objective + _GRACE, why)
    return by_backups(site, f"the server gives no WAL: {state.why}" if isinstance(state, Refused) else "no WAL yet")


def by_backups(site: Site, why: str) -> NewestPoint:
    """By the newest backup that is archived, `why` no WAL tells. StoreError if only the bucket could say."""
    objective, now = site.policy.recovery_point_objective, site.now()
    newest = max(_recorded(site), default=None) or max(_archived(site), default=None)
    if newest is None:
        since = recorded_since(site.settings)
        if since is None:
            return NewestPoint(None, "", objective, objective, f"there is no backup in S3 yet; {why}")
        newest = since, f"no backup in S3 since {since:%Y-%m-%d %H:%M} UTC, when protection began"
    age, of = max(now - newest[0], timedelta()), newest[1]
    # What may be expected takes reading a year of records: only who is late has to be excused.
    return NewestPoint(age, of, objective, _expected(site) if age > objective else objective, why)


def reached(site: Site) -> timedelta | None:
    """The age that the newest backup reaches by cadence and length of the dumps; None if no tier falls due."""
    found = [
        shortest_interval(site.policy.scheduled[tier])
        if takes_wal(site, tier) or (known := price(site, tier)) is None
        else known.recovery_point
        for tier in incremental_tiers(site)
    ]
    return min(found or map(shortest_interval, site.policy.scheduled.values()), default=None)


def _expected(site: Site) -> timedelta:
    at_best = reached(site)
    return site.policy.recovery_point_objective if at_best is None else at_best * 5 / 4 + _GRACE


def _recorded(site: Site) -> Iterator[tuple[datetime, str]]:
    for line in metadata_file.lines(site.settings.folder):
        if line.get("s3_uri") and (at := instant(line.get("backup_timestamp"))) is not None and at <= site.now():
            yield at, line["backup_id"]


def _archived(site: Site) -> Iterator[tuple[datetime, str]]:
    """Each tier's newest in the bucket: where the records were lost, it alone knows."""
    for tier in site.policy.tiers:
        slot = max(inventory.archived(site.bucket, tier), default=None)
        if slot is None:
            continue
        manifest = catalog.in_bucket(site.bucket, slot.tier, slot.backup_id)
        yield (manifest.taken_at if manifest is not None else slot.due), slot.backup_id
