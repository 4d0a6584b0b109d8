"""Who is to be told what: of each condition once when it begins, once more when it is over, and nothing in between."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from desbuquei_backups.core.conditions import Condition, Severity

_LONGEST_OWED = timedelta(days=30)
_EARLY = timedelta(seconds=10)  # a tick may come before its minute is over


class Change(StrEnum):
    """PASSED: it began and was over before it could be told."""

    BEGUN = "begun"
    OVER = "over"
    PASSED = "passed"


@dataclass(frozen=True, slots=True)
class Look:
    """What one source found. What lasts no longer than `settles` is not told: a restart is no outage.

    `whole`: it could look at all that it looks at; if not, what it did not find may last.
    """

    source: str
    conditions: Sequence[Condition]
    settles: timedelta = timedelta()
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Episode:
    """A condition from when it was noticed here until it was found to be over (aware UTC; None: it lasts).

    `begun` and `ended`: the sinks that were told of either, by their fingerprints.
    """

    condition: Condition
    source: str
    settles: timedelta
    noticed: datetime
    over: datetime | None = None
    begun: frozenset[str] = frozenset()
    ended: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Telling:
    """That one sink is to be told of a change."""

    change: Change
    episode: Episode


@dataclass(frozen=True, slots=True)
class Ledger:
    """Episodes by the names of their conditions, and when each source looked last."""

    episodes: Mapping[str, Episode] = field(default_factory=dict)
    looked: Mapping[str, datetime] = field(default_factory=dict)

    @property
    def lasting(self) -> list[Condition]:
        """What is wrong now, the worst first."""
        found = [each.condition for each in self.episodes.values() if each.over is None]
        return sorted(found, key=lambda each: (each.severity is not Severity.CRITICAL, each.since, each.name))

    def due(self, source: str, every: timedelta, now: datetime) -> bool:
        """Whether a source should look again; one that looked in the future did so by a clock that was wrong."""
        at = self.looked.get(source)
        return at is None or not timedelta() <= now - at < every - _EARLY


def noted(ledger: Ledger, looks: Iterable[Look], now: datetime) -> Ledger:
    """The ledger after these looks. Of a source that did not look, or could not, all stays as it was.

    A condition that got worse is told again; one that came back before its end was told lasts on.
    """
    episodes, looked = dict(ledger.episodes), dict(ledger.looked)
    for look in looks:
        looked[look.source] = now
        found = {each.name: each for each in look.conditions}
        for name, episode in ledger.episodes.items():
            if look.whole and episode.source == look.source and episode.over is None and name not in found:
                episodes[name] = replace(episode, over=now)
        for name, condition in found.items():
            before = episodes.get(name)
            if before is None:
                episodes[name] = Episode(condition, look.source, look.settles, now)
            else:
                episodes[name] = _lasting(before, condition, look)
    return Ledger(episodes, looked)


def _lasting(before: Episode, condition: Condition, look: Look) -> Episode:
    worse = condition.severity is Severity.CRITICAL and before.condition.severity is not Severity.CRITICAL
    return replace(
        before,
        condition=replace(condition, since=min(condition.since, before.condition.since)),
        source=look.source,
        settles=look.settles,
        over=None,
        begun=frozenset() if worse else before.begun - before.ended,
        ended=frozenset(),
    )


def owed(ledger: Ledger, sink: str, now: datetime, *, patient: bool = True) -> list[Telling]:
    """What that sink is to be told, the oldest first. Unless `patient`, nobody waits for what may pass by itself."""
    found = []
    for episode in ledger.episodes.values():
        change = _change(episode, sink, now, episode.settles if patient else timedelta())
        if change is not None:
            found.append(Telling(change, episode))
    return sorted(found, key=lambda each: (each.episode.over or each.episode.noticed, each.episode.condition.name))


def _change(episode: Episode, sink: str, now: datetime, settles: timedelta) -> Change | None:
    if episode.over is None:
        settled = now - episode.noticed >= settles
        return Change.BEGUN if sink not in episode.begun and settled else None
    if sink in episode.ended:
        return None
    if sink in episode.begun:
        return Change.OVER if now - episode.over >= settles else None
    return Change.PASSED if _was_settled(episode) else None


def _was_settled(episode: Episode) -> bool:
    return episode.over is not None and episode.over - episode.noticed >= episode.settles


def told(ledger: Ledger, sink: str, tellings: Iterable[Telling]) -> Ledger:
    """The ledger once that sink has taken them."""
    episodes = dict(ledger.episodes)
    for telling in tellings:
        name = telling.episode.condition.name
        episode = episodes[name]
        over = telling.change is not Change.BEGUN
        episodes[name] = replace(
            episode, begun=episode.begun | {sink}, ended=episode.ended | {sink} if over else episode.ended
        )
    return replace(ledger, episodes=episodes)


def without_finished(ledger: Ledger, sinks: Collection[str], now: datetime) -> Ledger:
    """The ledger without what is over and owed to none of the sinks any more, now or later."""

    def kept(episode: Episode) -> bool:
        if episode.over is None:
            return True
        if now - episode.over > _LONGEST_OWED:
            return False
        return any(sink not in episode.ended and (sink in episode.begun or _was_settled(episode)) for sink in sinks)

    return replace(ledger, episodes={name: each for name, each in ledger.episodes.items() if kept(each)})
