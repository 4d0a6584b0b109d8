"""A backup on its way, as Dagster shows it: what was dumped, its files, its manifest, its objects in S3."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from desbuquei_backups.core.manifest import Manifest, Role, manifest_name
from desbuquei_backups.defs.rendering import MOST_ROWS, table
from desbuquei_backups.operations.archive import Archived
from desbuquei_backups.operations.base_backup import BaseTaken
from desbuquei_backups.operations.filled import Taken
from desbuquei_backups.operations.seal import Sealed

_VERIFIED = {"disk": "read back from disk", "S3": "S3 was asked for it; the restored copy reads it back"}


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
            [{"table": table.identity, "rows": table.rows or 0} for table in manifest.tables[:MOST_ROWS]],
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
