"""Which link of the chain of evidence is the first since a moment, found by reading a few dozen of them."""

from datetime import datetime

from desbuquei_backups.core.errors import IntegrityError
from desbuquei_backups.core.evidence import FOLDER, Head, link_key, parse_link, sequence_of
from desbuquei_backups.storage.in_order import read_in_order
from desbuquei_backups.storage.s3 import Bucket

_FEW = 2


def first_since(bucket: Bucket, instant: datetime, head: Head) -> int:
    """The number of a link before which nothing was said at `instant` (aware) or later; 1 if that cannot be told.

    Clocks of two hosts may differ: who wants no link to be missed asks for an earlier moment. StoreError.
    """
    earlier, later = 0, head.sequence + 1
    while later - earlier > 1:
        middle = (earlier + later) // 2
        found = _from(bucket, middle)
        if found is None or found[0] >= later or found[1] >= instant:
            later = middle
        else:
            earlier = found[0]
    return max(1, min(later, head.sequence))


def _from(bucket: Bucket, sequence: int) -> tuple[int, datetime] | None:
    """The first link that is there from that number on and can be read: its number, and when it was said."""
    after = link_key(sequence - 1).removeprefix(FOLDER)
    for key, content in read_in_order(bucket, _some(bucket, after)):
        try:
            return sequence_of(key) or 0, parse_link(content, where=key).at
        except IntegrityError:
            continue
    return None


def _some(bucket: Bucket, after: str) -> list[str]:
    keys = []
    for key in bucket.keys(FOLDER, after=after, at_once=_FEW):
        if sequence_of(key) is not None:
            keys.append(key)
        if len(keys) == _FEW:
            break
    return keys
