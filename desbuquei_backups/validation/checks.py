"""The checks, by name, and what each compares. A name is a sentence that is true when all is well."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from desbuquei_backups.core.answers import Answer
from desbuquei_backups.core.comparison import Finding, Verdict, compare
from desbuquei_backups.core.forecast import Forecast, said
from desbuquei_backups.core.manifest import FileFacts, Manifest
from desbuquei_backups.core.periods import in_words
from desbuquei_backups.core.tiers import Policy
from desbuquei_backups.core.transport import Transport
from desbuquei_backups.operations.archive import Archived
from desbuquei_backups.operations.base_backup import BaseTaken
from desbuquei_backups.operations.chain_audit import Audited
from desbuquei_backups.operations.disk_use import DISK_THRESHOLD_PERCENT, DiskUse
from desbuquei_backups.operations.drill_record import DrillRecord
from desbuquei_backups.operations.egress import Price
from desbuquei_backups.operations.equal_copy import Proof
from desbuquei_backups.storage.s3 import StoredObject
from desbuquei_backups.storage.stream import Checksums
from desbuquei_backups.validation.judge import Judgement, judge

DUMP_IS_COMPLETE = "dump_is_complete"
CHECKSUMS_MATCH = "checksums_match"
BASE_BACKUP_VERIFIES = "base_backup_verifies"
ARCHIVE_MATCHES_MANIFEST = "archive_matches_manifest"
ARCHIVE_IS_ENCRYPTED = "archive_is_encrypted"
CONNECTION_IS_ENCRYPTED = "connection_is_encrypted"
TABLES_MATCH = "tables_match"
ROW_COUNTS_MATCH = "row_counts_match"
CONTENT_MATCHES = "content_matches"
SCHEMA_MATCHES = "schema_matches"
OBJECTS_MATCH = "objects_match"
INDEXES_ARE_VALID = "indexes_are_valid"
PAGES_ARE_SOUND = "pages_are_sound"
RECOVERY_POINT_WITHIN_OBJECTIVE = "recovery_point_within_objective"
WAL_IS_CONTINUOUS = "wal_is_continuous"
RECOVERY_TIME_WITHIN_OBJECTIVE = "recovery_time_within_objective"
RETENTION_IS_HONOURED = "retention_is_honoured"
EVIDENCE_IS_UNBROKEN = "evidence_is_unbroken"
DISK_USAGE_BELOW_THRESHOLD = "disk_usage_below_threshold"

DESCRIPTIONS = {
    DUMP_IS_COMPLETE: "The dump ends with pg_dump's footer and its bytes hold every row that the snapshot had.",
    CHECKSUMS_MATCH: "Every file, read back, has the size, MD5 and SHA-256 computed as it was written.",
    BASE_BACKUP_VERIFIES: "pg_verifybackup finds every file of the base backup, unpacked, as the server wrote it.",
    ARCHIVE_MATCHES_MANIFEST: "Every object in S3 has the size, SHA-256 and storage class it should have.",
    ARCHIVE_IS_ENCRYPTED: "The store says of every object that it is encrypted at rest.",
    CONNECTION_IS_ENCRYPTED: "What leaves this machine for the server, or comes from it, is encrypted on its way.",
    TABLES_MATCH: "The restored copy has every table that the source's snapshot had, and no other.",
    ROW_COUNTS_MATCH: "Every table of the restored copy has exactly the rows that the source's snapshot had.",
    CONTENT_MATCHES: "Every table's content fingerprint is the source's.",
    SCHEMA_MATCHES: "Every definition, grant and comment of the restored copy is the source's.",
    OBJECTS_MATCH: (
        "Sequences, large objects and extensions are the source's, and so is the number of owners', grants and objects "
        "of each kind, by the catalogs."
    ),
    INDEXES_ARE_VALID: "Every index of the restored copy is one that queries use.",
    PAGES_ARE_SOUND: "pg_amcheck finds every table and index of the restored copy sound.",
    RETENTION_IS_HONOURED: "What the policy keeps is there, and what it does not is gone.",
    EVIDENCE_IS_UNBROKEN: "Every link of the chain of evidence is what the next one says it was, and none is missing.",
    DISK_USAGE_BELOW_THRESHOLD: (
        f"The disk of the backup folder is less than {DISK_THRESHOLD_PERCENT} % full; when it fills is foreseen."
    ),
    WAL_IS_CONTINUOUS: "No WAL is missing from the first base backup of the window to where the server is.",
    RECOVERY_TIME_WITHIN_OBJECTIVE: (
        "A sound copy of the cluster, recovered from S3, accepts connections within the recovery time objective; one "
        "of the source's present size would, too."
    ),
    RECOVERY_POINT_WITHIN_OBJECTIVE: "The newest backup is never older than the recovery point objective.",
}

DUMP_CHECKS = (DUMP_IS_COMPLETE, CHECKSUMS_MATCH)

# What is asked of a restored copy, each question with the check that answers it.
_OF_A_PROOF = {
    "tables": TABLES_MATCH,
    "row counts": ROW_COUNTS_MATCH,
    "contents": CONTENT_MATCHES,
    "schema": SCHEMA_MATCHES,
    "objects": OBJECTS_MATCH,
    "indexes": INDEXES_ARE_VALID,
    "pages": PAGES_ARE_SOUND,
}
RESTORED_COPY_CHECKS = tuple(_OF_A_PROOF.values())

# What a dump never holds, whatever the role: it is said, but it is no gap in this backup.
_NEVER_HELD = ("rows",)


def dump_is_complete(manifest: Manifest) -> Judgement:
    """The footer is there, and the dump's own bytes have every row of the snapshot; what was left out is named."""
    # A dump without its footer is never given a name: where there is a manifest, the footer was seen.
    findings = [Finding("pg_dump's footer", "present", "present", Verdict.MATCHES)]
    findings += compare(
        {f"rows of {table.identity}": table.rows for table in manifest.tables},
        {f"rows of {table.identity}": table.dumped_rows for table in manifest.tables},
        {},
    )
    findings += [
        Finding(f"{left.kind} {left.identity}", None, None, Verdict.UNCOMPARED, left.reason)
        for left in manifest.left_out
        if left.kind not in _NEVER_HELD
    ]
    findings += [
        Finding(f"{each.kind} {each.identity}", None, None, Verdict.UNCOMPARED, "pg_dump did not write it")
        for each in manifest.unwritten
    ]
    findings += [
        Finding(
            f"index {name}",
            None,
            None,
            Verdict.UNCOMPARED,
            f"invalid in the source: no query of {table} uses it, and pg_dump leaves it out. "
            f"REINDEX INDEX CONCURRENTLY {name}; or DROP INDEX CONCURRENTLY {name};",
        )
        for name, table in manifest.invalid_indexes.items()
    ]
    findings += _warnings(manifest)
    return judge(DUMP_IS_COMPLETE, findings)


