"""The proof of a copy: what the restored copy of the same bytes showed, and that its own object is those bytes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from desbuquei_backups.core.answers import Answer
from desbuquei_backups.core.comparison import Finding, Verdict, overall
from desbuquei_backups.core.errors import Frozen
from desbuquei_backups.core.manifest import Manifest
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import proofs
from desbuquei_backups.operations.answering import take_over
from desbuquei_backups.operations.copies import Copy, Place, can_open, find_copy
from desbuquei_backups.operations.promotion import peers
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.soundness import AMCHECK
from desbuquei_backups.operations.whereabouts import is_on_disk
from desbuquei_backups.postgres.target import Unmet
from desbuquei_backups.storage import catalog
from desbuquei_backups.storage.s3_errors import THAW

CHECKSUM = "the object's own checksum"


@dataclass(frozen=True, slots=True)
class Proof:
    """What a restored copy showed, subject by subject, and the seconds that each stage took.

    `restored` is the id of the backup that was restored, from `place`: another one, where its bytes are the same.
    `invariants`: what was found of the user's own, which say nothing of the copy, but of the data in it. `kept`: the
    name of the database, if it was not dropped, `kept_at` its URL without a password. `objects`: sequences, large
    objects, extensions, owners, grants, and how many there are of each kind.
    """

    manifest: Manifest
    row_counts: Sequence[Finding]
    contents: Sequence[Finding]
    schema: Sequence[Finding]
    lacking: Sequence[Unmet]
    seconds: Mapping[str, float]
    server_version: str
    restored: str
    place: Place = Place.S3
    invariants: Sequence[Answer] = ()
    soundness: Sequence[Finding] = ()
    kept: str | None = None
    kept_at: str | None = None
    tables: Sequence[Finding] = ()
    objects: Sequence[Finding] = ()

    @property
    def questions(self) -> dict[str, Sequence[Finding]]:
        """What was asked of the copy, and what was found: each is a check of its own."""
        return {
            "tables": self.tables,
            "row counts": self.row_counts,
            "contents": self.contents,
            "schema": self.schema,
            "objects": self.objects,
            "indexes": [each for each in self.soundness if not each.subject.startswith(AMCHECK)],
            "pages": [each for each in self.soundness if each.subject.startswith(AMCHECK)],
        }

    @property
    def findings(self) -> list[Finding]:
        return [finding for found in self.questions.values() for finding in found]

    @property
    def verdict(self) -> Verdict:
        return overall(self.findings)


def equal_proof(site: Site, manifest: Manifest) -> Proof | None:
    """The proof of a copy by the newest restored copy of the same bytes; None if it is to be restored itself.

    That is so if it is no copy, if nothing was proven of those bytes yet, or if it is proven already and can be read:
    who asks once more wants it read. What is frozen, or encrypted and not to be opened here, is not read once more:
    what was shown before, or on another host, still holds.
    """
    sha256 = manifest.dump.sha256
    own = proofs.newest(site.bucket, manifest.backup_id, dump_sha256=sha256)
    unreadable = _frozen(site, manifest) or not can_open(site, manifest)
    if not unreadable and (manifest.origin is None or own is not None):
        return None
    theirs = (proofs.newest(site.bucket, each, dump_sha256=sha256) for each in _same_bytes(site, manifest))
    found = next(filter(None, theirs), own if own is not None and not own.failed else None)
    if found is None:
        return None
    return Proof(
        manifest=manifest,
        row_counts=found.row_counts,
        contents=[*_without_checksum(found.contents), checksum_finding(site, manifest)],
        schema=found.schema_,
        lacking=(),
        seconds={},
        server_version=found.server_version,
        restored=found.restored,
        soundness=found.soundness,
        tables=found.tables,
        objects=found.objects,
        invariants=take_over(site, manifest, found.invariants, found.restored),
    )


def readable(site: Site, manifest: Manifest) -> Copy:
    """The copy to restore in order to prove `manifest`: its own in S3, or, if that is frozen, one of the same bytes.

    That is another tier's in S3, or the one that is still on disk. Frozen if there is none that can be read.
    """
    if not _frozen(site, manifest):
        return find_copy(site, manifest.backup_id, Place.S3)
    sha256 = manifest.dump.sha256
    for backup_id in _same_bytes(site, manifest):
        other = catalog.in_bucket(site.bucket, Slot.of_id(backup_id).tier, backup_id)
        if other is not None and other.dump.sha256 == sha256 and not _frozen(site, other):
            return find_copy(site, backup_id, Place.S3)
    if is_on_disk(site.settings.folder, manifest):
        return find_copy(site, manifest.backup_id, Place.DISK)
    frozen = site.tier(_slot(manifest)).storage_class.value
    raise Frozen(f"its object is in {frozen}, and no other has its bytes", remedy=THAW)


def checksum_finding(site: Site, manifest: Manifest) -> Finding:
    """The checksum that the store itself computed of the object, against that of the bytes that were proven."""
    file = manifest.dump
    found = site.bucket.head(catalog.key_of(file.name))
    if found is None:
        return Finding(CHECKSUM, file.sha256, None, Verdict.DIFFERS, "the object is not there")
    if not found.is_whole(file):
        return Finding(CHECKSUM, file.sha256, found.checksum or found.sha256, Verdict.DIFFERS, "it is another object")
    if found.checksum is not None and found.checksum == found.due_checksum(file.sha256, file.parts_sha256):
        return Finding(CHECKSUM, found.checksum, found.checksum, Verdict.MATCHES)
    return Finding(CHECKSUM, file.parts_sha256, None, Verdict.UNCOMPARED, "the store does not tell it")


def _same_bytes(site: Site, manifest: Manifest) -> Iterator[str]:
    """The ids of the backups that may hold the same bytes, the one that they were taken from first."""
    if manifest.origin is not None:
        yield manifest.origin
    yield from (peer.backup_id for peer in peers(site, _slot(manifest)))


def _slot(manifest: Manifest) -> Slot:
    return Slot.of_id(manifest.backup_id)


def _frozen(site: Site, manifest: Manifest) -> bool:
    found = site.bucket.head(catalog.key_of(manifest.dump.name))
    return found is not None and found.frozen


def _without_checksum(findings: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.subject != CHECKSUM]
