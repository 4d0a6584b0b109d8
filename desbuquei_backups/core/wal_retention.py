"""Which WAL may go: what no base backup that the window of any second needs is in need of. It deletes nothing."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from desbuquei_backups.core.recovery import Base
from desbuquei_backups.core.wal import WalKind, kind_of


@dataclass(frozen=True, slots=True)
class WalVerdict:
    """What may go, by name, and why the rest is kept. `since`: the base from which on all is kept; None: all is."""

    going: Sequence[str]
    kept: int
    since: Base | None
    reason: str


def bases_of_window(bases: Collection[Base], now: datetime, window: timedelta) -> list[Base]:
    """The full base backups that make every second of the window reachable: the newest that was whole before it begins,
    and all after that one. Where none is that old, all of them.
    """
    full = sorted((base for base in bases if base.parent is None), key=lambda base: base.stopped_at)
    before = [base for base in full if base.stopped_at <= now - window]
    return [base for base in full if not before or base.stopped_at >= before[-1].stopped_at]


def wal_verdict(
    names: Collection[str], bases: Collection[Base], segment_size: int, now: datetime, window: timedelta
) -> WalVerdict:
    """A verdict on the files of a WAL archive at `now` (aware UTC).

    A base backup has the WAL that makes it consistent in itself; what was written before the first of those that are
    kept for the window began is needed by none, on whatever timeline. A server that was set back counts from further
    back: it is the lowest start that counts. Histories are kept for ever; without a base backup all is.
    """
    kept = bases_of_window(bases, now, window)
    if not kept:
        return WalVerdict((), len(names), None, "there is no base backup: all is kept")
    first = min(kept, key=lambda base: base.start)
    number = first.start // segment_size
    each = 0x100000000 // segment_size

    def is_over(name: str) -> bool:
        if kind_of(name) not in (WalKind.SEGMENT, WalKind.LABEL):
            return False
        return int(name[8:16], 16) * each + int(name[16:24], 16) < number

    going = sorted(name for name in names if is_over(name))
    return WalVerdict(going, len(names) - len(going), first, f"{first.backup_id} and what was written since are kept")