def increment_is_complete(manifest: Manifest) -> Judgement:
    """The point was made and all WAL up to it came here; what changed since the base backup was read back whole."""
    point, base = manifest.point, manifest.base
    assert point is not None
    findings = [
        Finding("restore point", point.name, point.name, Verdict.MATCHES, f"at {point.lsn}, with a commit after it"),
        # A backup of WAL is given no manifest before all of it is here.
        Finding("WAL", f"up to {point.end}", f"up to {point.end}", Verdict.MATCHES),
    ]
    if base is not None:
        kind = f"increment of {manifest.parent}" if manifest.parent else "base backup"
        why = f"pg_verifybackup {base.tool} read it back; consistent from {base.stop_lsn} on"
        findings.append(Finding(kind, "whole", "whole", Verdict.MATCHES, why))
    findings += _warnings(manifest)
    return judge(DUMP_IS_COMPLETE, findings)


def _warnings(manifest: Manifest) -> list[Finding]:
    return [
        Finding(f"warning {number}", None, None, Verdict.UNCOMPARED, warning)
        for number, warning in enumerate(manifest.warnings, 1)
    ]


def checksums_match(manifest: Manifest, found: Mapping[str, Checksums | StoredObject | str | None]) -> Judgement:
    """Every file as it is now has the size, MD5 and SHA-256 that were computed as it was written.

    Of a file that is in S3 alone, size and the store's own checksum are compared; where it tells none, nothing is
    claimed: what else it says of the content was said by us.
    """
    findings = []
    for file in manifest.files:
        there = found.get(file.name)
        facts = ("size", "md5", "sha256")
        if isinstance(there, StoredObject):
            findings += _in_store(file, there)
            continue
        findings += compare(
            {f"{file.name}: {fact}": getattr(file, fact) for fact in facts},
            {f"{file.name}: {fact}": getattr(there, fact, None) for fact in facts},
            {},
        )
    return judge(CHECKSUMS_MATCH, findings)


def _in_store(file: FileFacts, there: StoredObject) -> list[Finding]:
    size, checksum = f"{file.name}: size", f"{file.name}: the store's own checksum"
    wanted = there.due_checksum(file.sha256, file.parts_sha256)
    why = "not on disk, and the store tells no checksum: the restored copy reads it back from S3"
    return compare(
        {size: file.size, checksum: wanted},
        {size: there.size, checksum: there.checksum},
        {} if wanted and there.checksum else {checksum: why},
    )


