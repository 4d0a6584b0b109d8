"""Archives as a bucket holds them, whole, of a database that nobody had to dump."""

import gzip
import hashlib
from typing import Any

from desbuquei_backups.core.comparison import Finding, Verdict
from desbuquei_backups.core.evidence import Stored
from desbuquei_backups.core.manifest import FileFacts, Manifest, Role, manifest_name
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import proofs
from desbuquei_backups.storage.catalog import key_of
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups_tests.examples import example_manifest

PLAIN = b"--\n-- PostgreSQL database dump\n--\n\n\n--\n-- PostgreSQL database dump complete\n--\n\n"
CONTENT = gzip.compress(PLAIN, mtime=0)


def manifest_of(backup_id: str, **changed: Any) -> Manifest:
    """A manifest of one small file, without tables; `server` is what is changed of the server's facts."""
    slot = Slot.of_id(backup_id)
    name = f"{changed.get('same_as') or backup_id}.sql.gz"
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    md5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    dump = FileFacts(name=name, role=Role.DUMP, size=len(CONTENT), plain_size=len(PLAIN), md5=md5, sha256=sha256)
    server = example_manifest().server.model_copy(update=changed.pop("server", {}))
    values = {
        "backup_id": backup_id,
        "tier": slot.tier,
        "slot": slot.due,
        "taken_at": slot.due,
        "files": [dump],
        "tables": [],
    }
    return example_manifest(**{**values, "server": server, **changed})


def stored(bucket: Bucket, backup_id: str, *, content: bytes | None = None, dump: bool = True, **changed: Any) -> str:
    """Archive a backup; `content` stands for its manifest. Returns the manifest's key."""
    manifest = manifest_of(backup_id, **changed)
    if dump and manifest.same_as is None:
        bucket.put_bytes(key_of(manifest.dump.name), CONTENT, tags={})
    key = key_of(manifest_name(backup_id))
    bucket.put_bytes(key, manifest.to_bytes() if content is None else content, tags={})
    return key


def proven(
    bucket: Bucket, backup_id: str, *, verdict: Verdict = Verdict.MATCHES, **seconds: float
) -> tuple[proofs.RecordedProof, Stored]:
    """Keep a proof of it, of the instant of its slot."""
    manifest = manifest_of(backup_id)
    finding = Finding("public.pedidos", "1", "1", verdict)
    proof = proofs.of_findings(manifest, manifest.taken_at, backup_id, "17", [finding], [finding], [finding], seconds)
    return proof, proofs.keep(bucket, proof, {})
