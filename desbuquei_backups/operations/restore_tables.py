"""Restore single tables: through a restored copy of the whole backup, then out of it into the target, or nothing."""

import difflib
import re
from collections.abc import Collection, Iterator, Sequence

from psycopg import sql

from desbuquei_backups.core.errors import NotFound, TargetRefused, ToolError
from desbuquei_backups.core.manifest import Manifest, Role, TableFacts
from desbuquei_backups.operations import comparing
from desbuquei_backups.operations.copies import Place, find_copy
from desbuquei_backups.operations.destination import Destination, look
from desbuquei_backups.operations.loading import Around, load
from desbuquei_backups.operations.restore import Restored, Wanted
from desbuquei_backups.operations.scratch import Scratch, scratch_database
from desbuquei_backups.operations.settings import RESTORE_URL
from desbuquei_backups.operations.site import Site, naming
from desbuquei_backups.postgres import connection as pg
from desbuquei_backups.postgres import logical
from desbuquei_backups.postgres.programs import Programs, choose

_MEMBERS = """
select distinct n.nspname::text, c.relname::text
  from (select %(root)s::regclass::oid as oid union select relid from pg_partition_tree(%(root)s::regclass)) t
  join pg_class c on c.oid = t.oid join pg_namespace n on n.oid = c.relnamespace
"""

_PARTS = re.compile(r'"((?:[^"]|"")+)"|([^."]+)')


def restore_tables(site: Site, backup_id: str, names: Sequence[str], into: Destination, how: Wanted) -> Restored:
    """Bring back tables of a backup, with their indexes, constraints, sequences and grants, in one transaction.

    The whole backup is restored on DESBUQUEI_RESTORE_URL first, and dropped afterwards. TargetRefused if a table is in
    the target already; NotFound if it is not in the backup; RestoreFailed, with the target as it was, if psql stops.
    """
    with naming(backup_id):
        copy = find_copy(site, backup_id, how.place)
        manifest = copy.manifest
        wanted = [_find(manifest, name) for name in names]
        site.progress.stage("looking at the target")
        seen = look(into, manifest)
        if not seen.exists:
            raise TargetRefused(
                f"there is no database {into.described}", remedy="create it first: tables are restored into a database"
            )
        with into.connect() as connection, pg.explained("looking at the target"):
            _refuse_existing(connection, wanted)
            rows = connection.execute("select nspname::text from pg_namespace").fetchall()
            schemas = {name for (name,) in rows}
        with scratch_database(site, manifest, copy.text(Role.GLOBALS)) as scratch:
            with pg.connect(site.settings.restore_url, setting=RESTORE_URL, dbname=scratch.name) as inside:
                programs = choose(inside.info.server_version // 10000)
                if programs.major > seen.facts.major:
                    raise TargetRefused(
                        f"the target is PostgreSQL {seen.facts.version}, older than the restore server's tools",
                        remedy=f"let DESBUQUEI_RESTORE_URL name a server of PostgreSQL {seen.facts.major}",
                    )
                around = Around(scratch.lacking)
                site.progress.stage("making a restored copy", manifest.dump.size)
                plain = copy.read(Role.DUMP, progress=site.progress.advance)
                load(programs, scratch.url_parameters, plain, around)
                _refuse_left(manifest, wanted, around)
                with pg.explained("finding the tables in the restored copy"):
                    members = _members(inside, wanted)
            site.progress.stage("copying the tables")
            script = _script(programs, scratch, members, schemas, tablespaces=not how.without_tablespaces)
            psql = choose(seen.facts.major)
            try:
                logical.load(psql, into.parameters(into.name), script, single_transaction=True)
            except ToolError as error:
                error.remedy = (
                    "make there what it names, since the table needs it, or restore all of the backup into a new "
                    "database; the target is as it was"
                )
                raise
        return _compared(site, manifest, wanted, into, how.place)


def _find(manifest: Manifest, name: str) -> TableFacts:
    """The table of that name, written as SQL quotes it or without quotes."""
    found = [table for table in manifest.tables if table.identity == name]
    found = found or [table for table in manifest.tables if _plain(table.identity) == name]
    if len(found) == 1:
        return found[0]
    close = difflib.get_close_matches(name, [table.identity for table in manifest.tables], n=5, cutoff=0.4)
    said = f"; near it are: {', '.join(close)}" if close else ""
    raise NotFound(
        f"the backup has no table {name}{said}",
        remedy="write it as schema.table, quoted as in SQL where that is odd; a partition comes with its root",
    )


def _plain(identity: str) -> str:
    return ".".join(quoted.replace('""', '"') or bare for quoted, bare in _PARTS.findall(identity))


def _refuse_existing(connection: pg.Connection, wanted: Sequence[TableFacts]) -> None:
    there = [
        table.identity
        for table in wanted
        if connection.execute("select to_regclass(%s)", (table.identity,)).fetchone() != (None,)
    ]
    if there:
        raise TargetRefused(
            f"the target has {', '.join(there)} already",
            remedy="rename or drop it there, or restore into another database and copy the rows that you need",
        )


def _refuse_left(manifest: Manifest, wanted: Sequence[TableFacts], around: Around) -> None:
    left = comparing.left_around(manifest, around)
    if gone := [f"{table.identity}: {left[table.identity]}" for table in wanted if table.identity in left]:
        raise TargetRefused(
            f"the restore server cannot hold {'; '.join(gone)}",
            remedy="let DESBUQUEI_RESTORE_URL name a server that has what is missing",
        )


def _members(connection: pg.Connection, wanted: Sequence[TableFacts]) -> list[tuple[str, str]]:
    """Schema and name of each table, and of every partition of it."""
    found: dict[tuple[str, str], None] = {}
    for table in wanted:
        for schema, name in connection.execute(_MEMBERS, {"root": table.identity}).fetchall():
            found[schema, name] = None
    return list(found)


def _script(
    programs: Programs,
    scratch: Scratch,
    members: Sequence[tuple[str, str]],
    schemas: Collection[str],
    *,
    tablespaces: bool,
) -> Iterator[bytes]:
    for schema in dict.fromkeys(schema for schema, _ in members if schema not in schemas):
        yield sql.SQL("create schema {};\n").format(sql.Identifier(schema)).as_bytes()
    patterns = [sql.Identifier(schema, name).as_string() for schema, name in members]
    yield from logical.tables(programs, scratch.url_parameters, patterns, tablespaces=tablespaces)


def _compared(
    site: Site, manifest: Manifest, wanted: Sequence[TableFacts], into: Destination, place: Place
) -> Restored:
    only = manifest.model_copy(update={"tables": wanted, "sequences": [], "large_objects": None})
    names = {table.identity for table in wanted}
    with into.connect() as connection, pg.explained("comparing the tables"):
        row_counts, content = comparing.compare_contents(
            connection, only, {}, site.progress, ours=lambda relation: relation.identity in names
        )
    return Restored(manifest, place, into.described, row_counts, content, [], [], [], {})
