"""What of a database can be backed up by this role, what is left out by name, and what makes the backup fail."""

from collections.abc import Sequence
from dataclasses import dataclass

from desbuquei_backups.core.errors import SourceUnreadable
from desbuquei_backups.core.manifest import LeftOut
from desbuquei_backups.postgres import contents
from desbuquei_backups.postgres.connection import Connection
from desbuquei_backups.postgres.contents import Relation
from desbuquei_backups.postgres.server import Platform


@dataclass(frozen=True, slots=True)
class Survey:
    """The relations of a database, sorted by what can be done with them."""

    platform: Platform | None
    carried: Sequence[Relation]
    readable: Sequence[Relation]
    counted: Sequence[Relation]
    excluded: Sequence[Relation]
    left_out: Sequence[LeftOut]
    passwords_readable: bool

    @property
    def oids(self) -> frozenset[int]:
        return frozenset(relation.oid for relation in self.carried)

    @property
    def exclude_patterns(self) -> list[str]:
        """pg_dump patterns that match the excluded relations and nothing else: quoted, no character is a wildcard."""
        return [f"{_quoted(relation.schema)}.{_quoted(relation.name)}" for relation in self.excluded]

    @property
    def excluded_relations(self) -> list[tuple[int, str]]:
        return [(relation.oid, relation.identity) for relation in self.excluded]


def survey(connection: Connection, platform: Platform | None) -> Survey:
    """Look at every relation; SourceUnreadable names all that the role cannot read and no platform answers for."""
    carried = contents.relations(connection)
    unreadable = [r for r in carried if r.kind != "f" and not r.readable]
    managed = platform.schemas if platform else frozenset()
    excluded = [r for r in unreadable if r.schema in managed]
    role = connection.info.user
    faults = [f"{r.identity} may not be read" for r in unreadable if r.schema not in managed]
    faults += [f"row-level security hides rows of {r.identity}" for r in carried if r.readable and r.hides_rows]
    if large := contents.unreadable_large_objects(connection):
        faults.append(f"{large} large objects may not be read")
    if faults:
        raise SourceUnreadable(
            f"the role {role} cannot back up the whole database: {'; '.join(faults)}",
            remedy=f"grant it what is missing (GRANT pg_read_all_data TO {role}; ALTER ROLE {role} BYPASSRLS; large "
            "objects want a grant each, or their owner), then run again",
        )
    readable = [r for r in carried if r.readable and r.kind != "f"]
    privileged = connection.execute("select has_table_privilege('pg_catalog.pg_authid', 'SELECT')").fetchone()
    passwords = bool(privileged and privileged[0])
    return Survey(
        platform=platform,
        carried=carried,
        readable=readable,
        counted=contents.compared(carried),
        excluded=excluded,
        left_out=_left_out(connection, carried, excluded, platform, passwords=passwords),
        passwords_readable=passwords,
    )


def _left_out(
    connection: Connection,
    carried: Sequence[Relation],
    excluded: Sequence[Relation],
    platform: Platform | None,
    *,
    passwords: bool,
) -> list[LeftOut]:
    kinds = {"r": "table", "p": "table", "S": "sequence"}
    left = [
        LeftOut(
            kind=kinds[r.kind],
            identity=r.identity,
            reason=f"{platform.name if platform else 'the platform'} keeps it for itself: "
            f"{connection.info.user} may not read it",
        )
        for r in excluded
    ]
    left += [
        LeftOut(kind="rows", identity=r.identity, reason="a foreign table: its rows are on another server")
        for r in carried
        if r.kind == "f"
    ]
    if not passwords:
        left.append(
            LeftOut(kind="passwords", identity="all roles", reason=f"{connection.info.user} may not read pg_authid")
        )
    hidden = connection.execute(
        "select m.srvname::text, m.usename::text from pg_user_mappings m join pg_foreign_server s on s.oid = m.srvid "
        "where m.umoptions is null and not pg_has_role(s.srvowner, 'USAGE') "
        "and usename is distinct from current_user order by 1, 2"
    ).fetchall()
    left += [
        LeftOut(kind="options", identity=f"user mapping of {user} on {name}", reason="hidden from this role")
        for name, user in hidden
    ]
    subscriptions = connection.execute(
        "select subname::text from pg_subscription s join pg_database d on d.oid = s.subdbid "
        "where d.datname = current_database() "
        "and not (select rolsuper from pg_roles where rolname = current_user) order by 1"
    ).fetchall()
    left += [
        LeftOut(kind="subscription", identity=name, reason="only a superuser dumps subscriptions")
        for (name,) in subscriptions
    ]
    return left


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
