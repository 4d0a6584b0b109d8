"""The guide's daily Backup Verification Report: per tier the last backup, and what was shown of it."""

from collections.abc import Mapping

from desbuquei_backups.audit.facts import Backup, Facts
from desbuquei_backups.audit.judging import CHECKSUMS_MATCH, DUMP_IS_COMPLETE, RESTORED, Check, Judging
from desbuquei_backups.audit.model import Table
from desbuquei_backups.core.comparison import Verdict as Compared

COLUMNS = ("tier", "last backup (UTC)", "size", "checksums", "verified", "restored", "S3", "disk")
UNTRUE = "NO"
_WORDS: Mapping[Compared | None, str] = {
    Compared.MATCHES: "yes",
    Compared.DIFFERS: UNTRUE,
    Compared.UNCOMPARED: "in part",
    None: "?",
}


def verification_table(facts: Facts) -> Table:
    """A row for each tier. `?`: not known, since it was never checked as far as the chain says."""
    judging = Judging(facts)
    newest: dict[str, Backup] = {}
    for each in facts.backups.values():
        if each.slot.tier not in newest or newest[each.slot.tier].slot < each.slot:
            newest[each.slot.tier] = each
    rows = [_row(judging, name, newest.get(name)) for name in facts.policy.tiers]
    return Table("Backup Verification Report", COLUMNS, rows, right=("size",))


def _row(judging: Judging, tier: str, backup: Backup | None) -> tuple[str, ...]:
    facts = judging.facts
    if backup is None:
        return (tier, "none in the period", *["-"] * 6)
    in_s3 = "?" if facts.listed is None else "yes" if backup.slot in facts.listed else UNTRUE
    if in_s3 == UNTRUE and backup.pruned_at is not None:
        in_s3 = "pruned"
    return (
        tier,
        f"{backup.taken_at:%Y-%m-%d %H:%M}",
        size(backup.size),
        _word(judging, backup, CHECKSUMS_MATCH),
        _word(judging, backup, DUMP_IS_COMPLETE),
        "by drill" if backup.wal else _word(judging, backup, *RESTORED),
        in_s3,
        "?" if facts.on_disk is None else "yes" if backup.slot in facts.on_disk else "no",
    )


def _word(judging: Judging, backup: Backup, *checks: Check) -> str:
    """The worst of the checks, in a word."""
    found = [judging.last(backup, check) for check in checks]
    verdicts = [each.verdict if each is not None else None for each in found]
    for verdict in (Compared.DIFFERS, None, Compared.UNCOMPARED):
        if verdict in verdicts:
            return _WORDS[verdict]
    return _WORDS[Compared.MATCHES]


def size(count: int | None) -> str:
    """`1.4 GB`, in powers of ten; `-` where it is not known."""
    if count is None:
        return "-"
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "B" or value >= 99.95 else f"{value:.1f} {unit}"
