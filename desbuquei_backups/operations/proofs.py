"""What was proven of a backup, as an object beside its manifest: written once for each proof, and never changed."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from desbuquei_backups.core.comparison import Finding, Verdict
from desbuquei_backups.core.errors import NotFound
from desbuquei_backups.core.manifest import Manifest
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.storage.s3 import Bucket

_LONGEST = 200


class RecordedProof(BaseModel):
    """One proof. `restored`: the id of the backup whose object was restored, which has the same SHA-256.

    The texts of findings that are long are there as their SHA-256.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    backup_id: str
    dump_sha256: str
    proven_at: AwareDatetime
    restored: str
    server_version: str
    row_counts: Sequence[Finding]
    contents: Sequence[Finding]
    schema_: Sequence[Finding]

    @property
    def failed(self) -> bool:
        """Whether anything was not what it should be."""
        return any(each.verdict is Verdict.DIFFERS for each in (*self.row_counts, *self.contents, *self.schema_))


def keep(bucket: Bucket, proof: RecordedProof, tags: dict[str, str]) -> str:
    """Store a proof, always in STANDARD; returns its key."""
    at = proof.proven_at.strftime("%Y%m%dT%H%M%SZ")
    key = f"{_start(proof.backup_id)}{at}-{secrets.token_hex(4)}.json"
    bucket.put_bytes(key, (proof.model_dump_json(indent=1) + "\n").encode(), tags=tags)
    return key


def newest(bucket: Bucket, backup_id: str, *, dump_sha256: str) -> RecordedProof | None:
    """The newest proof of that backup's dump that can be read, or None."""
    for key in sorted(bucket.keys(_start(backup_id)), reverse=True):
        try:
            proof = RecordedProof.model_validate_json(b"".join(bucket.read(key)))
        except (ValidationError, NotFound):
            continue
        if proof.dump_sha256 == dump_sha256:
            return proof
    return None


def of_findings(
    manifest: Manifest,
    at: datetime,
    restored: str,
    server_version: str,
    row_counts: Sequence[Finding],
    contents: Sequence[Finding],
    schema: Sequence[Finding],
) -> RecordedProof:
    """The record of a proof that was just made."""
    return RecordedProof(
        backup_id=manifest.backup_id,
        dump_sha256=manifest.dump.sha256,
        proven_at=at,
        restored=restored,
        server_version=server_version,
        row_counts=[_short(each) for each in row_counts],
        contents=[_short(each) for each in contents],
        schema_=[_short(each) for each in schema],
    )


def _start(backup_id: str) -> str:
    return f"{Slot.of_id(backup_id).tier}/{backup_id}.proof-"


def _short(finding: Finding) -> Finding:
    return Finding(finding.subject, _digest(finding.source), _digest(finding.restored), finding.verdict, finding.why)


def _digest(text: str | None) -> str | None:
    if text is None or len(text) <= _LONGEST:
        return text
    return f"SHA-256 {hashlib.sha256(text.encode()).hexdigest()}"
