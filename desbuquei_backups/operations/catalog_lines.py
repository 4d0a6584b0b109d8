"""The line of an archived backup, made again of what the bucket has of it: manifest, objects, proofs, prune marks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.core.manifest import Manifest
from desbuquei_backups.core.slots import Slot, slot_of
from desbuquei_backups.operations import proofs, records, thaws
from desbuquei_backups.operations.metadata_file import Line
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage.archives import Archive
from desbuquei_backups.storage.catalog import read_manifest

_COST = ("egress_bytes", "dump_bytes")


@dataclass(frozen=True, slots=True)
class Made:
    """What the bucket tells of a backup. No line: its manifest cannot be read, and `faults` says why."""

    manifest: Manifest | None = None
    line: Line | None = None
    faults: Sequence[str] = ()


def of_archive(site: Site, archive: Archive, there: Mapping[Slot, Archive]) -> Made:
    """By its manifest and its newest proof, which are read, and by how its dump is listed. StoreError.

    `there`: what is listed of other backups, whose dump it may name.
    """
    try:
        manifest = read_manifest(site.bucket, archive.key)
    except BackupError as error:
        if not error.permanent:
            raise
        return Made(faults=[error.what])
    line = records.line_of_manifest(manifest)
    if (proof := proofs.newest_of(site.bucket, archive.proofs, dump_sha256=manifest.dump.sha256)) is not None:
        line |= proof.recorded()
    if (asked := thaws.last_asked(site, archive.thaws)) is not None:
        line |= asked.recorded()
    owner = slot_of(manifest.dump.name.partition(".")[0])
    named = there.get(owner) if owner is not None else None
    dump = named.dump if named is not None else None
    if dump is not None and dump.size == manifest.dump.size:
        return Made(manifest, line | {"s3_uri": site.bucket.uri(dump.key), "storage_class": dump.storage_class})
    is_there = "is not there" if dump is None else f"has {dump.size:,} bytes, its manifest says {manifest.dump.size:,}"
    fault = f"{archive.key}: its dump {manifest.dump.name} {is_there}"
    wrong = {"status": "failed", "error": "S3 does not hold what the manifest says", "failed_in": "archive"}
    return Made(manifest, line | wrong, [fault])


def with_cost(line: Line, before: Line | None) -> Line:
    """The line with what reading the database cost, as the old line has it: the bucket knows it but roughly."""
    return line | {name: before[name] for name in _COST if before is not None and before.get(name) is not None}


def pruned(site: Site, slot: Slot, before: Line | None) -> Line:
    """Of a backup whose manifest is gone and whose mark is still there: the next prune finishes it."""
    empty = {**records.empty_line(site, slot), "backup_timestamp": f"{slot.due:%Y-%m-%dT%H:%M:%SZ}"}
    gone = {"status": "pruned", "s3_uri": None, "storage_class": None, "error": None, "failed_in": None}
    return {**(before if before is not None else empty), **gone}


def lost(before: Line) -> Line:
    """Of a backup that the old file says is archived, and the bucket has not."""
    wrong = {"status": "failed", "error": "it is not in S3 any more, and was not pruned", "failed_in": "archive"}
    return {**before, "s3_uri": None, "storage_class": None, **wrong}
