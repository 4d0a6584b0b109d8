"""The WAL: whether what was asked for comes into S3 without a gap, and whether its slot endangers the server."""

from collections.abc import Iterator

from desbuquei_backups.core.comparison import Finding, Verdict
from desbuquei_backups.operations.doctor import Area, Precondition
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.wal_findings import continuity, recovery_point
from desbuquei_backups.operations.wal_slot import Refused
from desbuquei_backups.operations.wal_state import wal_state

_AREA = Area("WAL")
_REMEDY = "desbuquei wal status says more; docs/wal.md has how it is mended"


def write_ahead_log(site: Site, *, read_only: bool) -> Iterator[Precondition]:
    """As `desbuquei wal status` has it; where the first backup is not taken yet there is nothing to look at."""
    if read_only:
        yield _AREA.not_applicable("WAL", "not looked at: where the server is would be written down")
    elif not site.settings.folder.exists():
        yield _AREA.not_applicable("WAL", "none is asked for before the first backup")
    else:
        yield from _AREA.guarded("WAL", lambda: _looked_at(site))


def _looked_at(site: Site) -> Iterator[Precondition]:
    state = wal_state(site)
    if isinstance(state, Refused):
        yield _AREA.not_applicable("WAL", state.why)
        return
    if state.slot is None and state.newest is None:
        yield _AREA.not_applicable("WAL", "none is asked for yet: the first hourly does, or desbuquei wal stream")
        return
    for each in (*continuity(state), recovery_point(state, site.policy.recovery_point_objective)):
        yield _judged(each)


def _judged(each: Finding) -> Precondition:
    said = each.why or each.restored or str(each.verdict)
    if each.verdict is Verdict.DIFFERS:
        return _AREA.warning(each.subject, said, _REMEDY)
    return (
        _AREA.not_applicable(each.subject, said) if each.verdict is Verdict.UNCOMPARED else _AREA.ok(each.subject, said)
    )