def base_backup_verifies(taken: BaseTaken) -> Judgement:
    """What pg_verifybackup says of the unpacked base backup; of one that was not unpacked here nothing is claimed."""
    subject, found = "pg_verifybackup", taken.verified
    if found is None or found.unread:
        why = found.unread if found is not None else "it is in S3 alone: a recovery drill reads it back"
        return judge(BASE_BACKUP_VERIFIES, [Finding(subject, "whole", None, Verdict.UNCOMPARED, why)])
    if found.faults:
        faults = [Finding(fault, "whole", "not whole", Verdict.DIFFERS, fault) for fault in found.faults]
        return judge(BASE_BACKUP_VERIFIES, faults)
    return judge(BASE_BACKUP_VERIFIES, [Finding(f"{subject} {found.version}", "whole", "whole", Verdict.MATCHES)])


def archive_matches_manifest(archived: Archived) -> Judgement:
    """Every object in S3 has the size, SHA-256 and storage class that the manifest and the policy say."""
    expected: dict[str, object] = {}
    stored: dict[str, object] = {}
    for file in archived.files:
        expected |= {
            f"{file.name}: size": file.facts.size,
            f"{file.name}: SHA-256": file.facts.sha256,
            **({f"{file.name}: storage class": file.storage_class.value} if file.storage_class else {}),
        }
        if file.stored is not None:
            stored |= {
                f"{file.name}: size": file.stored.size,
                f"{file.name}: SHA-256": file.stored.sha256,
                **({f"{file.name}: storage class": file.stored.storage_class.value} if file.storage_class else {}),
            }
    return judge(ARCHIVE_MATCHES_MANIFEST, compare(expected, stored, {}))


def archive_is_encrypted(archived: Archived) -> Judgement:
    """The store says of every object that it is encrypted at rest."""
    findings = []
    for file in archived.files:
        how = file.stored.encryption if file.stored else None
        verdict = Verdict.MATCHES if how else Verdict.DIFFERS
        before = "; by age before it left this host" if file.facts.decrypted is not None else ""
        why = f"{how}{before}" if how else "the store names no encryption: switch it on for the bucket"
        findings.append(Finding(file.name, "encrypted", "encrypted" if how else "not encrypted", verdict, why))
    return judge(ARCHIVE_IS_ENCRYPTED, findings)


def connection_is_encrypted(server: str, how: Transport | None) -> Judgement:
    """The server is reached over TLS, or is on this machine; `server` is what it is called."""
    if how is None:
        finding = Finding(server, Transport.TLS, None, Verdict.UNCOMPARED, "how it was reached was not recorded")
    else:
        verdict = Verdict.DIFFERS if how is Transport.CLEAR else Verdict.MATCHES
        why = "anybody on the way can read it: ask for TLS in the URL" if how is Transport.CLEAR else ""
        expected = how if verdict is Verdict.MATCHES else Transport.TLS
        finding = Finding(server, expected, how, verdict, why)
    return replace(judge(CONNECTION_IS_ENCRYPTED, [finding]), summary=f"{server}: {how or 'not known'}")


def restored_copy_matches(proof: Proof) -> list[Judgement]:
    """What is in the copy is what the source had at the dump's snapshot; its tables and indexes are sound."""
    return [judge(_OF_A_PROOF[question], findings) for question, findings in proof.questions.items()]


def invariants_hold(answers: Sequence[Answer], names: Sequence[str]) -> list[Judgement]:
    """The user's own invariants of those names, one judgement each; of one that was not asked nothing is claimed."""
    found = {each.name: each.findings for each in answers}
    missing = [Finding("answer", None, None, Verdict.UNCOMPARED, "it was not asked")]
    return [_answered(judge(name, found.get(name, missing))) for name in names]


def _answered(judgement: Judgement) -> Judgement:
    """What was asked for and what was found say more than how many match."""
    finding = judgement.findings[0]
    why = finding.why.split("\n", 1)[0]
    return replace(judgement, summary=f"{finding.source or 'an answer'}: {why or judgement.verdict}")


def retention_is_honoured(findings: Sequence[Finding]) -> Judgement:
    """Every backup that is to be kept is there, and every one that is not to be kept is gone."""
    if not findings:
        nothing = Finding("backups", "none to keep", "none to keep", Verdict.MATCHES)
        return judge(RETENTION_IS_HONOURED, [nothing])
    return judge(RETENTION_IS_HONOURED, findings)


