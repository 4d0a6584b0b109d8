"""What an operation found, as Dagster shows it: readable tables, sizes, rates, and a check's result."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from desbuquei_backups.core.comparison import Finding, Verdict
from desbuquei_backups.core.manifest import Manifest, Role, manifest_name
from desbuquei_backups.operations.anchoring import Anchored
from desbuquei_backups.operations.archive import Archived
from desbuquei_backups.operations.base_backup import BaseTaken
from desbuquei_backups.operations.chain_audit import Audited
from desbuquei_backups.operations.copies import Place
from desbuquei_backups.operations.equal_copy import Proof
from desbuquei_backups.operations.filled import Taken
from desbuquei_backups.operations.prune import Pruned
from desbuquei_backups.operations.seal import Sealed
from desbuquei_backups.validation.judge import Judgement

_MOST_ROWS = 200
_VERIFIED = {"disk": "read back from disk", "S3": "S3 was asked for it; the restored copy reads it back"}
_MOST_LETTERS = 2000
_MOST_LETTERS_OF_A_VALUE = 70
_ORDER = {Verdict.DIFFERS: 0, Verdict.UNCOMPARED: 1, Verdict.MATCHES: 2}


def check_result(
    judgement: Judgement,
    *,
    worst: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
    asset: dg.AssetKey | None = None,
) -> dg.AssetCheckResult:
    """Green if all matches; `worst` if something does not; a warning where something could not be compared."""
    # Dagster makes a table as wide as its widest row: hundreds that match would push the figures of the one that does
    # not out of sight.
    amiss = sum(finding.verdict is not Verdict.MATCHES for finding in judgement.findings)
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=judgement.check,
        passed=judgement.verdict is Verdict.MATCHES,
        severity=worst if judgement.verdict is Verdict.DIFFERS else dg.AssetCheckSeverity.WARN,
        description=judgement.summary,
        metadata={
            "compared": findings_table(judgement.findings, amiss or _MOST_ROWS),
            "verdict": judgement.verdict.value,
            **{
                word: sum(finding.verdict is verdict for finding in judgement.findings)
                for word, verdict in (
                    ("match", Verdict.MATCHES),
                    ("do not match", Verdict.DIFFERS),
                    ("could not be compared", Verdict.UNCOMPARED),
                )
            },
            "Great Expectations": dg.MetadataValue.json(dict(judgement.record)),
        },
    )


def failed_check(name: str, why: str, asset: dg.AssetKey | None = None) -> dg.AssetCheckResult:
    """A check whose operation failed before it could be judged: it is not true."""
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=name,
        passed=False,
        severity=dg.AssetCheckSeverity.ERROR,
        description=_short(why, keep_lines=True),
        metadata={"error": why},
    )


def skipped_check(name: str, why: str, asset: dg.AssetKey | None = None) -> dg.AssetCheckResult:
    """A check of a slot that was left empty on purpose: there is nothing to judge."""
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=name,
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"nothing to judge: {_short(why, keep_lines=True)}",
        metadata={"left out": why},
    )


def not_applicable_check(name: str, why: str, asset: dg.AssetKey | None = None) -> dg.AssetCheckResult:
    """A check of what the server does not allow: neither green nor red."""
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=name,
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"not applicable: {_short(why, keep_lines=True)}",
        metadata={"not applicable": why},
    )


def findings_table(findings: Sequence[Finding], most: int = _MOST_ROWS) -> dg.TableMetadataValue:
    """The findings as a table, the bad ones first; a very long one is cut, which its last row says."""
    ordered = sorted(findings, key=lambda finding: _ORDER[finding.verdict])
    shown = min(most, _MOST_ROWS)
    rows = [
        {
            "verdict": finding.verdict.value,
            "what": _short(finding.subject),
            "expected": _short(finding.source),
            "found": _short(finding.restored),
            "why": _short(finding.why, keep_lines=True),
        }
        for finding in ordered[:shown]
    ]
    if len(ordered) > shown:
        rows.append(
            dict.fromkeys(("expected", "found", "why"), "")
            | {"what": f"… and {len(ordered) - shown:,} more", "verdict": ordered[shown].verdict.value}
        )
    return table(rows, ("verdict", "what", "expected", "found", "why"))


def dump_metadata(taken: Taken, folder: Path) -> Mapping[str, Any]:
    """What an operator wants to know of a dump at a glance."""
    manifest = taken.manifest
    dump, seconds = manifest.dump, manifest.stage_seconds.get("dump", 0)
    return {
        "backup id": manifest.backup_id,
        **_provenance(manifest),
        "taken at": dg.MetadataValue.timestamp(manifest.taken_at.timestamp()),
        "file": dg.MetadataValue.path(str(folder / dump.name))
        if taken.where == "disk"
        else dg.MetadataValue.text(f"{dump.name}, in S3 alone"),
        "size (bytes)": dump.size,
        "before compression (bytes)": dump.plain_size,
        "compression ratio": round(dump.plain_size / dump.size, 2) if dump.size else 0.0,
        **({"rate (MB/s before compression)": round(dump.plain_size / seconds / 1e6, 1)} if seconds else {}),
        "seconds": manifest.duration_seconds,
        "tables": len(manifest.tables),
        "rows": manifest.rows,
        "row counts": table(
            [{"table": table.identity, "rows": table.rows or 0} for table in manifest.tables[:_MOST_ROWS]],
            ("table", "rows"),
            rows="int",
        ),
        "left out": table(
            [{"kind": left.kind, "what": left.identity, "why": left.reason} for left in manifest.left_out],
            ("kind", "what", "why"),
        ),
        "warnings": dg.MetadataValue.md("\n".join(f"- {warning}" for warning in manifest.warnings) or "none"),
        "server": f"PostgreSQL {manifest.server.version}, database {manifest.server.database}",
        "WAL position": manifest.server.lsn or "not known: the role may not ask",
        "pg_dump": manifest.tools.get("pg_dump", ""),
        "encrypted to": ", ".join(manifest.recipients) or "nobody: readable by who has the file",
        "reused": taken.reused,
        "verified": _VERIFIED[taken.where] if taken.reused else "as it was written",
    }


def increment_metadata(taken: Taken, folder: Path) -> Mapping[str, Any]:
    """Which point can be recovered to, and what was copied beside the WAL."""
    manifest, point, base = taken.manifest, taken.manifest.point, taken.manifest.base
    assert point is not None
    copied = manifest.file(Role.BASE) if base is not None else None
    kind = f"increment of {manifest.parent}" if manifest.parent else "full base backup"
    return {
        "backup id": manifest.backup_id,
        "taken at": dg.MetadataValue.timestamp(manifest.taken_at.timestamp()),
        "restore point": point.name,
        "WAL": f"timeline {point.timeline}, up to {point.end}; the point is at {point.lsn}",
        "to recover": f"desbuquei recover --to {point.name} --data-dir DIR",
        "copied beside it": kind if copied is not None else "nothing: the WAL leads there from the base backup",
        **(
            {"file": dg.MetadataValue.path(str(folder / copied.name)), "size (bytes)": copied.size}
            if copied is not None
            else {}
        ),
        "seconds": manifest.duration_seconds,
        **{f"{stage} (seconds)": value for stage, value in manifest.stage_seconds.items()},
        "warnings": dg.MetadataValue.md("\n".join(f"- {warning}" for warning in manifest.warnings) or "none"),
        "server": f"PostgreSQL {manifest.server.version}",
        "encrypted to": ", ".join(manifest.recipients) or "nobody: readable by who has the file",
        "reused": taken.reused,
        "verified": _VERIFIED[taken.where] if taken.reused else "as it was written",
    }


def _provenance(manifest: Manifest) -> Mapping[str, Any]:
    """Where the dump came from, if not from the database; and who asked for it."""
    found = {
        "taken over from": manifest.copy_of,
        "unchanged since": manifest.same_as,
        "operator": manifest.operator,
        "reason": manifest.reason,
    }
    return {name: value for name, value in found.items() if value is not None}


def base_metadata(taken: BaseTaken, folder: Path) -> Mapping[str, Any]:
    """Where the base backup is, and from which moment on the cluster can be recovered with it."""
    manifest, base = taken.manifest, taken.manifest.base
    assert base is not None
    file = manifest.file(Role.BASE)
    return {
        "backup id": manifest.backup_id,
        "file": dg.MetadataValue.path(str(folder / file.name)),
        "size (bytes)": file.size,
        "unpacked (bytes)": base.size,
        "rate (MB/s unpacked)": round(base.size / base.duration_seconds / 1e6, 1) if base.duration_seconds else 0.0,
        "seconds": base.duration_seconds,
        "whole at": dg.MetadataValue.timestamp(base.stopped_at.timestamp()),
        "WAL": f"timeline {base.timeline}, {base.start_lsn} to {base.stop_lsn}, inside the file",
        "pg_basebackup": base.tool,
        "reused": taken.reused,
    }


def manifest_metadata(sealed: Sealed, folder: Path) -> Mapping[str, Any]:
    """Where the manifest is, what it covers, and its link to the one before."""
    manifest = sealed.manifest
    return {
        "backup id": manifest.backup_id,
        "file": dg.MetadataValue.path(str(folder / manifest_name(manifest.backup_id))),
        "SHA-256": sealed.sha256,
        "previous manifest's SHA-256": manifest.previous_manifest_sha256 or "none: the first",
        "files": table(
            [{"file": f.name, "bytes": f.size, "MD5": f.md5, "SHA-256": f.sha256} for f in manifest.files],
            ("file", "bytes", "MD5", "SHA-256"),
            bytes="int",
        ),
        **_decrypted(manifest),
        "needs on restore": table(
            [
                {"kind": r.kind, "name": r.name, "version": r.version or "", "dependants": len(r.dependants)}
                for r in manifest.requirements
            ],
            ("kind", "name", "version", "dependants"),
            dependants="int",
        ),
        "reused": sealed.reused,
        "verified": _VERIFIED[sealed.where],
    }


def _decrypted(manifest: Manifest) -> Mapping[str, Any]:
    """What the encrypted files are when somebody decrypts them."""
    rows = [
        {"file": file.name, "bytes": inside.size, "MD5": inside.md5, "SHA-256": inside.sha256}
        for file in manifest.files
        if (inside := file.decrypted) is not None
    ]
    return {"decrypted": table(rows, ("file", "bytes", "MD5", "SHA-256"), bytes="int")} if rows else {}


def archive_metadata(archived: Archived) -> Mapping[str, Any]:
    """Where the objects are, in which class, and how they are encrypted."""
    return {
        "backup id": archived.manifest.backup_id,
        "dump": dg.MetadataValue.url(archived.dump_uri or ""),
        "size (bytes)": archived.manifest.size,
        "objects": table(
            [
                {
                    "object": file.stored.uri,
                    "bytes": file.stored.size,
                    "storage class": file.stored.storage_class.value,
                    "encryption": file.stored.encryption or "none",
                    "checksum": file.stored.checksum or "not told",
                }
                for file in archived.files
                if file.stored is not None
            ],
            ("object", "bytes", "storage class", "encryption", "checksum"),
            bytes="int",
        ),
        "reused": archived.reused,
    }


def retention_metadata(done: Sequence[Pruned]) -> Mapping[str, Any]:
    """How many are kept and gone, what that freed, and why; those that went, or could not go, first."""
    ordered = sorted(done, key=lambda each: (not each.error, not each.done))
    counts = {
        "kept": sum(not each.done and not each.error for each in done),
        "gone": sum(each.done for each in done),
        "failed": sum(bool(each.error) for each in done),
    }
    verdicts = [
        {
            "backup": each.backup_id,
            "place": each.planned.place.value,
            "verdict": "failed" if each.error else "gone" if each.done else "kept",
            "why": _short(each.reason),
            "bytes": each.freed,
        }
        for each in ordered[:_MOST_ROWS]
    ]
    return {
        **counts,
        "freed (bytes)": sum(each.freed for each in done),
        "verdicts": table(verdicts, ("backup", "place", "verdict", "why", "bytes"), bytes="int"),
        **({"not shown": len(ordered) - _MOST_ROWS} if len(ordered) > _MOST_ROWS else {}),
    }


def evidence_metadata(audited: Audited, anchored: Anchored | None) -> Mapping[str, Any]:
    """How far the chain was walked, where it ends, what is broken, and where its head was told."""
    told = anchored.anchor if anchored is not None else None
    return {
        "links walked": audited.links,
        "from link": audited.start,
        "manifests compared": audited.manifests,
        "head": told.sequence if told is not None else 0,
        "SHA-256 of the head": told.sha256 if told is not None else "nothing was said yet",
        "anchor": dg.MetadataValue.json(told.model_dump(mode="json") if told is not None else {}),
        "anchored": ", ".join(anchored.where if anchored is not None else ())
        or "nowhere: set anchor_command in the policy, or a second place; see docs/evidence.md",
        "breaks": table(
            [
                {"fault": each.fault.value, "what": each.said(), "backup": each.backup_id or ""}
                for each in audited.breaks[:_MOST_ROWS]
            ],
            ("fault", "what", "backup"),
        ),
    }


def proof_metadata(proof: Proof) -> Mapping[str, Any]:
    """What was compared, in how many seconds, and what could not be."""
    seconds = {f"{stage} (seconds)": value for stage, value in proof.seconds.items()}
    return {
        "backup id": proof.manifest.backup_id,
        "verdict": proof.verdict.value,
        "restored": _restored(proof),
        "rows compared": proof.manifest.rows,
        "tables compared": len(proof.row_counts),
        "definitions compared": len(proof.schema),
        "not as the source": sum(each.verdict is Verdict.DIFFERS for each in proof.findings),
        "seconds": round(sum(proof.seconds.values()), 3),
        "row counts": findings_table(proof.row_counts),
        "the server lacks": table(
            [{"kind": u.requirement.kind, "name": u.requirement.name, "why": u.why} for u in proof.lacking],
            ("kind", "name", "why"),
        ),
        "restored on": f"PostgreSQL {proof.server_version}",
        **({"kept": proof.kept, "kept at": proof.kept_at} if proof.kept else {}),
        **seconds,
    }


def _restored(proof: Proof) -> str:
    if proof.place is Place.DISK:
        return "from disk: its archive has the same checksum, and is frozen"
    if proof.restored == proof.manifest.backup_id:
        return "from S3" if proof.seconds else "before: its archive cannot be read here, and has the same checksum"
    return f"as {proof.restored}, whose bytes are the same"


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], /, **types: str) -> dg.TableMetadataValue:
    """Rows under those columns, which are text unless `types` says otherwise."""
    schema = dg.TableSchema([dg.TableColumn(name, types.get(name, "string")) for name in columns])
    return dg.MetadataValue.table([dg.TableRecord(dict(row)) for row in rows], schema=schema)


def _short(text: str | None, *, keep_lines: bool = False) -> str:
    if text is None:
        return "—"
    line, most = (text, _MOST_LETTERS) if keep_lines else (" ".join(text.split()), _MOST_LETTERS_OF_A_VALUE)
    return line if len(line) <= most else f"{line[: most - 1]}…"
