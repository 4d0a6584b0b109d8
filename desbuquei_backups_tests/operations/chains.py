"""Chains of evidence over backups that are no more than a manifest in the bucket, and what tampers with them."""

from collections.abc import Sequence

from desbuquei_backups.core.evidence import FOLDER, Link, link_key, parse_link
from desbuquei_backups.core.manifest import Manifest, manifest_name
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import said
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage.catalog import key_of
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups_tests.examples import example_manifest


def manifest_of(backup_id: str) -> Manifest:
    slot = Slot.of_id(backup_id)
    return example_manifest(backup_id=backup_id, tier=slot.tier, slot=slot.due, taken_at=slot.due)


def told(site: Site, *days: int) -> list[str]:
    """The ids of a daily for each of those days of January, sealed and archived: two links each."""
    ids = []
    for day in days:
        manifest = manifest_of(f"daily-2026-01-{day:02}-020000")
        ids.append(manifest.backup_id)
        said.sealed(site, manifest)
        site.bucket.put_bytes(key_of(manifest_name(manifest.backup_id)), manifest.to_bytes(), tags={})
        said.archived(site, manifest)
    return ids


def links(bucket: Bucket) -> list[Link]:
    """The chain as it is in the bucket, each link under its own number."""
    found = [parse_link(content_of(bucket, key), where=key) for key in bucket.keys(FOLDER)]
    assert [link_key(link.sequence) for link in found] == list(bucket.keys(FOLDER))
    return found


def content_of(bucket: Bucket, key: str) -> bytes:
    return b"".join(bucket.read(key))


def overwrite(bucket: Bucket, key: str, content: bytes) -> None:
    """As somebody who may write, and does not ask whether the key is taken; in a versioned bucket, a new version."""
    name, whole = bucket.where(key)
    bucket.client.put_object(Bucket=name, Key=whole, Body=content)


def swap(bucket: Bucket, one: int, other: int) -> None:
    keys = link_key(one), link_key(other)
    contents: Sequence[bytes] = [content_of(bucket, key) for key in keys]
    overwrite(bucket, keys[0], contents[1])
    overwrite(bucket, keys[1], contents[0])
