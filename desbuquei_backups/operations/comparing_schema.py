"""A restored copy's definitions against the dump's own, as pg_dump reads them back, with the lines that differ."""

from dataclasses import replace

import psycopg

from desbuquei_backups.core.comparison import Finding, Verdict, compare, lines_apart
from desbuquei_backups.core.manifest import Role
from desbuquei_backups.operations.copies import Copy
from desbuquei_backups.operations.loading import Around, property_statements
from desbuquei_backups.operations.schema import ddl_by_label, label
from desbuquei_backups.operations.scratch import Scratch
from desbuquei_backups.postgres import logical
from desbuquei_backups.postgres.connection import Connection
from desbuquei_backups.postgres.plain_dump import Found
from desbuquei_backups.postgres.programs import Programs

PROPERTIES = "DATABASE PROPERTIES"


def compare_schema(
    connection: Connection, copy: Copy, programs: Programs, scratch: Scratch, around: Around, dumped: Found
) -> list[Finding]:
    """Definition by definition, and the database's own properties; `dumped` is what was read of the dump."""
    # Before the DDL is read back: pg_dump words some of it by the database's own settings.
    properties = _properties(connection, copy, programs, scratch)
    source = ddl_by_label(dumped.ddl)
    restored = ddl_by_label(logical.schema(programs, scratch.url_parameters).found.ddl)
    refreshed = {f"{entry.schema}.{entry.name}" for entry in dumped.refreshed}
    views = connection.execute("select schemaname || '.' || matviewname, ispopulated from pg_matviews").fetchall()
    for name, populated in views:
        subject = f"MATERIALIZED VIEW {name} is populated"
        source[subject] = "yes" if name in refreshed else "no"
        restored[subject] = "yes" if populated else "no"
    uncompared = {label(entry): why for entry, why in around.entries if label(entry) in source}
    findings = compare(source, restored, uncompared, difference=lines_apart)
    findings.append(properties)
    written_by = copy.manifest.tools.get("pg_dump", "")
    if written_by.split(".")[0] == str(programs.major):
        return findings
    # Two versions of pg_dump word the same object differently: equal text proves, different text does not disprove.
    why = f"dumped by pg_dump {written_by}, read back by {programs.version}, which words it differently"
    return [
        replace(finding, verdict=Verdict.UNCOMPARED, why=f"{why}\n{finding.why}")
        if finding.verdict is Verdict.DIFFERS and None not in (finding.source, finding.restored)
        else finding
        for finding in findings
    ]


def _properties(connection: Connection, copy: Copy, programs: Programs, scratch: Scratch) -> Finding:
    """Owner, comment, grants and settings: applied, read back, and compared with what the source had."""
    script = copy.text(Role.DATABASE)
    wanted = property_statements(script, copy.manifest.server.database, scratch.name)
    refused = {}
    for statement in wanted:
        try:
            connection.execute(statement.encode())
        except psycopg.DatabaseError as error:
            refused[statement] = f"{str(error).splitlines()[0]}: {statement}"
    read = b"".join(logical.database_properties(programs, scratch.url_parameters, exclude=())).decode()
    found = property_statements(read, scratch.name, scratch.name)
    source, restored = (
        "\n".join(sorted(statement for statement in side if statement not in refused)) for side in (wanted, found)
    )
    (finding,) = compare({PROPERTIES: source}, {PROPERTIES: restored}, {}, difference=lines_apart)
    if refused and finding.verdict is Verdict.MATCHES:
        why = "the restore server refused: " + "; ".join(refused.values())
        return replace(finding, verdict=Verdict.UNCOMPARED, why=why)
    return finding
