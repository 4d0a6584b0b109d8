"""Links of the chain by the thousand in one object, so that a year of them is read in seconds.

Nothing is believed of a pack. The store says the MD5 of what it has now under each link's own key: a link of which the
pack has other bytes, or none, is read itself.
"""

import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import groupby

from desbuquei_backups.core import evidence
from desbuquei_backups.core.errors import NotFound
from desbuquei_backups.core.evidence import Head, link_key, sequence_of
from desbuquei_backups.storage.in_order import read_in_order
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups.storage.s3_errors import Taken

FOLDER = "evidence_packs/"
SIZE = 1000
LONGEST = 64 * 1024  # bytes of a link; manifests of thousands of tables would fill the memory, and are read one by one


def read_links(
    bucket: Bucket, start: int, progress: Callable[[int], None] = lambda _: None, *, packs: Bucket | None = None
) -> Iterator[tuple[str, bytes]]:
    """All that is in the chain's folder from link `start` on, each key with the bytes that are there now. StoreError.

    `packs`: where the packs are, if it is another bucket.
    """
    packs = packs or bucket
    packed = set(packs.keys(FOLDER))
    after = link_key(start - 1).removeprefix(evidence.FOLDER)
    for key, there in groupby(bucket.etags(evidence.FOLDER, after=after), key=lambda each: _pack_of(each[0])):
        etags = dict(there)
        known = _unpacked(packs, key) if key in packed else {}
        same = {each: content for each, content in known.items() if _md5(content) == etags.get(each)}
        found = read_in_order(bucket, (each for each in etags if each not in same), progress)
        ahead = next(found, None)
        for each in etags:
            if each in same:
                progress(1)
                yield each, same[each]
            elif ahead is not None and ahead[0] == each:
                yield ahead
                ahead = next(found, None)


def pack(bucket: Bucket, head: Head) -> int:
    """Store the packs that are not there yet, of links up to `head`; says how many. StoreError."""
    there, made = set(bucket.keys(FOLDER)), 0
    for first in range(1, head.sequence - SIZE + 2, SIZE):
        key = _pack_of(link_key(first))
        if key is None or key in there or bucket.head(link_key(first)) is None:
            continue
        found = read_in_order(bucket, map(link_key, range(first, first + SIZE)))
        short = {each: link.decode(errors="replace") for each, link in found if len(link) <= LONGEST}
        with suppress(Taken):
            bucket.put_if_absent(key, gzip.compress(json.dumps(short).encode(), mtime=0))
        made += 1
    return made


def _pack_of(key: str) -> str | None:
    sequence = sequence_of(key)
    if sequence is None:
        return None
    first = (sequence - 1) // SIZE * SIZE + 1
    return f"{FOLDER}{first:010}.json.gz"


def _unpacked(bucket: Bucket, key: str | None) -> Mapping[str, bytes]:
    """What a pack has; nothing, if it cannot be read."""
    try:
        found = json.loads(gzip.decompress(b"".join(bucket.read(key or ""))))
        return {str(each): str(content).encode() for each, content in found.items()}
    except (OSError, EOFError, ValueError, AttributeError, NotFound, zlib.error):
        return {}


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