def evidence_is_unbroken(audited: Audited) -> Judgement:
    """Nothing that was ever said was changed, lost or left out since, as far as it was walked this time."""
    unbroken = f"{audited.links:,} unbroken"
    links = (
        Finding("links", unbroken, unbroken, Verdict.MATCHES)
        if audited.links
        else Finding("links", None, None, Verdict.UNCOMPARED, "nothing was ever said in it")
    )
    # Two may be wrong with one link: each is a finding of its own.
    broken = [
        Finding(f"{number}: {each.said()}", "as it was", str(each.fault), Verdict.DIFFERS, each.what)
        for number, each in enumerate(audited.breaks, 1)
    ]
    return judge(EVIDENCE_IS_UNBROKEN, broken or [links])


def recovery_point_within_objective(policy: Policy, price: Price | None) -> Judgement:
    """The age that the newest backup reaches, by cadence and length of the dumps, is within the objective."""
    promised = f"at most {in_words(policy.recovery_point_objective)}"
    subject = "age of the newest backup"
    if price is None:
        finding = Finding(subject, promised, None, Verdict.UNCOMPARED, "nothing was dumped yet")
    elif price.recovery_point <= policy.recovery_point_objective:
        finding = Finding(subject, promised, promised, Verdict.MATCHES, price.said())
    else:
        why = f"no point in time between logical dumps; {price.said()}"
        finding = Finding(subject, promised, f"up to {in_words(price.recovery_point)}", Verdict.DIFFERS, why)
    judgement = judge(RECOVERY_POINT_WITHIN_OBJECTIVE, [finding])
    return replace(judgement, summary=f"{finding.restored or 'not known'}, promised: {promised}")


def wal_is_continuous(findings: Sequence[Finding]) -> Judgement:
    """No gap from the first base backup of the window to the newest segment, and nothing lost behind that."""
    return judge(WAL_IS_CONTINUOUS, findings)


def newest_within_objective(finding: Finding) -> Judgement:
    """What S3 has not yet of what the source has is no older than the recovery point objective."""
    judgement = judge(RECOVERY_POINT_WITHIN_OBJECTIVE, [finding])
    return replace(judgement, summary=f"{finding.restored or 'not known'}, promised: {finding.source}; {finding.why}")


def disk_usage_below_threshold(use: DiskUse | None, seen: Forecast | None, now: datetime) -> Judgement:
    """The disk of the backup folder has room; `seen`: when it fills, as far as that is known."""
    subject, promised = "the disk of the backup folder", f"less than {DISK_THRESHOLD_PERCENT} % used"
    if use is None:
        finding = Finding(subject, promised, None, Verdict.UNCOMPARED, "how full it is cannot be told")
    else:
        why = f"{use.percent} % used, {use.free / 1e9:,.1f} GB free; {said(seen, now)}"
        verdict = Verdict.DIFFERS if use.full else Verdict.MATCHES
        finding = Finding(subject, promised, f"{use.percent} % used" if use.full else promised, verdict, why)
    return replace(judge(DISK_USAGE_BELOW_THRESHOLD, [finding]), summary=finding.why)


def recovery_time_within_objective(policy: Policy, drill: DrillRecord) -> Judgement:
    """The drill's recovery took no longer than promised, nor would one of the present size, and the copy is sound."""
    promised = policy.recovery_time_objective
    said = f"at most {in_words(promised)}"
    stages = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in drill.seconds.items())
    findings = [
        _within("measured", drill.recovery_seconds, promised, stages),
        _within(
            "expected for the present size", drill.expected_seconds, promised, f"{drill.present_size or 0:,} bytes"
        ),
    ]
    sound = "sound" if not drill.faults else "not sound"
    verdict = Verdict.DIFFERS if drill.faults else Verdict.MATCHES
    findings.append(Finding("the recovered copy", "sound", sound, verdict, "; ".join(drill.faults or drill.checked)))
    findings += [Finding("not checked", None, None, Verdict.UNCOMPARED, why) for why in drill.unchecked]
    judgement = judge(RECOVERY_TIME_WITHIN_OBJECTIVE, findings)
    return replace(judgement, summary=f"{drill.recovery_seconds:,.1f} s, promised: {said}; the copy is {sound}")


def _within(subject: str, seconds: float | None, promised: timedelta, why: str) -> Finding:
    said = f"at most {in_words(promised)}"
    if seconds is None:
        return Finding(subject, said, None, Verdict.UNCOMPARED, "the source was not asked for its size")
    if seconds <= promised.total_seconds():
        return Finding(subject, said, said, Verdict.MATCHES, f"{seconds:,.1f} s: {why}")
    return Finding(subject, said, f"{seconds:,.1f} s", Verdict.DIFFERS, why)
