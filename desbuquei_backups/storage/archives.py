"""The backups in the bucket as its listing tells: one pass over the keys, parts of a large tier side by side."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice, takewhile

from desbuquei_backups.core.slots import Slot, slot_of
from desbuquei_backups.core.tiers import RESERVED
from desbuquei_backups.storage.listing import Entry
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups.storage.side_by_side import side_by_side

MANIFEST = "manifest.json"
HOLD = "hold.json"
MARK = "pruned.json"  # written before the first object of a backup is deleted, and deleted last
_DUMPS = ("sql.gz", "sql.gz.age", "point.json.gz", "point.json.gz.age")
_BASE = "base.tar.zst"
_PAGE = 1000
_PAGES = 8  # so many of a tier's pages are listed one after the other


@dataclass(slots=True)
class Archive:
    """The objects of one backup. `slot` is None where the name of a manifest, `key`, is no backup's.

    `sealed`: its manifest is there, which is stored last: so is all of it. `marked`: a prune of it has begun.
    `dump` is that of what it is known by; `base`: it has a full base backup. `proofs` and `thaws` are keys, oldest
    first.
    """

    slot: Slot | None
    key: str = ""
    sealed: bool = False
    held: bool = False
    marked: bool = False
    dump: Entry | None = None
    base: bool = False
    proofs: Sequence[str] = ()
    thaws: Sequence[str] = ()


def archives(
    bucket: Bucket, tiers: Collection[str] | None = None, *, start: datetime | None = None
) -> Iterator[Archive]:
    """The backups of those tiers, of all that there are by default, each tier's oldest first; StoreError.

    `start` (aware UTC): those that fell due then or later, the others not being listed at all. Other databases' below
    the same prefix are left out; the chain of evidence, and what else has a name of its own, is never listed.
    """
    for tier in (name for name in bucket.folders() if name not in RESERVED) if tiers is None else tiers:
        yield from _of_tier(bucket, tier, Slot(tier, start).backup_id if start is not None else "")


def _of_tier(bucket: Bucket, tier: str, after: str) -> Iterator[Archive]:
    listing = bucket.entries(f"{tier}/", after=after, flat=True)
    first = list(islice(listing, _PAGE))
    bounds = _bounds(tier, first) if len(first) == _PAGE else []
    if not bounds:
        yield from _grouped(tier, chain(first, listing))
        return
    last = _stem(tier, first[-1].key)
    whole = [entry for entry in first if _stem(tier, entry.key) != last]
    yield from _grouped(tier, whole)
    spans = zip([last, *bounds], [*bounds, None], strict=True)
    yield from chain.from_iterable(side_by_side(lambda span: list(_span(bucket, tier, *span)), spans))


def _bounds(tier: str, first: list[Entry]) -> list[str]:
    """Where the rest of a tier is cut, so that each part is a few pages if it goes on like the first one.

    That it does is a guess, and costs nothing but time where it is wrong.
    """
    oldest, newest = (slot_of(_stem(tier, entry.key)) for entry in (first[0], first[-1]))
    if oldest is None or newest is None or oldest == newest:
        return []
    step, now = (newest.due - oldest.due) * _PAGES, datetime.now(UTC)
    return [
        Slot(tier, (newest.due + step * number).replace(microsecond=0)).backup_id
        for number in range(1, max(0, int((now - newest.due) / step)) + 1)
    ]


def _span(bucket: Bucket, tier: str, after: str, until: str | None) -> Iterator[Archive]:
    """Those from one id on to the one before another; the keys of a backup come after its id."""
    listing = bucket.entries(f"{tier}/", after=after, flat=True)
    if until is None:
        return _grouped(tier, listing)
    return _grouped(tier, takewhile(lambda entry: entry.key < f"{tier}/{until}", listing))


def _grouped(tier: str, entries: Iterable[Entry]) -> Iterator[Archive]:
    """The objects of one backup follow one another: its id and a dot begin all their names."""
    start, found = "", None
    for entry in entries:
        if found is None or not entry.key.startswith(start):
            if found is not None:
                yield found
            stem = _stem(tier, entry.key)
            start, slot = f"{tier}/{stem}.", slot_of(stem)
            found = Archive(slot if slot is not None and slot.tier == tier else None)
        _note(found, entry, entry.key[len(start) :])
    if found is not None:
        yield found


def _note(found: Archive, entry: Entry, suffix: str) -> None:
    if suffix == MANIFEST:
        found.sealed, found.key = True, entry.key
    elif suffix in _DUMPS:
        found.dump = entry
    elif suffix.startswith(_BASE):
        found.base = True
    elif suffix.startswith("proof-"):
        found.proofs = (*found.proofs, entry.key)
    elif suffix.startswith("thaw-"):
        found.thaws = (*found.thaws, entry.key)
    elif suffix == HOLD:
        found.held = True
    elif suffix == MARK:
        found.marked = True


def _stem(tier: str, key: str) -> str:
    """What is before the first dot of a name: a backup's id, if it is the name of one."""
    return key[len(tier) + 1 :].partition(".")[0]
