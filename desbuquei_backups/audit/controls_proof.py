"""The controls of what was shown: the evidence unbroken, the backups whole, and restored."""

from datetime import timedelta

from desbuquei_backups.audit.facts import Question
from desbuquei_backups.audit.judging import (
    ARCHIVE_MATCHES,
    BASE_BACKUP_VERIFIES,
    CHECKSUMS_MATCH,
    DUMP_IS_COMPLETE,
    RESTORED,
    Judging,
    Part,
    named,
    together,
)
from desbuquei_backups.audit.model import Control, Table, Verdict
from desbuquei_backups.core.evidence import Kind

_DRILLED_WITHIN = timedelta(days=35)  # they are monthly


def evidence(judging: Judging) -> Control:
    """Whether the chain is what it was."""
    facts = judging.facts
    chain = facts.chain
    walked = f"links {chain.start:,} to {chain.last or 0:,}"
    if chain.trouble is not None:
        part = Part(Verdict.NOT_KNOWN, f"it could not be walked: {chain.trouble}")
    elif chain.breaks:
        more = f", and {len(chain.breaks) - 1:,} more" if len(chain.breaks) > 1 else ""
        why = f"it was changed: {chain.breaks[0]}{more}"
        part = Part(Verdict.FAILS, why, list(chain.breaks))
    elif chain.last is None:
        part = Part(Verdict.NOT_KNOWN, "nothing was ever said in it")
    elif not chain.anchors and not chain.second:
        why = f"{walked} are unbroken; whether later ones were cut off is not known: there was no anchor"
        part = Part(Verdict.NOT_KNOWN, why)
    else:
        beside = [f"{chain.anchors:,} anchor{'' if chain.anchors == 1 else 's'}"] if chain.anchors else []
        beside += ["the second place's copy"] if chain.second else []
        part = Part(Verdict.HOLDS, f"{walked} are unbroken, and agree with {' and '.join(beside)}")
    whole = f"{chain.whole_at:%Y-%m-%d %H:%M} UTC" if chain.whole_at is not None else "not known on this machine"
    told = [
        f"walked for this report: {chain.links:,} links; compared in S3 with what they say: {chain.manifests:,} "
        f"manifests, {chain.checks:,} files of check results, {chain.proofs:,} proofs, {chain.drills:,} drills",
        f"keys that may sign: {chain.keys:,}; links with a good signature: {chain.signed:,}"
        if chain.keys
        else "no signature was verified: DESBUQUEI_PUBLIC_KEYS names no key",
        f"all of it last found unbroken: {whole}",
    ]
    if chain.head_sha256 is not None:
        told.append(f"the head is link {chain.last:,}, SHA-256 {chain.head_sha256}")
    outside = [each.backup_id for each in judging.archived if each.link is None]
    return Control(
        "evidence",
        "Evidence",
        "What was said of backups when they were made was not changed, lost or reordered since.",
        part.verdict,
        part.why,
        evidence=told,
        exceptions=[*part.exceptions, *([f"the chain does not have: {named(outside)}"] if outside else [])],
        figures={"links broken": len(chain.breaks) if chain.trouble is None else None},
    )


def integrity(judging: Judging) -> Control:
    """Checksums: as they were written, as they were archived, and whenever somebody verified since."""
    facts, backups = judging.facts, judging.archived
    parts = [
        judging.checked(DUMP_IS_COMPLETE, backups, "complete"),
        judging.checked(CHECKSUMS_MATCH, backups, "read back from disk, size, MD5 and SHA-256 equal"),
        judging.checked(ARCHIVE_MATCHES, backups, "every object in S3 as its manifest says"),
    ]
    based = [each for each in backups if each.base and not each.wal]
    if based:
        parts.append(judging.checked(BASE_BACKUP_VERIFIES, based, "base backups, unpacked and compared"))
    verified = [each for each in facts.events if each.kind is Kind.VERIFIED and facts.period.has(each.at)]
    wrong = [f"{each.at:%Y-%m-%d %H:%M} UTC: {each.what}" for each in verified if "not whole" in each.what]
    if wrong:
        parts.append(Part(Verdict.FAILS, "a backup was verified and found not whole", wrong))
    found = together(parts)
    again = f"{len(verified):,} times somebody verified; last on {verified[-1].at:%Y-%m-%d}" if verified else "never"
    told = [f"checksums recomputed after that, in the period: {again}"]
    if facts.verified is not None:
        told.append(f"verified in S3, as far as this machine remembers: {facts.verified.said()}")
    return Control(
        "integrity",
        "Integrity",
        "Every backup's checksums are computed as it is written, recomputed from disk, and compared in S3.",
        found.verdict,
        found.why,
        evidence=told,
        exceptions=found.exceptions,
    )


