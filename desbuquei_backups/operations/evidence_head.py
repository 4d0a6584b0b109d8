"""The chain's head: where the bucket says it is, and where this machine remembers it to have been."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from desbuquei_backups.core.errors import IntegrityError
from desbuquei_backups.core.evidence import (
    FOLDER,
    LAST,
    NOTHING,
    Head,
    Link,
    head_of,
    link_key,
    parse_link,
    sequence_of,
)
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage import disk
from desbuquei_backups.storage.in_order import read_in_order
from desbuquei_backups.storage.s3 import Bucket, Lock

WRITTEN = ".evidence-head.json"
VERIFIED = ".evidence-verified.json"
WALKED_WHOLE = ".evidence-walked-whole.json"
COPIED = ".evidence-copied.json"
_FEW = 2


def lock_of_link(site: Site) -> Lock | None:
    """The lock of a link that is written now, where the bucket has Object Lock."""
    policy = site.policy.evidence
    return Lock(policy.object_lock, policy.kept_in_s3.after(site.now())) if site.bucket.has_lock else None


def recall(site: Site, name: str) -> Head | None:
    """The head that was remembered under that name, of this bucket and prefix; None if none was."""
    found = _recalled(site, name)
    sequence, sha256 = found.get("sequence"), found.get("sha256")
    if sequence == 0:
        return NOTHING
    if isinstance(sequence, int) and isinstance(sha256, str) and re.fullmatch(r"[0-9a-f]{64}", sha256):
        return Head(sequence, sha256)
    return None  # it was no more than a reminder


def recalled_at(site: Site, name: str) -> datetime | None:
    """When the head of that name was remembered (aware UTC)."""
    try:
        return datetime.fromisoformat(_recalled(site, name)["at"])
    except (ValueError, KeyError, TypeError):
        return None


def _recalled(site: Site, name: str) -> dict[str, Any]:
    path = site.settings.folder / name
    with disk.disk_errors(path):
        content = path.read_bytes() if path.exists() else b"{}"
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) and found.get("place") == _place(site.bucket) else {}


def remember(site: Site, name: str, head: Head) -> None:
    """Remember a head of this bucket and prefix under that name."""
    content = {
        "place": _place(site.bucket),
        "sequence": head.sequence,
        "sha256": head.sha256,
        "at": site.now().isoformat(),
    }
    disk.prepare(site.settings.folder)
    disk.write_file(site.settings.folder / name, (json.dumps(content) + "\n").encode())


def find(bucket: Bucket) -> Head:
    """The last link that the bucket has, by asking it a few dozen times, however many there are; NOTHING if none.

    It may vanish meanwhile: IntegrityError.
    """
    found = _first_from(bucket, 1)
    if found is None:
        return NOTHING
    # `found` is a link's number; from `end` on there is none.
    end, step = None, 1
    while end is None or end - found > 1:
        asked = min(found + step, LAST + 1) if end is None else (found + end) // 2
        there = _first_from(bucket, asked)
        if there is None:
            end = asked
        else:
            found, step = there, step * 2
    for _, content in read_in_order(bucket, [link_key(found)]):
        return head_of(found, content)
    raise IntegrityError(
        f"{bucket.uri(link_key(found))} vanished while it was read", remedy="find out who deletes; run again"
    )


@dataclass(slots=True)
class Newer:
    """What is in the bucket after a head that was known: the head now, and the ids of the entries in between."""

    head: Head
    entries: set[str] = field(default_factory=set)


def newer(bucket: Bucket, head: Head) -> Newer:
    """Read what comes after `head`; what cannot be read there is passed over: the walk names it."""
    found = Newer(head)
    for key, content in read_in_order(bucket, keys_after(bucket, head)):
        found.head = head_of(sequence_of(key) or 0, content)
        try:
            found.entries.add(parse_link(content, where=key).entry_id)
        except IntegrityError:
            continue
    return found


def links_after(bucket: Bucket, head: Head) -> Iterator[Link]:
    """The links after `head`, in order; one that cannot be read is passed over: the next walk names it."""
    for key, content in read_in_order(bucket, keys_after(bucket, head)):
        try:
            yield parse_link(content, where=key)
        except IntegrityError:
            continue


def keys_after(bucket: Bucket, head: Head) -> Iterator[str]:
    """The keys of the links after `head`, in order."""
    after = link_key(head.sequence).removeprefix(FOLDER)
    return (key for key in bucket.keys(FOLDER, after=after) if sequence_of(key) is not None)


def _first_from(bucket: Bucket, sequence: int) -> int | None:
    """The number of the first link that is there from that number on."""
    after = link_key(sequence - 1).removeprefix(FOLDER)
    for key in bucket.keys(FOLDER, after=after, at_once=_FEW):
        if (found := sequence_of(key)) is not None:
            return found
    return None


def _place(bucket: Bucket) -> str:
    return bucket.uri("")
