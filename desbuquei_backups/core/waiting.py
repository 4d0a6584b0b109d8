"""What the sensor remembers from tick to tick: since when it has seen work that nobody began, and when it last looked.

Nothing is lost with it: a schedule that is due at the same instant is only waited for once more.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

# So long a schedule has to begin what falls due, before it is begun here: both tick at the same instant.
PATIENCE = timedelta(seconds=90)


@dataclass(slots=True)
class Waiting:
    """`seen`: what nobody began, by name, and since when that is known. `looked`: when a place was last looked at."""

    seen: dict[str, datetime] = field(default_factory=dict)
    looked: dict[str, datetime] = field(default_factory=dict)

    @classmethod
    def of(cls, cursor: str | None) -> "Waiting":
        """What a tick left; nothing, if it is not to be read."""
        try:
            left = json.loads(cursor or "{}")
            return cls(
                *({name: _instant(at) for name, at in left.get(kind, {}).items()} for kind in ("seen", "looked"))
            )
        except (ValueError, TypeError, AttributeError):
            return cls()

    def cursor(self, still: Collection[str]) -> str:
        """For the next tick, with what is `still` not begun."""
        kept = {name: at for name, at in self.seen.items() if name in still}
        return json.dumps({"seen": _written(kept), "looked": _written(self.looked)}, sort_keys=True)

    def is_over(self, name: str, now: datetime) -> bool:
        """Whether it was seen long enough ago; if not at all, or in a future that a clock went back from, it is now."""
        if self.seen.get(name, now) >= now:
            self.seen[name] = now
        return now - self.seen[name] >= PATIENCE

    def may_look(self, place: str, now: datetime, every: timedelta) -> bool:
        """Whether that place may be looked at again; if so, it is from now on."""
        last = self.looked.get(place)
        if last is not None and last <= now < last + every:
            return False
        self.looked[place] = now
        return True


def _instant(written: str) -> datetime:
    return datetime.fromisoformat(written).astimezone(UTC)


def _written(instants: Mapping[str, datetime]) -> dict[str, str]:
    return {name: at.isoformat() for name, at in instants.items()}
