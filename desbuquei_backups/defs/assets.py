"""The chain of a tier, one asset a step: dump → checksum manifest → S3 archive → restored copy."""

import warnings
from collections.abc import Mapping
from typing import Any

import dagster as dg

from desbuquei_backups.core.invariants import NONE, Invariant
from desbuquei_backups.core.tiers import Policy, Takes
from desbuquei_backups.defs import steps
from desbuquei_backups.defs.resources import Backups
from desbuquei_backups.operations.asked import Asked
from desbuquei_backups.validation import checks

OWNERS = ["team:operations"]
_DUMP = """
A plain SQL dump of one snapshot, compressed and hashed as it streams, with every table counted in it.

After the globals, `gunzip -c FILE | psql` restores it. An open slot is filled once; run again, what is there is
verified. A closed empty slot stays empty: a backup cannot be taken in the past.
"""
_PROMOTED = """
Where another tier has dumped the database at the same instant, that dump is taken over, and nothing is read again; a
longer tier that is late takes over the daily's of today.
"""
_INCREMENTAL = """
Where the server gives its WAL there is no dump: a restore point is made, all WAL up to it is brought in, and what
changed since the day's base backup is copied. `desbuquei recover` brings back any second.

Else it is a dump. Where nothing changed since the newest backup, that one's files stand for this slot. Where the
month's egress budget has no dump for it, the slot is left out, and the check says what that costs.
"""


_BASE = """
A physical copy of the whole cluster beside the dump, with the WAL that makes it consistent: the fast way back, and what
point-in-time recovery begins from. pg_verifybackup compares every file of it, unpacked.

Where the server allows no replication there is none, which is said. One that fails keeps no dump from being archived.
"""
_MANIFEST = """
What the backup is made of and holds: every file's checksums, every table's count and fingerprint.

Written when every file was read back from disk and found to be what was written; linked to the manifest before.
"""
_RETRIES = 2


class AskedFor(dg.Config):
    """Who asks for this backup, and why; both are kept in its manifest and its records."""

    operator: str
    reason: str


class Keeping(dg.Config):
    """Whether the restored copy's database stays on the restore server, where its URL says, or is dropped."""

    keep: bool = False


def source(database: str, url: str, *, trouble: str | None = None) -> dg.AssetSpec:
    """The database that is backed up. Dagster does not make it; it is where the lineage begins.

    `url`: the name of the variable that says where it is; `trouble`: why there is nothing but this of it.
    """
    described = f"The PostgreSQL database {database}, as {url} names it."
    return dg.AssetSpec(
        [database, "source"],
        group_name="source",
        kinds={"postgres"},
        owners=OWNERS,
        description=described if trouble is None else f"{described}\n\n**It is not backed up**: {trouble}",
    )


