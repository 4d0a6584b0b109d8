"""Which checks are untrue by what they said last, beside which the records say of the backup."""

from collections.abc import Iterator

from desbuquei_backups.core.conditions import Condition, Severity
from desbuquei_backups.operations import records
from desbuquei_backups.operations.last_verdicts import Said, last_verdicts
from desbuquei_backups.operations.noticing import noticed
from desbuquei_backups.operations.site import Site

# Told by what it is now, not by what it was when a backup was taken.
_TOLD_ELSEWHERE = {"recovery_point_within_objective", "wal_is_continuous", "disk_usage_below_threshold"}
# As much as the server allows: somebody should know, nobody need come.
_WARNINGS = {"connection_is_encrypted"}


def check_conditions(site: Site) -> Iterator[Condition]:
    """Each check that is untrue of its tier's newest backup, or of an older one that is still kept."""
    known = [each for each in last_verdicts(site.settings.folder) if _is_of_policy(site, each)]
    newest = {(each.of, each.check): each.backup_id for each in known}  # the last one stands
    for said in known:
        if not said.untrue or said.check in _TOLD_ELSEWHERE:
            continue
        is_newest = newest[said.of, said.check] == said.backup_id
        if is_newest or not _is_gone(site, said):
            # The newest backup's untruth is the tier's, and ends with the next one; an older backup's is its own.
            whose = said.of if is_newest else said.backup_id
            yield _untrue(site, f"check_untrue/{whose}/{said.check}", said)


def _untrue(site: Site, name: str, said: Said) -> Condition:
    severity = Severity.WARNING if said.check in _WARNINGS else Severity.CRITICAL
    what = f"{said.check} is not true of {said.backup_id or said.of}: {said.summary}"
    subject = said.backup_id or f"{site.policy.database}/{said.of}"
    command = f"desbuquei verify {said.backup_id} --remote" if said.backup_id else _COMMANDS.get(said.of, "")
    return noticed(
        site,
        severity,
        name,
        what,
        subject,
        since=said.at,
        tried="nothing: a check that is untrue is not judged again by itself",
        command=command or "desbuquei status",
    )


_COMMANDS = {
    "retention": "desbuquei prune --dry-run",
    "evidence_anchor": "desbuquei audit verify",
    "reproof": "desbuquei prove --due",
}


def _is_of_policy(site: Site, said: Said) -> bool:
    return said.backup_id is None or said.of.partition("/")[0] in site.policy.tiers


def _is_gone(site: Site, said: Said) -> bool:
    line = records.line_of(site.settings.folder, said.backup_id or "")
    return line is None or line.get("status") == "pruned"
