"""What was proven, kept and said of backups, as Dagster shows it: restored copies, retention, the chain of evidence."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from desbuquei_backups.core.comparison import Verdict
from desbuquei_backups.defs.rendering import MOST_ROWS, findings_table, short, table
from desbuquei_backups.operations.anchoring import Anchored
from desbuquei_backups.operations.chain_audit import Audited
from desbuquei_backups.operations.copies import Place
from desbuquei_backups.operations.equal_copy import Proof
from desbuquei_backups.operations.prune import Pruned


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
            "why": short(each.reason),
            "bytes": each.freed,
        }
        for each in ordered[:MOST_ROWS]
    ]
    return {
        **counts,
        "freed (bytes)": sum(each.freed for each in done),
        "verdicts": table(verdicts, ("backup", "place", "verdict", "why", "bytes"), bytes="int"),
        **({"not shown": len(ordered) - MOST_ROWS} if len(ordered) > MOST_ROWS else {}),
    }


def evidence_metadata(audited: Audited, anchored: Anchored | None) -> Mapping[str, Any]:
    """How far the chain was walked, where it ends, what is broken, and where its head was told."""
    told = anchored.anchor if anchored is not None else None
    return {
        "links walked": audited.links,
        "from link": audited.start,
        "manifests compared": audited.manifests,
        "check results compared": audited.checks,
        "proofs compared": audited.proofs,
        "drills compared": audited.drills,
        "links signed": audited.signed,
        "head": told.sequence if told is not None else 0,
        "SHA-256 of the head": told.sha256 if told is not None else "nothing was said yet",
        "anchor": dg.MetadataValue.json(told.model_dump(mode="json") if told is not None else {}),
        "anchored": ", ".join(anchored.where if anchored is not None else ())
        or "nowhere: set anchor_command in the policy, or a second place; see docs/evidence.md",
        "breaks": table(
            [
                {"fault": each.fault.value, "what": each.said(), "backup": each.backup_id or ""}
                for each in audited.breaks[:MOST_ROWS]
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
