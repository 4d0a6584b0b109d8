"""The chain of a tier, one asset a step: dump → checksum manifest → S3 archive → restored copy."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError

from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.defs.rendering import (
    archive_metadata,
    check_result,
    dump_metadata,
    failed_check,
    manifest_metadata,
    proof_metadata,
)
from desbuquei_backups.defs.resources import Backups
from desbuquei_backups.operations import verify
from desbuquei_backups.operations.archive import archive, stored
from desbuquei_backups.operations.dump import take_dump
from desbuquei_backups.operations.restored_copy import prove
from desbuquei_backups.operations.seal import seal
from desbuquei_backups.validation import checks

OWNERS = ["team:operations"]
STOPPED = "stopped by a person"
Steps = Iterator[dg.MaterializeResult | dg.AssetCheckResult]


def source(database: str) -> dg.AssetSpec:
    """The database that is backed up. Dagster does not make it; it is where the lineage begins."""
    return dg.AssetSpec(
        [database, "source"],
        group_name="source",
        kinds={"postgres"},
        owners=OWNERS,
        description=f"The PostgreSQL database {database}, as DESBUQUEI_DATABASE_URL names it.",
    )


def tier_assets(
    database: str, tier: str, slots: dg.TimeWindowPartitionsDefinition, *, retry_delay: float
) -> list[dg.AssetsDefinition]:
    """The four assets of one tier, partitioned by its slots; each can be run again and finishes what is missing."""
    common: Mapping[str, Any] = {
        "key_prefix": [database, tier],
        "group_name": tier,
        "partitions_def": slots,
        "owners": OWNERS,
        # Only what may pass by itself is tried again: permanent errors raise Failure(allow_retries=False).
        "retry_policy": dg.RetryPolicy(max_retries=2, delay=retry_delay, backoff=dg.Backoff.EXPONENTIAL),
    }

    def specs(asset: str, *names: str, blocking: bool) -> list[dg.AssetCheckSpec]:
        with warnings.catch_warnings():
            # Partitions of checks are a preview in this Dagster: each slot keeps its own results, which is worth it.
            warnings.simplefilter("ignore", dg.PreviewWarning)
            return [
                dg.AssetCheckSpec(
                    name,
                    asset=[database, tier, asset],
                    blocking=blocking,
                    description=checks.DESCRIPTIONS[name],
                    partitions_def=slots,
                )
                for name in names
            ]

    @dg.asset(
        **common,
        deps=[[database, "source"]],
        kinds={"postgres", "gzip"},
        check_specs=specs("dump", checks.DUMP_IS_COMPLETE, checks.CHECKSUMS_MATCH, blocking=True),
    )
    def dump(context: dg.AssetExecutionContext, backups: Backups) -> Steps:
        """A plain SQL dump of one snapshot, compressed and hashed as it streams, with every table counted in it.

        After the globals, `gunzip -c FILE | psql` restores it. An open slot is filled once; run again, what is there
        is verified. A closed empty slot stays empty: a backup cannot be taken in the past.
        """
        slot = Slot.of_key(tier, context.partition_key)
        with _stoppable(), backups.site(context.log) as site:
            try:
                taken = take_dump(site, slot)
                there = (
                    verify.read_back(site.settings.folder, taken.manifest)
                    if taken.where == "disk"
                    else stored(site, taken.manifest)
                )
            except BackupError as error:
                yield from _untrue(error, checks.DUMP_IS_COMPLETE)
                raise _failure(error) from None
            yield dg.MaterializeResult(
                data_version=dg.DataVersion(taken.manifest.dump.sha256),
                metadata=dump_metadata(taken, site.settings.folder),
                check_results=[
                    check_result(checks.dump_is_complete(taken.manifest)),
                    check_result(checks.checksums_match(taken.manifest, there)),
                ],
            )

    @dg.asset(**common, deps=[[database, tier, "dump"]], kinds={"json"})
    def checksum_manifest(context: dg.AssetExecutionContext, backups: Backups) -> dg.MaterializeResult[None]:
        """What the backup is made of and holds: every file's checksums, every table's count and fingerprint.

        Written when every file was read back from disk and found to be what was written; linked to the manifest before.
        """
        slot = Slot.of_key(tier, context.partition_key)
        with _stoppable(), backups.site(context.log) as site:
            try:
                sealed = seal(site, slot)
            except BackupError as error:
                raise _failure(error) from None
            return dg.MaterializeResult(
                data_version=dg.DataVersion(sealed.sha256), metadata=manifest_metadata(sealed, site.settings.folder)
            )

    @dg.asset(
        **common,
        deps=[[database, tier, "checksum_manifest"]],
        kinds={"s3"},
        check_specs=[
            *specs("s3_archive", checks.ARCHIVE_MATCHES_MANIFEST, blocking=True),
            *specs("s3_archive", checks.ARCHIVE_IS_ENCRYPTED, blocking=False),
        ],
    )
    def s3_archive(context: dg.AssetExecutionContext, backups: Backups) -> Steps:
        """The backup in S3: in checksummed parts, encrypted, in the tier's storage class, its manifest last.

        Nothing is ever overwritten. Run again after an outage, it stores what is missing and compares all of it.
        """
        slot = Slot.of_key(tier, context.partition_key)
        with _stoppable(), backups.site(context.log) as site:
            try:
                archived = archive(site, slot)
            except BackupError as error:
                yield from _untrue(error, checks.ARCHIVE_MATCHES_MANIFEST)
                raise _failure(error) from None
            yield dg.MaterializeResult(
                data_version=dg.DataVersion(archived.manifest.dump.sha256),
                metadata=archive_metadata(archived),
                check_results=[
                    check_result(checks.archive_matches_manifest(archived)),
                    check_result(checks.archive_is_encrypted(archived)),
                ],
            )

    @dg.asset(
        **common,
        deps=[[database, tier, "s3_archive"]],
        kinds={"postgres"},
        check_specs=specs("restored_copy", *checks.RESTORED_COPY_CHECKS, blocking=False),
    )
    def restored_copy(context: dg.AssetExecutionContext, backups: Backups) -> Steps:
        """The proof: the archive restored from S3 on a server that has never seen the source, compared, and dropped.

        Every count, fingerprint and definition is read again and compared with the dump's own snapshot. What that
        server lacks is restored around and reported as what could not be compared.
        """
        slot = Slot.of_key(tier, context.partition_key)
        with _stoppable(), backups.site(context.log) as site:
            try:
                proof = prove(site, slot)
            except BackupError as error:
                yield from _untrue(error, *checks.RESTORED_COPY_CHECKS)
                raise _failure(error) from None
            yield dg.MaterializeResult(
                data_version=dg.DataVersion(proof.manifest.dump.sha256),
                metadata=proof_metadata(proof),
                check_results=[check_result(judgement) for judgement in checks.restored_copy_matches(proof)],
            )

    return [dump, checksum_manifest, s3_archive, restored_copy]


@contextmanager
def _stoppable() -> Iterator[None]:
    """A person who stops a step means it: it is not tried again."""
    try:
        yield
    except (KeyboardInterrupt, DagsterExecutionInterruptedError):
        raise dg.Failure(description=STOPPED, allow_retries=False) from None


def _untrue(error: BackupError, *names: str) -> Iterator[dg.AssetCheckResult]:
    """The checks that an error proves untrue. An outage proves nothing: they are judged when it is over."""
    if error.permanent:
        for name in names:
            yield failed_check(name, error.what)


def _failure(error: BackupError) -> dg.Failure:
    metadata = {"backup": error.backup_id or "", "what happened": error.what, "what to do": error.remedy}
    return dg.Failure(description=str(error), metadata=metadata, allow_retries=not error.permanent)