def restorability(judging: Judging) -> Control:
    """Restored copies, and recovery drills."""
    facts = judging.facts
    dumps = [each for each in judging.archived if not each.wal]
    parts = [judging.checked(check, dumps, what) for check, what in RESTORED.items()] if dumps else []
    drilled = facts.drills or facts.drill_before or facts.unvouched
    if drilled or any(each.wal or each.base for each in judging.archived):
        parts.append(_drills(judging))
    if not parts:
        parts.append(Part(Verdict.NOT_KNOWN, "there is no backup in the period that could have been restored"))
    found = together(parts)
    by_hand = _proven_by_records(judging)
    rows = [
        (
            f"{each.drilled_at:%Y-%m-%d %H:%M}",
            each.backup_id,
            each.target,
            f"{each.recovery_seconds:,.1f}",
            f"{sum(one.rows for one in each.databases):,}",
            "; ".join(each.faults) or "sound",
        )
        for each in facts.drills
    ]
    columns = ("drilled at (UTC)", "base backup", "recovered to", "seconds", "rows read", "the copy")
    return Control(
        "restorability",
        "Restorability",
        "Backups are restored from S3 on a server that has never seen the source, and compared with it.",
        found.verdict,
        found.why,
        evidence=[f"proven outside of Dagster, by the records on the host: {named(by_hand)}"] if by_hand else [],
        exceptions=found.exceptions,
        tables=[Table("Recovery drills", columns, rows, right=("seconds", "rows read"))] if rows else [],
        figures={"drills": len(facts.drills)},
    )


def _drills(judging: Judging) -> Part:
    facts = judging.facts
    newest = facts.drills[-1] if facts.drills else facts.drill_before
    if Question.DRILLS in facts.unknown:
        return Part(Verdict.NOT_KNOWN, f"recovery drills: not known: {facts.unknown[Question.DRILLS]}")
    if newest is None:
        none = "the chain of evidence vouches for none" if facts.unvouched else "there was never one"
        return Part(Verdict.NOT_KNOWN, f"recovery drills: {none}", facts.unvouched)
    faults = [f"drill of {each.drilled_at:%Y-%m-%d}: {fault}" for each in facts.drills for fault in each.faults]
    faults += facts.unvouched
    faults += [
        f"drill of {each.drilled_at:%Y-%m-%d}: not checked: {one}" for each in facts.drills for one in each.unchecked
    ]
    if newest.faults:
        return Part(
            Verdict.FAILS, f"recovery drills: the last copy, of {newest.drilled_at:%Y-%m-%d}, was not sound", faults
        )
    if facts.period.end - newest.drilled_at > _DRILLED_WITHIN:
        why = f"recovery drills: the last one was on {newest.drilled_at:%Y-%m-%d}, and they are due every month"
        return Part(Verdict.FAILS, why, faults)
    return Part(Verdict.HOLDS, f"recovery drills: the last copy, of {newest.drilled_at:%Y-%m-%d}, was sound", faults)


def _proven_by_records(judging: Judging) -> list[str]:
    records = judging.facts.recorded or {}
    return [
        each.backup_id
        for each in judging.archived
        if (line := records.get(each.slot)) is not None
        and line.proven
        and any(judging.last(each, check) is None for check in RESTORED)
    ]
