"""What each asset of a tier does: one operation, its metadata, its checks, and errors that say whether to retry."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError

from desbuquei_backups.core.errors import BackupError, IdentityError, NoDump
from desbuquei_backups.core.manifest import Manifest, Role
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.tiers import Takes
from desbuquei_backups.defs.marks import mark_for_good, mark_if_cancelled
from desbuquei_backups.defs.rendering import check_result, failed_check, not_applicable_check, skipped_check
from desbuquei_backups.defs.rendering_backup import (
    archive_metadata,
    base_metadata,
    dump_metadata,
    increment_metadata,
    manifest_metadata,
)
from desbuquei_backups.defs.rendering_proof import proof_metadata
from desbuquei_backups.defs.resources import Backups
from desbuquei_backups.defs.wal_judged import judged_wal
from desbuquei_backups.operations import said, verify
from desbuquei_backups.operations.archive import Archived, archive
from desbuquei_backups.operations.asked import Asked
from desbuquei_backups.operations.base_backup import NotApplicable, take_base_backup
from desbuquei_backups.operations.dump import Skipped, take_dump
from desbuquei_backups.operations.egress import price
from desbuquei_backups.operations.restored_copy import prove
from desbuquei_backups.operations.seal import seal
from desbuquei_backups.operations.second_place import archive_in_second_place
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.whereabouts import stored_anywhere
from desbuquei_backups.validation import checks
from desbuquei_backups.validation.expectations import meets
from desbuquei_backups.validation.judge import Judgement, import_meanwhile
from desbuquei_backups.validation.shortened import of_error, shortened, whole

STOPPED = "stopped by a person"
PASSES = "passes by itself"
# Logical dumps in place of increments are as much as the server allows, and so is how it is reached.
_WORST = dict.fromkeys(
    (checks.RECOVERY_POINT_WITHIN_OBJECTIVE, checks.CONNECTION_IS_ENCRYPTED), dg.AssetCheckSeverity.WARN
)
Steps = Iterator[dg.MaterializeResult | dg.AssetCheckResult]


def dump(context: dg.AssetExecutionContext, backups: Backups, tier: str, asked: Asked | None) -> Steps:
    """Fill the slot, verify what fills it, or leave it empty on purpose."""
    import_meanwhile()
    with opened(context, backups, tier) as (site, slot):
        try:
            taken = take_dump(site, slot, asked=asked)
            if isinstance(taken, Skipped):
                context.log.warning(f"{slot.backup_id} is left out: {taken.why}")
                skipped = (*checks.DUMP_CHECKS, checks.CONNECTION_IS_ENCRYPTED)
                yield from (skipped_check(name, taken.why) for name in skipped)
                yield from _of_dumps(site, slot)
                return
            there = (
                verify.read_back(site.settings.folder, taken.manifest)
                if taken.where == "disk"
                else stored_anywhere(site, taken.manifest)
            )
        except BackupError as error:
            yield from _untrue(site, slot, "dump", error, checks.DUMP_IS_COMPLETE)
            raise failure(error) from None
        of_wal = taken.manifest.point is not None
        yield dg.MaterializeResult(
            data_version=dg.DataVersion(taken.manifest.dump.sha256),
            metadata=(increment_metadata if of_wal else dump_metadata)(taken, site.settings.folder),
            check_results=[
                *_said(
                    site,
                    slot,
                    "dump",
                    checks.increment_is_complete(taken.manifest) if of_wal else checks.dump_is_complete(taken.manifest),
                    checks.checksums_match(taken.manifest, there),
                    checks.connection_is_encrypted("PostgreSQL", taken.manifest.server.transport),
                ),
                *(_of_wal(site, slot, taken.manifest) if of_wal else _of_dumps(site, slot)),
            ],
        )


def _of_dumps(site: Site, slot: Slot) -> list[dg.AssetCheckResult]:
    """What logical dumps in place of increments cost."""
    if site.tier(slot).takes is not Takes.INCREMENTAL:
        return []
    costs = checks.recovery_point_within_objective(site.policy, price(site, slot.tier))
    none = "the server gives no WAL: there is no point in time between logical dumps"
    return [*_said(site, slot, "dump", costs), not_applicable_check(checks.WAL_IS_CONTINUOUS, none)]


def _of_wal(site: Site, slot: Slot, manifest: Manifest) -> list[dg.AssetCheckResult]:
    """Whether any second up to the point can be recovered to, as far as looking at server, spool and S3 tells."""
    judged = judged_wal(site, manifest)
    found = [each for each, _ in judged]
    said.checks(site, slot.backup_id, "dump", list(map(shortened, found)), whole=list(map(whole, found)))
    return [check_result(each, worst=worst) for each, worst in judged]


def _said(site: Site, slot: Slot, step: str, *judgements: Judgement) -> list[dg.AssetCheckResult]:
    """The step's check results, said in the chain of evidence too."""
    if judgements:
        said.checks(site, slot.backup_id, step, list(map(shortened, judgements)), whole=list(map(whole, judgements)))
    return [check_result(each, worst=_WORST.get(each.check, dg.AssetCheckSeverity.ERROR)) for each in judgements]


