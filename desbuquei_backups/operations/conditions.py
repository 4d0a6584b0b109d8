"""What is wrong at a site now: sources, each with one thing to look at, how often, and what must answer for it.

What lies on this disk is looked at every minute; what is asked of a server, every few minutes.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from desbuquei_backups.core.alerting import Ledger, Look
from desbuquei_backups.core.conditions import Condition, Severity
from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.operations.conditions_checks import check_conditions
from desbuquei_backups.operations.conditions_disk import FOLDER, disk_conditions
from desbuquei_backups.operations.conditions_drill import drill_conditions
from desbuquei_backups.operations.conditions_reach import BUCKET, DATABASE, impatient, reach_conditions
from desbuquei_backups.operations.conditions_recovery import recovery_conditions
from desbuquei_backups.operations.conditions_second import second_conditions
from desbuquei_backups.operations.in_time import in_time
from desbuquei_backups.operations.noticing import noticed
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.unfinished_told import conditions as slot_conditions

_LOG = logging.getLogger(__name__)
_EVERY_TICK = timedelta()
_MINUTES = timedelta(minutes=1)
_SECONDS = 20.0  # of a tick, which has a minute: a server that never answers must not silence all alerts


@dataclass(frozen=True, slots=True)
class Source:
    """`look` lists what is wrong; a BackupError after that: it could not look at all of it.

    `settles`: what is over sooner is not told. `needs`: while one of these conditions lasts, it does not look.
    """

    name: str
    look: Callable[[Site], Iterable[Condition]]
    every: timedelta = _EVERY_TICK
    settles: timedelta = timedelta()
    needs: frozenset[str] = frozenset()


SOURCES: tuple[Source, ...] = (
    Source("disk", disk_conditions, settles=5 * _MINUTES),
    Source("checks", check_conditions),
    Source("slots", slot_conditions),
    Source("reach", reach_conditions, every=2 * _MINUTES, settles=5 * _MINUTES),
    Source("recovery", recovery_conditions, every=5 * _MINUTES, needs=frozenset({DATABASE, FOLDER})),
    Source("drill", drill_conditions, every=60 * _MINUTES, needs=frozenset({BUCKET})),
    Source("second place", second_conditions, every=15 * _MINUTES, settles=20 * _MINUTES, needs=frozenset({BUCKET})),
)


def due_sources(ledger: Ledger, site: Site, sources: Sequence[Source] = SOURCES) -> list[Source]:
    """Those whose time it is."""
    return [source for source in sources if ledger.due(source.name, source.every, site.now())]


def looks(site: Site, ledger: Ledger, sources: Sequence[Source]) -> Iterator[Look]:
    """What each of the sources finds. One that fails keeps no other from looking, and is itself a condition."""
    site = impatient(site)
    lasting = {each.name for each in ledger.lasting}
    for source in sources:
        if source.needs & lasting:
            continue
        found: list[Condition] = []
        failed: str | None = None
        try:
            # What came before an error stays.
            in_time((site.settings.folder, source.name), partial(_extended, found, source, site), seconds=_SECONDS)
        except BackupError as error:
            failed = error.what
        except Exception as error:  # noqa: BLE001 - a fault of one source must not silence the others
            _LOG.warning("the look at %s failed", source.name, exc_info=True)
            failed = f"{type(error).__name__}, see the log"
        if failed is None:
            lasting -= {name for name, each in ledger.episodes.items() if each.source == source.name}
        lasting |= {each.name for each in found}
        yield Look(source.name, list(found), source.settles, whole=failed is None)
        # Who knows that a server does not answer need not be told of all that cannot be asked of it.
        blind = failed is not None and not lasting & {DATABASE, BUCKET}
        yield Look(f"look at {source.name}", [_blind(site, source, failed or "")] if blind else [], 15 * _MINUTES)


def _extended(found: list[Condition], source: Source, site: Site) -> None:
    found.extend(source.look(site))


def _blind(site: Site, source: Source, why: str) -> Condition:
    return noticed(
        site,
        Severity.WARNING,
        f"not_looked_at/{source.name}",
        f"{source.name} cannot be looked at, and what is wrong there is not known: {' '.join(why.split())}",
        source.name,
        tried="it is tried again every few minutes",
        command="desbuquei doctor",
    )
