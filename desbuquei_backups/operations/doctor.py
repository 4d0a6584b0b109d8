"""Every precondition of a backup and of its restore, each tried and not assumed, each with its remedy."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import psycopg

from desbuquei_backups.core.errors import BackupError, ConfigurationError
from desbuquei_backups.operations.settings import DATABASE_URL, EMBEDDED, RESTORE_URL, S3_URL, Settings
from desbuquei_backups.operations.site import Site

_SKEW_WARNED, _SKEW_REFUSED = timedelta(seconds=5), timedelta(seconds=60)


class Outcome(StrEnum):
    """What became of a precondition. NOT_APPLICABLE says what is lost without it."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True, slots=True)
class Precondition:
    """One finding. `remedy` is empty where nothing need be done; `missing`: a setting is not set."""

    area: str
    name: str
    outcome: Outcome
    said: str
    remedy: str = ""
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Area:
    """Writes the findings of one area."""

    name: str

    def ok(self, name: str, said: str) -> Precondition:
        return Precondition(self.name, name, Outcome.OK, said)

    def warning(self, name: str, said: str, remedy: str) -> Precondition:
        return Precondition(self.name, name, Outcome.WARNING, said, remedy)

    def failure(self, name: str, said: str, remedy: str) -> Precondition:
        return Precondition(self.name, name, Outcome.FAILURE, said, remedy)

    def not_applicable(self, name: str, said: str, remedy: str = "") -> Precondition:
        return Precondition(self.name, name, Outcome.NOT_APPLICABLE, said, remedy)

    def error(self, name: str, error: BackupError) -> Precondition:
        missing = isinstance(error, ConfigurationError)
        return Precondition(self.name, name, Outcome.FAILURE, error.what, error.remedy, missing=missing)

    def guarded(self, name: str, look: Callable[[], Iterator[Precondition]]) -> Iterator[Precondition]:
        """What `look` finds; whatever goes wrong while it looks is a finding too."""
        try:
            yield from look()
        except BackupError as error:
            yield self.error(name, error)
        except psycopg.Error as error:
            text = " ".join(str(error).split())
            yield self.failure(name, text, "look at the server's log")
        except OSError as error:
            yield self.failure(name, str(error), "see that it exists and may be used")


def examine(site: Site, *, read_only: bool) -> Iterator[Precondition]:
    """Look at everything, as it goes. What can be removed again is; with `read_only` nothing is written at all."""
    from desbuquei_backups.operations.doctor_alerts import alerts
    from desbuquei_backups.operations.doctor_bucket import bucket
    from desbuquei_backups.operations.doctor_costs import costs
    from desbuquei_backups.operations.doctor_encryption import encryption
    from desbuquei_backups.operations.doctor_evidence import evidence
    from desbuquei_backups.operations.doctor_folder import folder
    from desbuquei_backups.operations.doctor_guide import guide
    from desbuquei_backups.operations.doctor_restore import restore_server
    from desbuquei_backups.operations.doctor_source import recovery_point, source
    from desbuquei_backups.operations.doctor_wal import write_ahead_log

    yield from _settings(site.settings)
    if site.settings.urls.get(DATABASE_URL):
        yield from source(site)
        yield from recovery_point(site)
    yield from folder(site, read_only=read_only)
    if site.settings.urls.get(S3_URL):
        yield from bucket(site, read_only=read_only)
    if site.settings.urls.get(DATABASE_URL) and site.settings.urls.get(S3_URL):
        yield from write_ahead_log(site, read_only=read_only)
    if site.settings.urls.get(RESTORE_URL):
        yield from restore_server(site)
    yield from Area("encryption").guarded("identity", lambda: encryption(site))
    yield from Area("evidence").guarded("signing key", lambda: evidence(site))
    yield from Area("alerts").guarded("sinks", lambda: alerts(site))
    yield from Area("costs").guarded("S3", lambda: costs(site))
    yield from guide(site, read_only=read_only)


def _settings(settings: Settings) -> Iterator[Precondition]:
    from desbuquei_backups.operations.beside import is_named_twice

    area, url = Area("settings"), settings.variable(DATABASE_URL)
    for name in (DATABASE_URL, S3_URL, RESTORE_URL):
        try:
            settings.url(name)
        except ConfigurationError as error:
            yield area.error(settings.variable(name), error)
        else:
            yield area.ok(settings.variable(name), "is set")
    if settings.urls.get(DATABASE_URL, EMBEDDED) != EMBEDDED and is_named_twice(settings):
        yield area.failure(
            url, "another database of the policy has the same URL: one of them is not backed up", f"correct {url}"
        )
    where = os.environ.get("DESBUQUEI_POLICY") or "the packaged one"
    yield area.ok("policy", f"{where}: {settings.policy.database}, tiers {', '.join(settings.policy.tiers)}")
    zone = datetime.now().astimezone().tzname()
    yield area.ok("time zone", "UTC" if zone == "UTC" else f"{zone} here; what is due, named and printed is in UTC")


def clock(area: Area, name: str, theirs: datetime | None) -> Precondition:
    """How far this machine's clock is from theirs: slots are told by the one, snapshots by the other."""
    if theirs is None:
        return area.not_applicable(name, "no time was told")
    apart = abs(datetime.now(UTC) - theirs)
    said = f"{apart.total_seconds():.0f} s apart"
    remedy = "let both machines take their time from NTP: a backup's slot and its snapshot are told by them"
    if apart > _SKEW_REFUSED:
        return area.failure(name, said, remedy)
    return area.warning(name, said, remedy) if apart > _SKEW_WARNED else area.ok(name, said)
