"""Of links that were altered or deleted in a versioned bucket: the older versions that are what they should be."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from desbuquei_backups.core.errors import IntegrityError, NotFound, StoreRefused
from desbuquei_backups.core.evidence import Link, link_key, parse_link, sha256_of
from desbuquei_backups.core.evidence_walk import Break
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage.versions import read_version, versions

# So many are looked for: they are for a person to read.
_LOOKED_AT = 100


def with_whole_versions(site: Site, breaks: Iterable[Break]) -> Iterator[Break]:
    """The breaks, each with the older version of its link that is whole, if there is one; ranges taken apart for it.

    Who may not read versions is told the breaks all the same. StoreUnreachable.
    """
    left = _LOOKED_AT
    for each in breaks:
        if each.sequence is None or left <= 0:
            yield each
            continue
        singly = list(_singly(site, each))[::-1] if (each.last or 0) - each.sequence < left else [each]
        left -= len(singly)
        yield from singly


def _singly(site: Site, broken: Break) -> Iterator[Break]:
    """From the last to the first: each one that is found says what the one before it was."""
    first, expected = broken.sequence or 1, broken.expected_sha256
    for number in range(broken.last or first, first - 1, -1):
        found = _whole(site, number, expected)
        single = replace(broken, sequence=number, last=None, key=link_key(number), expected_sha256=expected)
        if broken.last is not None:
            single = replace(single, what="it is not in the bucket")
        version_id, link = found if found is not None else (None, None)
        backup_id = broken.backup_id or (link.backup_id if link is not None else None)
        yield replace(single, whole_version=version_id, backup_id=backup_id)
        expected = link.previous_sha256 if link is not None else None


def _whole(site: Site, sequence: int, expected: str | None) -> tuple[str, Link] | None:
    """The version with that hash; where none is known, the one that is not there now and has that number of itself."""
    key = link_key(sequence)
    try:
        found = list(versions(site.bucket, key))
    except StoreRefused:
        return None
    for version in found:
        if version.delete_marker or (version.latest and expected is None):
            continue
        try:
            content = read_version(site.bucket, version)
            link = parse_link(content, where=key)
        except (IntegrityError, NotFound, StoreRefused):
            continue
        if sha256_of(content) == expected or (expected is None and _is_link(link, sequence, site)):
            return version.version_id, link
    return None


def _is_link(link: Link, sequence: int, site: Site) -> bool:
    return (link.sequence, link.database) == (sequence, site.policy.database)
