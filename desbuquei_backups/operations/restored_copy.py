"""Prove a backup: restore it from S3 on a server that has never seen the source, and compare everything."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

from desbuquei_backups.core.errors import Busy, NotFound
from desbuquei_backups.core.manifest import Manifest, Role
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import proofs, records, said
from desbuquei_backups.operations.answering import Judge, ask_all, take_over, unjudged
from desbuquei_backups.operations.comparing import compare_contents, left_around, tables_there, told_apart
from desbuquei_backups.operations.comparing_objects import compare_objects
from desbuquei_backups.operations.comparing_schema import compare_schema
from desbuquei_backups.operations.copies import Copy, Place, refuse_without_dump
from desbuquei_backups.operations.equal_copy import Proof, checksum_finding, equal_proof, readable
from desbuquei_backups.operations.in_use import reading
from desbuquei_backups.operations.leaving import leave_disk
from desbuquei_backups.operations.loading import Around, load
from desbuquei_backups.operations.progress import timed
from desbuquei_backups.operations.scratch import Scratch, scratch_database
from desbuquei_backups.operations.settings import RESTORE_URL
from desbuquei_backups.operations.site import Site, naming
from desbuquei_backups.operations.soundness import look
from desbuquei_backups.operations.storing import tags_of
from desbuquei_backups.postgres import connection as pg
from desbuquei_backups.postgres.plain_dump import Found
from desbuquei_backups.postgres.programs import Programs, choose
from desbuquei_backups.storage import catalog, disk

_PLACES = {Place.S3: "S3", Place.SECOND: "the second place", Place.DISK: "disk"}


def prove(site: Site, slot: Slot, *, judged_by: Judge = unjudged, anew: bool = False, keep: bool = False) -> Proof:
    """Restore the archived backup of `slot` into a database of its own, compare, and drop it.

    A copy is proven by the restored copy of the backup that it was taken from, and its object's equal checksum; asked
    for once more, or `anew`, it is restored itself, unless it is frozen. `keep`: so too, and its database stays.
    `judged_by` judges the user's invariants that name an expectation.

    NotFound if it is not archived; NoDump if it is of WAL; IntegrityError if its objects are not what its manifest
    says; ToolFailed if psql cannot restore it; TargetRefused if the restore server is the source; Frozen if there is no
    copy that can be read.
    """
    with (
        naming(slot.backup_id),
        records.record_failures(site, slot, "proof"),
        _one_at_a_time(site, slot),
        reading(site, slot.backup_id),
    ):
        site.progress.stage("fetching the manifest")
        manifest = catalog.in_bucket(site.bucket, slot.tier, slot.backup_id)
        if manifest is None:
            raise NotFound(
                "it is not archived in S3",
                remedy=f"desbuquei backup {slot.tier} --slot {slot.key} finishes what is missing",
            )
        refuse_without_dump(manifest)
        proof = None if anew or keep else equal_proof(site, manifest)
        proof = proof or _restored(site, manifest, judged_by, keep=keep)
        recorded = proofs.of_findings(
            manifest,
            site.now(),
            proof.restored,
            proof.server_version,
            proof.row_counts,
            proof.contents,
            proof.schema,
            proof.seconds,
            proof.invariants,
            proof.soundness,
            proof.tables,
            proof.objects,
        )
        said.proven(site, recorded, proofs.keep(site.bucket, recorded, tags_of(manifest, manifest.backup_id)))
        records.change(site, slot.backup_id, **recorded.recorded())
    with suppress(Busy), replace(site, lock_wait_seconds=0).locked(slot.backup_id, "leaving of the disk"):
        leave_disk(site)  # where another run holds the lock, it does so itself
    return proof


@contextmanager
def _one_at_a_time(site: Site, slot: Slot) -> Iterator[None]:
    """Tiers that fall due together are proven one after the other: what the first one showed, the others take over."""
    with disk.lock(
        site.settings.folder,
        f"{site.policy.database}-proof",
        doing=f"proof of {slot.backup_id}",
        wait_seconds=site.lock_wait_seconds,
        waiting=site.progress.stage,
    ):
        yield


def _restored(site: Site, manifest: Manifest, judged_by: Judge, *, keep: bool) -> Proof:
    copy = readable(site, manifest)
    proof = _Proving(site, copy, judged_by, keep).prove()
    if copy.place is Place.S3 and copy.manifest == manifest:
        return proof
    contents = [*proof.contents, checksum_finding(site, manifest)]
    answers = take_over(site, manifest, proof.invariants, proof.restored)
    return replace(proof, manifest=manifest, contents=contents, invariants=answers)


@dataclass
class _Proving:
    site: Site
    copy: Copy
    judged_by: Judge
    keep: bool
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def manifest(self) -> Manifest:
        return self.copy.manifest

    def prove(self) -> Proof:
        globals_script = self.copy.text(Role.GLOBALS)
        with scratch_database(self.site, self.manifest, globals_script, keep=self.keep) as scratch:
            around = Around(scratch.lacking)
            with (
                pg.connect(self.site.settings.restore_url, setting=RESTORE_URL, dbname=scratch.name) as connection,
                pg.explained("reading the restored copy"),
            ):
                programs = choose(connection.info.server_version // 10000)
                with timed(self.seconds, "restore"):
                    found = self._load(programs, scratch, around)
                with timed(self.seconds, "analyze"):
                    connection.execute("analyze")
                with timed(self.seconds, "counts and fingerprints"):
                    row_counts, content = compare_contents(
                        connection, self.manifest, left_around(self.manifest, around), self.site.progress
                    )
                    content, others = told_apart(content)
                with timed(self.seconds, "schema"):
                    self.site.progress.stage("comparing the schema")
                    others += compare_objects(connection, self.manifest, around)
                    schema = compare_schema(connection, self.copy, programs, scratch, around, found)
                with timed(self.seconds, "soundness"):
                    soundness = look(connection, programs, scratch.url_parameters, self.site.progress)
                with timed(self.seconds, "invariants"):
                    invariants = ask_all(self.site, self.manifest, scratch, self.judged_by)
                version = connection.info.parameter_status("server_version") or ""
        return Proof(
            self.manifest,
            row_counts,
            content,
            schema,
            scratch.lacking,
            self.seconds,
            version,
            self.manifest.backup_id,
            self.copy.place,
            invariants,
            soundness,
            scratch.kept,
            pg.without_password(scratch.url_parameters, scratch.kept) if scratch.kept else None,
            tables_there(self.manifest, row_counts),
            others,
        )

    def _load(self, programs: Programs, scratch: Scratch, around: Around) -> Found:
        self.site.progress.stage(f"restoring from {_PLACES[self.copy.place]}", self.manifest.dump.size)
        plain = self.copy.read(Role.DUMP, progress=self.site.progress.advance)
        return load(programs, scratch.url_parameters, plain, around)