def tier_assets(
    policy: Policy,
    tier: str,
    slots: dg.PartitionsDefinition[Any],
    *,
    retry_delay: float,
    second_place: bool,
    invariants: Mapping[str, Invariant] = NONE,
) -> list[dg.AssetsDefinition]:
    """The assets of one tier, partitioned by its slots; each can be run again and finishes what is missing.

    They are four, and where there is a second place, five. Each of the `invariants` is a check of the restored copy.
    """
    database, takes = policy.database, policy.tier(tier).takes
    promoted_from = policy.promoted_from(tier)
    common: Mapping[str, Any] = {
        "key_prefix": [database, tier],
        "group_name": tier,
        "partitions_def": slots,
        "owners": OWNERS,
        # Only what may pass by itself is tried again: permanent errors raise Failure(allow_retries=False).
        "retry_policy": dg.RetryPolicy(max_retries=_RETRIES, delay=retry_delay, backoff=dg.Backoff.EXPONENTIAL),
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
                    description=checks.DESCRIPTIONS.get(name) or invariants[name].described,
                    partitions_def=slots,
                )
                for name in names
            ]

    def after(*path: str) -> list[dg.AssetDep]:
        """The same slot's asset of the tier that this one is promoted from, if there is one."""
        if promoted_from is None:
            return []
        same_instant = dg.IdentityPartitionMapping()
        return [dg.AssetDep([database, promoted_from, *path], partition_mapping=same_instant)]

    described = (
        _DUMP + (_PROMOTED if policy.tier(tier).cron else "") + (_INCREMENTAL if takes is Takes.INCREMENTAL else "")
    )
    dump_options: Mapping[str, Any] = {
        **common,
        "name": "dump",
        "deps": [dg.AssetDep([database, "source"]), *after("s3_archive")],
        "kinds": {"postgres", "gzip"},
        "description": described.strip(),
        # Nothing is materialised for a slot that is left out on purpose.
        "output_required": takes is Takes.FULL,
        "check_specs": [
            *specs("dump", *checks.DUMP_CHECKS, blocking=True),
            *specs("dump", checks.CONNECTION_IS_ENCRYPTED, blocking=False),
            *(
                specs("dump", checks.WAL_IS_CONTINUOUS, checks.RECOVERY_POINT_WITHIN_OBJECTIVE, blocking=False)
                if takes is Takes.INCREMENTAL
                else []
            ),
        ],
    }

    if policy.tier(tier).on_demand:

        @dg.asset(**dump_options)
        def dump(context: dg.AssetExecutionContext, backups: Backups, config: AskedFor) -> steps.Steps:
            yield from steps.dump(context, backups, tier, Asked(config.operator, config.reason))
    else:

        @dg.asset(**dump_options)
        def dump(context: dg.AssetExecutionContext, backups: Backups) -> steps.Steps:
            yield from steps.dump(context, backups, tier, None)

    if policy.tier(tier).base_backup:
        with_base = [
            dg.AssetSpec(
                [database, tier, name],
                deps=[[database, tier, each] for each in before],
                description=text.strip(),
                skippable=skippable,
                kinds=kinds,
                owners=OWNERS,
                group_name=tier,
                partitions_def=slots,
            )
            for name, before, text, skippable, kinds in (
                ("base_backup", ["dump"], _BASE, True, {"postgres"}),
                ("checksum_manifest", ["dump", "base_backup"], _MANIFEST, False, {"json"}),
            )
        ]

        @dg.multi_asset(
            name=f"{database}__{tier}__base_backup_and_manifest",
            specs=with_base,
            check_specs=specs("base_backup", checks.BASE_BACKUP_VERIFIES, blocking=False),
            can_subset=True,
            retry_policy=common["retry_policy"],
        )
        def checksum_manifest(context: dg.AssetExecutionContext, backups: Backups) -> steps.Steps:
            yield from steps.base_backup_and_manifest(
                context, backups, tier, with_base[0].key, with_base[1].key, tries=_RETRIES
            )
    else:

        @dg.asset(**common, deps=[[database, tier, "dump"]], kinds={"json"}, description=_MANIFEST.strip())
        def checksum_manifest(context: dg.AssetExecutionContext, backups: Backups) -> dg.MaterializeResult[None]:
            return steps.checksum_manifest(context, backups, tier)

    @dg.asset(
        **common,
        deps=[[database, tier, "checksum_manifest"]],
        kinds={"s3"},
        check_specs=[
            *specs("s3_archive", checks.ARCHIVE_MATCHES_MANIFEST, blocking=True),
            *specs("s3_archive", checks.ARCHIVE_IS_ENCRYPTED, checks.CONNECTION_IS_ENCRYPTED, blocking=False),
        ],
    )
    def s3_archive(context: dg.AssetExecutionContext, backups: Backups) -> steps.Steps:
        """The backup in S3: in checksummed parts, encrypted, in the tier's storage class, its manifest last.

        Nothing is ever overwritten. Run again after an outage, it stores what is missing and compares all of it. A
        dump that was taken over from another tier is copied within S3.
        """
        yield from steps.s3_archive(context, backups, tier)

    @dg.asset(
        **common,
        deps=[dg.AssetDep([database, tier, "s3_archive"]), *after("restored_copy")],
        kinds={"postgres"},
        # Nothing is materialised where no identity opens an encrypted backup.
        output_required=False,
        check_specs=specs("restored_copy", *checks.RESTORED_COPY_CHECKS, *invariants, blocking=False),
    )
    def restored_copy(context: dg.AssetExecutionContext, backups: Backups, config: Keeping) -> steps.Steps:
        """The proof: the archive restored from S3 on a server that has never seen the source, compared, and dropped.

        Every count, fingerprint and definition is read again and compared with the dump's own snapshot. What that
        server lacks is restored around and reported as what could not be compared. A copy is proven by the restored
        copy of what it was taken from and its equal checksum; run again, it is restored itself, unless it is frozen.
        An encrypted backup is proven where its identity is (DESBUQUEI_AGE_IDENTITY), not where it was taken. WAL is
        proven by the recovery drill.
        """
        yield from steps.restored_copy(context, backups, tier, list(invariants), keep=config.keep)

    if not second_place:
        return [dump, checksum_manifest, s3_archive, restored_copy]

    @dg.asset(
        **common,
        deps=[dg.AssetDep([database, tier, "s3_archive"]), *after("second_archive")],
        kinds={"s3"},
        check_specs=specs(
            "second_archive",
            checks.ARCHIVE_MATCHES_MANIFEST,
            checks.ARCHIVE_IS_ENCRYPTED,
            checks.CONNECTION_IS_ENCRYPTED,
            blocking=False,
        ),
    )
    def second_archive(context: dg.AssetExecutionContext, backups: Backups) -> steps.Steps:
        """The backup in the second place: another region, account or provider, with a retention of its own.

        Copied by the store itself where it can, else sent from disk or from the first place. What fails here keeps
        nothing from being proven.
        """
        yield from steps.second_archive(context, backups, tier)

    return [dump, checksum_manifest, s3_archive, restored_copy, second_archive]
