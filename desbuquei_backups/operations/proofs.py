"""What was proven of a backup, as an object beside its manifest: written once for each proof, and never changed."""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from desbuquei_backups.core.answers import Answer
from desbuquei_backups.core.comparison import Finding, Verdict, overall
from desbuquei_backups.core.errors import NotFound
from desbuquei_backups.core.evidence import Stored, sha256_of
from desbuquei_backups.core.manifest import Manifest
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.storage.s3 import Bucket

_LONGEST = 200
_WRITTEN = "%Y-%m-%dT%H:%M:%SZ"


class RecordedProof(BaseModel):
    """One proof. `restored`: the id of the backup whose object was restored, which has the same SHA-256.

    `seconds`: how long each stage of it took; none, where what had been restored before was taken over. The texts of
    findings that are long are there as their SHA-256. `invariants`: the user's own; where one
    does not hold, it did not in the source either, and the copy is a good one.
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
    seconds: Mapping[str, float] = {}
    invariants: Sequence[Answer] = ()
    soundness: Sequence[Finding] = ()
    tables: Sequence[Finding] = ()
    objects: Sequence[Finding] = ()

    @property
    def verdict(self) -> Verdict:
        """Of all that was compared; the user's invariants are none of it."""
        return overall(self._findings)

    @property
    def failed(self) -> bool:
        """Whether anything was not what it should be."""
        return bool(self._wrong)

    @property
    def _findings(self) -> list[Finding]:
        return [*self.tables, *self.row_counts, *self.contents, *self.schema_, *self.objects, *self.soundness]

    @property
    def _wrong(self) -> list[str]:
        return list(dict.fromkeys(each.subject for each in self._findings if each.verdict is Verdict.DIFFERS))

    def recorded(self) -> dict[str, object]:
        """What it says in the backup's record: a copy that differs is a failed backup, nothing compared no test.

        `restore_seconds`: until what was restored can be used, with the statistics that queries need.
        """
        if wrong := self._wrong:
            named = ", ".join(wrong[:3]) + (f" and {len(wrong) - 3:,} more" if len(wrong) > 3 else "")
            error = f"the restored copy is not the source: {named}"
            return {"status": "failed", "recovery_tested": False, "error": error, "failed_in": "proof"}
        tested = any(finding.verdict is Verdict.MATCHES for finding in (*self.contents, *self.objects))
        told = {"status": "success", "recovery_tested": tested, "error": None, "failed_in": None}
        if "restore" not in self.seconds:
            return told
        took = self.seconds["restore"] + self.seconds.get("analyze", 0)
        return {**told, "restore_seconds": round(took, 3), "restored_at": self.proven_at.strftime(_WRITTEN)}


def keep(bucket: Bucket, proof: RecordedProof, tags: dict[str, str]) -> Stored:
    """Store a proof, always in STANDARD."""
    at = proof.proven_at.strftime("%Y%m%dT%H%M%SZ")
    key = f"{start_of(proof.backup_id)}{at}-{secrets.token_hex(4)}.json"
    content = (proof.model_dump_json(indent=1) + "\n").encode()
    bucket.put_bytes(key, content, tags=tags)
    return Stored(key, sha256_of(content))


def newest(bucket: Bucket, backup_id: str, *, dump_sha256: str) -> RecordedProof | None:
    """The newest proof of that backup's dump that can be read, or None."""
    return newest_of(bucket, list(bucket.keys(start_of(backup_id))), dump_sha256=dump_sha256)


def newest_of(bucket: Bucket, keys: Sequence[str], *, dump_sha256: str) -> RecordedProof | None:
    """The same, of the proofs under those keys."""
    found = (read(bucket, key) for key in sorted(keys, reverse=True))
    return next((proof for proof in found if proof is not None and proof.dump_sha256 == dump_sha256), None)


def read(bucket: Bucket, key: str) -> RecordedProof | None:
    """The proof of that key; None if it cannot be read, or is not there any more."""
    try:
        return RecordedProof.model_validate_json(b"".join(bucket.read(key)))
    except (ValidationError, NotFound):
        return None


def parsed(content: bytes) -> RecordedProof | None:
    """The proof in `content`; None if it cannot be read."""
    try:
        return RecordedProof.model_validate_json(content)
    except ValidationError:
        return None


def of_findings(
    manifest: Manifest,
    at: datetime,
    restored: str,
    server_version: str,
    row_counts: Sequence[Finding],
    contents: Sequence[Finding],
    schema: Sequence[Finding],
    seconds: Mapping[str, float],
    invariants: Sequence[Answer] = (),
    soundness: Sequence[Finding] = (),
    tables: Sequence[Finding] = (),
    objects: Sequence[Finding] = (),
) -> RecordedProof:
    """The record of a proof that was just made."""
    return RecordedProof(
        backup_id=manifest.backup_id,
        dump_sha256=manifest.dump.sha256,
        proven_at=at,
        restored=restored,
        server_version=server_version,
        row_counts=[digested(each) for each in row_counts],
        contents=[digested(each) for each in contents],
        schema_=[digested(each) for each in schema],
        seconds=seconds,
        invariants=invariants,
        soundness=soundness,
        tables=tables,
        objects=[digested(each) for each in objects],
    )


def start_of(backup_id: str) -> str:
    """How the keys of all proofs of a backup begin."""
    return f"{Slot.of_id(backup_id).tier}/{backup_id}.proof-"


def digested(finding: Finding) -> Finding:
    """The finding, what it compares as a SHA-256 where it is long."""
    return Finding(finding.subject, _digest(finding.source), _digest(finding.restored), finding.verdict, finding.why)


def _digest(text: str | None) -> str | None:
    if text is None or len(text) <= _LONGEST:
        return text
    return f"SHA-256 {hashlib.sha256(text.encode()).hexdigest()}"
