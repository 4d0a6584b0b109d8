"""What `desbuquei wal status` prints."""

from dataclasses import replace
from typing import Any

from desbuquei_backups.cli import shown as written
from desbuquei_backups.cli.output import console, print_json
from desbuquei_backups.core.comparison import Finding, Verdict
from desbuquei_backups.core.wal import show_lsn
from desbuquei_backups.operations.second_wal_status import SecondWal, second_continuity, second_wal
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.wal_findings import continuity, recovery_point
from desbuquei_backups.operations.wal_slot import Refused
from desbuquei_backups.operations.wal_state import WalState, wal_state

_COLOURS = {Verdict.MATCHES: "green", Verdict.DIFFERS: "red", Verdict.UNCOMPARED: "yellow"}


def shown(site: Site, *, as_json: bool) -> int:
    """Look, and print it; the exit status."""
    state = wal_state(site)
    if isinstance(state, Refused):
        return not_applicable(state, as_json=as_json)
    objective, second = site.policy.recovery_point_objective, second_wal(site, state)
    findings = [*continuity(state), recovery_point(state, objective)]
    findings += second_continuity(second, objective) if second is not None else []
    findings = [replace(each, why=site.settings.told(each.why)) for each in findings]
    if as_json:
        print_json(_document(state, second, findings))
    else:
        _print(state, second, findings)
    return int(any(each.verdict is Verdict.DIFFERS for each in findings))


def not_applicable(refused: Refused, *, as_json: bool) -> int:
    """Print why a server gives no WAL, as a standby does; the exit status."""
    if as_json:
        print_json({"applicable": False, "why": refused.why})
    else:
        console().print(f"Not applicable: {refused.why}", soft_wrap=True, markup=False)
    return 0


def _print(state: WalState, second: SecondWal | None, findings: list[Finding]) -> None:
    from rich.markup import escape

    out, slot, server, newest = console(), state.slot, state.server, state.newest
    lines = {
        "cluster": f"{state.cluster.system_identifier}, timeline {state.cluster.timeline}",
        "server": f"{show_lsn(server.position)}" if server else "a standby",
        "slot": "none"
        if slot is None
        else f"{slot.name}, {'streaming' if slot.active else 'idle'}, {slot.status or 'keeps nothing'}, "
        f"holds {written.size(slot.held)}",
        "spool": f"{state.waiting:,} files wait, {written.size(state.waiting_bytes)}",
        "S3": f"{state.segments:,} segments, the newest {newest.name if newest else '-'}",
        "current at": f"{state.newest_at:%Y-%m-%d %H:%M:%S} UTC" if state.newest_at else "-",
        **({"second": second.uri} if second is not None else {}),
    }
    for name, text in lines.items():
        out.print(f"{name:<11} {escape(text)}", soft_wrap=True)
    for each in findings:
        out.print(f"[{_COLOURS[each.verdict]}]{each.verdict}[/]: {escape(each.subject)}", soft_wrap=True)
        if each.why:
            out.print(f"  {escape(each.why)}", soft_wrap=True)


def _document(state: WalState, second: SecondWal | None, findings: list[Finding]) -> dict[str, Any]:
    slot, server = state.slot, state.server
    return {
        "applicable": True,
        "system_identifier": state.cluster.system_identifier,
        "timeline": state.cluster.timeline,
        "server_lsn": show_lsn(server.position) if server else None,
        "slot": None
        if slot is None
        else {
            "name": slot.name,
            "active": slot.active,
            "restart_lsn": show_lsn(slot.restart) if slot.restart is not None else None,
            "wal_status": slot.status,
            "held_bytes": slot.held,
            "safe_bytes": slot.left,
            "max_bytes": slot.most,
        },
        "spool": {"files": state.waiting, "bytes": state.waiting_bytes, "rejected": list(state.rejected)},
        "segments": state.segments,
        "newest": state.newest.name if state.newest else None,
        "newest_current_at": state.newest_at.isoformat() if state.newest_at else None,
        "age_seconds": state.age.total_seconds() if state.age is not None else None,
        "base": state.base.backup_id if state.base else None,
        "gaps": [each.said() for each in state.gaps],
        "declared_gaps": [each.model_dump(mode="json") for each in state.declared],
        "second_place": None
        if second is None
        else {
            "uri": second.uri,
            "base": second.base.backup_id if second.base else None,
            "reached": second.reached.name if second.reached else None,
            "lacking": second.lacking,
            "behind_seconds": second.behind.total_seconds() if second.behind is not None else None,
            "gaps": [each.said() for each in second.gaps],
            "trouble": second.trouble,
        },
        "findings": [
            {"subject": each.subject, "verdict": each.verdict.value, "found": each.restored, "why": each.why}
            for each in findings
        ],
    }
