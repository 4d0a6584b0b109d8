"""Whether a restored copy's tables and indexes are sound: what no count, fingerprint or definition tells."""

from collections.abc import Mapping
from typing import Any

from desbuquei_backups.core.comparison import Finding, Verdict
from desbuquei_backups.core.errors import ToolFailed
from desbuquei_backups.operations.progress import Progress
from desbuquei_backups.postgres import amcheck
from desbuquei_backups.postgres.connection import Connection
from desbuquei_backups.postgres.programs import Programs

AMCHECK = "pg_amcheck"
INVALID = "invalid indexes"


def look(
    connection: Connection, programs: Programs, parameters: Mapping[str, Any], progress: Progress
) -> list[Finding]:
    """Every index is valid, and pg_amcheck finds nothing. It adds its extension to the database: compare that first."""
    progress.stage("checking tables and indexes")
    findings = [
        Finding(f"INDEX {name}", "valid", "invalid", Verdict.DIFFERS, f"no query of {table} uses it")
        for name, table in amcheck.invalid_indexes(connection).items()
    ]
    if not findings:
        said = f"{amcheck.count_indexes(connection):,} are valid"
        findings.append(Finding(INVALID, "none", "none", Verdict.MATCHES, said))
    return findings + _amcheck(connection, programs, parameters)


def _amcheck(connection: Connection, programs: Programs, parameters: Mapping[str, Any]) -> list[Finding]:
    if why := amcheck.install(connection):
        return [Finding(AMCHECK, None, None, Verdict.UNCOMPARED, why)]
    try:
        found = amcheck.check(programs, parameters)
    except ToolFailed as error:
        return [Finding(AMCHECK, None, None, Verdict.UNCOMPARED, error.what)]
    return [Finding(f"{AMCHECK}: {name}", "sound", "unsound", Verdict.DIFFERS, how) for name, how in found.items()] or [
        Finding(AMCHECK, "sound", "sound", Verdict.MATCHES, f"version {programs.version}")
    ]