def _untrue(site: Site, slot: Slot, step: str, error: BackupError, *names: str) -> Iterator[dg.AssetCheckResult]:
    """The checks that an error proves untrue, said in the chain of evidence too."""
    if error.permanent:
        said.checks(site, slot.backup_id, step, [of_error(name, error.what) for name in names])
    yield from untrue(error, *names)


def checksum_manifest(context: dg.AssetExecutionContext, backups: Backups, tier: str) -> dg.MaterializeResult[None]:
    """Seal the dump."""
    with opened(context, backups, tier) as (site, slot):
        return _sealed(site, slot)


def base_backup_and_manifest(
    context: dg.AssetExecutionContext, backups: Backups, tier: str, base: dg.AssetKey, manifest: dg.AssetKey, tries: int
) -> Steps:
    """Take a base backup beside the dump if it is asked for, and seal what there is.

    A base backup that fails, after so many tries if it may pass by itself, keeps no dump from being sealed and
    archived: its check says that it is not there.
    """
    asked = context.selected_asset_keys
    with opened(context, backups, tier) as (site, slot):
        if base in asked:
            try:
                yield from _base_backup(context, site, slot, base)
            except BackupError as error:
                if manifest not in asked or (not error.permanent and context.retry_number < tries):
                    raise failure(error) from None
                context.log.error(str(error))
                said.checks(site, slot.backup_id, "base_backup", [of_error(checks.BASE_BACKUP_VERIFIES, error.what)])
                yield failed_check(checks.BASE_BACKUP_VERIFIES, error.what, base)
        if manifest in asked:
            yield _sealed(site, slot, manifest)


def _base_backup(context: dg.AssetExecutionContext, site: Site, slot: Slot, key: dg.AssetKey) -> Steps:
    taken = take_base_backup(site, slot)
    if isinstance(taken, NotApplicable):
        context.log.warning(f"{slot.backup_id}: no base backup: {taken.why}")
        yield not_applicable_check(checks.BASE_BACKUP_VERIFIES, taken.why, key)
        return
    yield dg.MaterializeResult(
        asset_key=key,
        data_version=dg.DataVersion(taken.manifest.file(Role.BASE).sha256),
        metadata=base_metadata(taken, site.settings.folder),
        check_results=_said(site, slot, "base_backup", checks.base_backup_verifies(taken)),
    )


def _sealed(site: Site, slot: Slot, key: dg.AssetKey | None = None) -> dg.MaterializeResult[None]:
    sealed = seal(site, slot)
    return dg.MaterializeResult(
        asset_key=key,
        data_version=dg.DataVersion(sealed.sha256),
        metadata=manifest_metadata(sealed, site.settings.folder),
    )


def s3_archive(context: dg.AssetExecutionContext, backups: Backups, tier: str) -> Steps:
    """Store what is missing, and compare all of it."""
    yield from _archived(context, backups, tier, "s3_archive", archive, lambda site: site)


