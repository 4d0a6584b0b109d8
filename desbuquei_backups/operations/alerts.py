"""Look, and tell: what is wrong now against what was told before, to every sink, each for itself."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from desbuquei_backups.core import alert_words
from desbuquei_backups.core.alerting import Change, Ledger, Look, Telling, noted, owed, told, without_finished
from desbuquei_backups.core.conditions import Condition, Severity
from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.operations import alert_ledger
from desbuquei_backups.operations.conditions import SOURCES, Source, due_sources, looks
from desbuquei_backups.operations.notifying import Mood, Sink, send, sinks
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage import disk

_LOG = logging.getLogger(__name__)
_WAIT_SECONDS = 45.0  # a sensor's tick has a minute


@dataclass(frozen=True, slots=True)
class Alerted:
    """What is wrong, what each sink was told, and which sinks took nothing, by their names."""

    lasting: Sequence[Condition]
    told: Mapping[str, Sequence[Telling]] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)


def alert(site: Site, *, sources: Sequence[Source] = SOURCES) -> Alerted:
    """Look at what is due, and tell what begins and what is over. What a sink does not take it is told the next time.

    Busy if somebody else has been telling for too long.
    """
    ledger = alert_ledger.read(site.settings.folder)
    return _tell(site, looks(site, ledger, due_sources(ledger, site, sources)), patient=True)


def alert_now(site: Site, *, sources: Sequence[Source] = SOURCES) -> Alerted:
    """The same, of all sources, and without waiting for what may pass by itself."""
    return _tell(site, looks(site, alert_ledger.read(site.settings.folder), sources), patient=False)


def alert_of(site: Site, *found: Look) -> Alerted:
    """The same of what somebody else found."""
    return _tell(site, found, patient=True)


def wrong_now(site: Site, *, sources: Sequence[Source] = SOURCES) -> list[Condition]:
    """What is wrong now, nobody being told."""
    ledger = alert_ledger.read(site.settings.folder)
    found = [_in_words_of(site, each) for each in looks(site, ledger, sources)]
    return noted(ledger, found, site.now()).lasting


def _tell(site: Site, found: Iterable[Look], *, patient: bool) -> Alerted:
    seen = [
        _in_words_of(site, each) for each in found
    ]  # before the lock: a server that does not answer must hold up nobody else's alert
    with _alone(site):
        return _told(site, noted(alert_ledger.read(site.settings.folder), seen, site.now()), patient=patient)


def _in_words_of(site: Site, look: Look) -> Look:
    """With the commands and settings of its database: those of another would mend nothing, and ids are the same."""
    told = site.settings.told
    said = [
        replace(each, what=told(each.what), tried=told(each.tried), command=told(each.command))
        for each in look.conditions
    ]
    return replace(look, conditions=said)


def _told(site: Site, ledger: Ledger, *, patient: bool) -> Alerted:
    folder, now, there = site.settings.folder, site.now(), sinks(site.settings)
    done: dict[str, Sequence[Telling]] = {}
    failed: dict[str, str] = {}
    for sink in there:
        tellings = owed(ledger, sink.fingerprint, now, patient=patient)
        if not tellings:
            continue
        try:
            _send(site, sink, tellings)
        except BackupError as error:
            failed[sink.name] = error.what
            _LOG.warning("%s; it is told later", error.what)
            continue
        done[sink.name] = tellings
        ledger = told(ledger, sink.fingerprint, tellings)
        alert_ledger.write(folder, ledger)  # at once: a crash must not have it told twice
    alert_ledger.write(folder, without_finished(ledger, {each.fingerprint for each in there}, now))
    return Alerted(ledger.lasting, done, failed)


def _send(site: Site, sink: Sink, tellings: Sequence[Telling]) -> None:
    begun = [each.episode.condition.severity for each in tellings if each.change is Change.BEGUN]
    mood = Mood.FAILURE if Severity.CRITICAL in begun else Mood.WARNING if begun else Mood.SUCCESS
    send(sink, alert_words.title(site.policy.database, tellings), alert_words.body(tellings, site.now()), mood)


@contextmanager
def _alone(site: Site) -> Iterator[None]:
    """One at a time: a sensor and a cron job must not tell the same twice."""
    folder = site.settings.folder
    if not folder.is_dir():  # a folder that is not there is what is to be told
        yield
        return
    name = f"{site.policy.database}-alerts"
    with disk.lock(folder, name, doing="telling what is wrong", wait_seconds=_WAIT_SECONDS):
        yield
