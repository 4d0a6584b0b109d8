"""A restored database against a backup's manifest: row counts, fingerprints, sequences, large objects."""

from collections.abc import Callable, Mapping, Sequence

import psycopg

from desbuquei_backups.core.comparison import Finding, Verdict, compare, rows_apart
from desbuquei_backups.core.manifest import FINGERPRINT, LargeObjectFacts, Manifest, SequenceFacts, TableFacts
from desbuquei_backups.operations.loading import Around
from desbuquei_backups.operations.progress import Progress
from desbuquei_backups.postgres import connection as pg
from desbuquei_backups.postgres import contents

# An identity is quoted where it has a space: no table is taken for one of these.
_SEQUENCE, _LARGE_OBJECTS = "sequence ", "large objects"


def compare_contents(
    connection: pg.Connection,
    manifest: Manifest,
    uncompared: Mapping[str, str],
    progress: Progress,
    *,
    ours: Callable[[contents.Relation], bool] = lambda _: True,
) -> tuple[Sequence[Finding], Sequence[Finding]]:
    """Row counts, and contents, subject by subject. `uncompared` says what cannot be compared, and why.

    `ours` is false of a relation that the manifest does not speak of and that is there with good reason.
    """
    reasons = dict(uncompared)
    try:
        pg.pin(connection, lc_monetary=manifest.server.lc_monetary)
    except psycopg.errors.InvalidParameterValue:
        pg.pin(connection)  # tables with money are among those that depend on the locale
    with connection.transaction():
        carried = [relation for relation in contents.relations(connection) if ours(relation)]
        unreadable = {relation.identity for relation in carried if not relation.readable}
        names = {table.identity for table in manifest.tables} & unreadable
        reasons |= dict.fromkeys(names, f"{connection.info.user} may not read it")
        carried = [relation for relation in carried if relation.readable]
        chosen = _same_tables(carried, manifest.tables)
        progress.stage("counting and fingerprinting", len(chosen), unit="tables")
        parts = contents.parts_of(carried, chosen)
        restored = contents.measure(connection, chosen, parts=parts, done=lambda _: progress.advance(1))
        sequences = contents.sequences(connection, carried)
        large_objects = contents.large_objects(connection) if manifest.large_objects else None
    if not manifest.tables and restored:
        reasons |= {table.identity: "the backup was taken without counts" for table in restored}
    row_counts = compare(
        {table.identity: table.rows for table in manifest.tables},
        {table.identity: table.rows for table in restored},
        {name: why for name, why in reasons.items() if not name.startswith(_SEQUENCE)},
        shown=lambda value: f"{value:,}",
        difference=rows_apart,
    )
    if manifest.fingerprint not in (None, FINGERPRINT):
        other = f"fingerprints were made another way: {manifest.fingerprint}"
        reasons |= {table.identity: other for table in manifest.tables}
    content = compare(
        _content(manifest.tables, manifest.sequences, manifest.large_objects),
        _content(restored, sequences, large_objects),
        reasons,
    )
    return row_counts, content


def tables_there(manifest: Manifest, row_counts: Sequence[Finding]) -> list[Finding]:
    """Whether each table of the source is in the copy, and none besides, whatever is in it."""
    wanted = {table.identity for table in manifest.tables}
    return compare(
        {each.subject: "there" for each in row_counts if each.subject in wanted},
        {each.subject: "there" for each in row_counts if each.restored is not None},
        {each.subject: each.why for each in row_counts if each.verdict is Verdict.UNCOMPARED},
    )


def told_apart(content: Sequence[Finding]) -> tuple[list[Finding], list[Finding]]:
    """The fingerprints of tables; and what is of sequences and large objects."""
    apart: tuple[list[Finding], list[Finding]] = ([], [])
    for each in content:
        apart[each.subject.startswith(_SEQUENCE) or each.subject == _LARGE_OBJECTS].append(each)
    return apart


def left_around(manifest: Manifest, around: Around) -> dict[str, str]:
    """Tables and sequences that were restored around, by identity; a root is one of them if a part of it is."""
    # A table's entry, or its rows alone where an extension makes the table.
    skipped = {entry.oid: why for entry, why in around.entries if entry.class_oid in (0, contents.PG_CLASS)}
    found = {
        table.identity: skipped[oid] for table in manifest.tables for oid in (table.oid, *table.parts) if oid in skipped
    }
    by_identity = {needed.identity: each.why for each in around.lacking for needed in each.requirement.dependants}
    names = {sequence.name for sequence in manifest.sequences}
    return found | {f"{_SEQUENCE}{name}": by_identity[name] for name in names if name in by_identity}


def _same_tables(carried: Sequence[contents.Relation], wanted: Sequence[TableFacts]) -> list[contents.Relation]:
    """The restored tables that the manifest counts, and those that it does not know: they must not be there."""
    names = {table.identity for table in wanted}
    by_oid = {relation.oid: relation.identity for relation in carried}
    known = [relation for relation in carried if relation.identity in names]
    extra = [
        relation
        for relation in carried
        if relation.kind == "r" and relation.identity not in names and by_oid.get(relation.root) not in names
    ]
    return known + extra


def _content(
    tables: Sequence[TableFacts], sequences: Sequence[SequenceFacts], large_objects: LargeObjectFacts | None
) -> dict[str, object]:
    found: dict[str, object] = {table.identity: table.fingerprint for table in tables}
    for sequence in sequences:
        called = "" if sequence.is_called else ", not yet used"
        found[f"{_SEQUENCE}{sequence.name}"] = f"{sequence.last_value}{called}"
    if large_objects is not None:
        found[_LARGE_OBJECTS] = f"{large_objects.count}: {large_objects.fingerprint}"
    return found