def second_archive(context: dg.AssetExecutionContext, backups: Backups, tier: str) -> Steps:
    """The same in the second place."""
    yield from _archived(
        context, backups, tier, "second_archive", archive_in_second_place, lambda site: site.at_second_place
    )


def _archived(
    context: dg.AssetExecutionContext,
    backups: Backups,
    tier: str,
    step: str,
    store: Callable[[Site, Slot], Archived],
    reached: Callable[[Site], Site],
) -> Steps:
    with opened(context, backups, tier) as (site, slot):
        try:
            archived = store(site, slot)
        except BackupError as error:
            yield from _untrue(site, slot, step, error, checks.ARCHIVE_MATCHES_MANIFEST)
            raise failure(error) from None
        yield dg.MaterializeResult(
            data_version=dg.DataVersion(archived.manifest.dump.sha256),
            metadata=archive_metadata(archived),
            check_results=_said(
                site,
                slot,
                step,
                checks.archive_matches_manifest(archived),
                checks.archive_is_encrypted(archived),
                checks.connection_is_encrypted("S3", reached(site).bucket.transport),
            ),
        )


def restored_copy(
    context: dg.AssetExecutionContext, backups: Backups, tier: str, invariants: Sequence[str], *, keep: bool
) -> Steps:
    """Restore and compare, or take over what the restored copy of the same bytes showed.

    Where no identity opens an encrypted backup, nothing is proven and nothing disproven: it is for another host to do.
    WAL is proven by a recovery drill. `invariants`: the user's own checks, by name. `keep`: the copy's database stays.
    """
    every = (*checks.RESTORED_COPY_CHECKS, *invariants)
    with opened(context, backups, tier) as (site, slot):
        try:
            proof = prove(site, slot, judged_by=meets, keep=keep)
        except NoDump as error:
            yield from (not_applicable_check(name, error.what) for name in every)
            return
        except IdentityError as error:
            context.log.warning(f"{error}")
            yield from (skipped_check(name, error.what) for name in every)
            return
        except BackupError as error:
            yield from _untrue(site, slot, "restored_copy", error, *checks.RESTORED_COPY_CHECKS)
            raise failure(error) from None
        yield dg.MaterializeResult(
            data_version=dg.DataVersion(proof.manifest.dump.sha256),
            metadata=proof_metadata(proof),
            check_results=_said(
                site,
                slot,
                "restored_copy",
                *checks.restored_copy_matches(proof),
                *checks.invariants_hold(proof.invariants, invariants),
            ),
        )


@contextmanager
def opened(context: dg.AssetExecutionContext, backups: Backups, tier: str) -> Iterator[tuple[Site, Slot]]:
    """The site and the slot of a step. A wrong setting or key fails it for good, and so does a person who stops it."""
    try:
        with backups.site(context.log, _database(context)) as site:
            yield site, Slot.of_key(tier, context.partition_key)
    except BackupError as error:
        raise failure(error) from None
    except (KeyboardInterrupt, DagsterExecutionInterruptedError):
        mark_if_cancelled(context)
        raise dg.Failure(description=STOPPED, allow_retries=False) from None


def _database(context: dg.AssetExecutionContext) -> str:
    """The policy's name for it, with which the keys of all its assets begin."""
    return str(next(iter(context.assets_def.keys)).path[0])


def untrue(error: BackupError, *names: str) -> Iterator[dg.AssetCheckResult]:
    """The checks that an error proves untrue. An outage proves nothing: they are judged when it is over."""
    if error.permanent:
        for name in names:
            yield failed_check(name, error.what)


def failure(error: BackupError) -> dg.Failure:
    """The error as Dagster shows it; a permanent one is not retried, and the run that it ends is marked so."""
    if error.permanent:
        mark_for_good(error)
    metadata: dict[str, str | bool] = {
        "backup": error.backup_id or "",
        "what happened": error.what,
        "what to do": error.remedy,
        PASSES: not error.permanent,
    }
    return dg.Failure(description=str(error), metadata=metadata, allow_retries=not error.permanent)
