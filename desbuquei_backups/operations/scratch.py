"""A database made for one restored copy, with the roles and tablespaces it needs; all of it is dropped afterwards."""

import logging
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from desbuquei_backups.core.manifest import Manifest
from desbuquei_backups.operations.settings import DATABASE_URL, RESTORE_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.postgres import target
from desbuquei_backups.postgres.connection import Connection, connect, explained, parse
from desbuquei_backups.postgres.globals import created_roles, superusers
from desbuquei_backups.postgres.target import Unmet

_LOG = logging.getLogger(__name__)
_LOCK = 0x6465736271  # one restored copy at a time on a server: they share roles and tablespaces
_PREFIX = "desbuquei_copy_"
_KEPT = "desbuquei_kept_"
_MARK = "made by desbuquei_backups for a restored copy"


@dataclass(frozen=True, slots=True)
class Scratch:
    """The empty database: how to reach it, and what this server lacks for the backup. `kept`: its name for good."""

    name: str
    url_parameters: dict[str, Any]
    lacking: Sequence[Unmet]
    kept: str | None = None


@contextmanager
def scratch_database(site: Site, manifest: Manifest, globals_script: str, *, keep: bool = False) -> Iterator[Scratch]:
    """A database with the source's encoding and locale where the server has them.

    Only missing roles are created (NOLOGIN, no password; superusers where they were, since event triggers must belong
    to one) and missing tablespaces in place; existing ones are never altered. What a killed run left is dropped first.
    TargetRefused if the server is the source itself. `keep`: where nothing went wrong it stays, under another name, and
    the roles and tablespaces that it needs; the next restored copy after it was dropped drops these.
    """
    url = site.settings.restore_url
    with connect(url, setting=RESTORE_URL) as server, explained("preparing the restore server"):
        target.refuse_source(server, manifest, source_url=site.settings.urls.get(DATABASE_URL), restore_url=url)
        server.execute("select pg_advisory_lock(%s)", (_LOCK,))
        _drop_leftovers(server)
        name = f"{_PREFIX}{manifest.backup_id.replace('-', '_')}_{secrets.token_hex(4)}"
        missing = [role for role in created_roles(globals_script) if role not in target.roles(server)]
        spaces = [space for space in manifest.server.tablespaces if space not in target.tablespaces(server)]
        powerful = superusers(globals_script)
        made_roles: list[str] = []
        made_spaces: list[str] = []
        try:
            for role in missing:
                power = sql.SQL("superuser" if role in powerful else "nosuperuser")
                server.execute(sql.SQL("create role {} nologin {}").format(sql.Identifier(role), power))
                made_roles.append(role)
                mark(server, "role", role)
            if spaces:
                server.execute("set allow_in_place_tablespaces = on")
            for space in spaces:
                server.execute(sql.SQL("create tablespace {} location ''").format(sql.Identifier(space)))
                made_spaces.append(space)
                mark(server, "tablespace", space)
            locale_missing = target.create_database(server, name, manifest.server)
            parameters = parse(url, setting=RESTORE_URL) | {"dbname": name}
            with connect(url, setting=RESTORE_URL, dbname=name) as inside:
                lacking = target.unmet(inside, manifest.requirements, locale_missing)
            kept = f"{_KEPT}{name.removeprefix(_PREFIX)}" if keep else None
            yield Scratch(name, parameters, lacking, kept)
            if kept is not None:
                server.execute(sql.SQL("alter database {} rename to {}").format(*map(sql.Identifier, (name, kept))))
                made_roles, made_spaces = [], []
        finally:
            _drop(server, [name], made_roles, made_spaces)


def mark(server: Connection, kind: LiteralString, name: str) -> None:
    """Mark what was made for a restored copy, so that the next one drops it if this run dies."""
    server.execute(sql.SQL("comment on {} {} is {}").format(sql.SQL(kind), sql.Identifier(name), sql.Literal(_MARK)))


def _drop_leftovers(server: Connection) -> None:
    """Whatever bears our name or mark belongs to a run that died: nobody else holds the lock."""

    def marked(query: LiteralString, mark: str = _MARK) -> list[str]:
        return [name for (name,) in server.execute(query, (mark,)).fetchall()]

    # By name, since a database's comment becomes the source's own.
    databases = marked(
        "select datname::text from pg_database where datname ~ ('^' || %s || '.*_[0-9a-f]{8}$')", _PREFIX
    )
    roles = marked("select rolname::text from pg_roles where shobj_description(oid, 'pg_authid') = %s")
    spaces = marked("select spcname::text from pg_tablespace where shobj_description(oid, 'pg_tablespace') = %s")
    if databases or roles or spaces:
        _LOG.warning("dropping what a run that died left on the restore server: %s", [*databases, *roles, *spaces])
    _drop(server, databases, roles, spaces)


def _drop(server: Connection, databases: Sequence[str], roles: Sequence[str], tablespaces: Sequence[str]) -> None:
    kinds: list[tuple[LiteralString, str]] = [("database", each) for each in databases]
    kinds += [("tablespace", each) for each in tablespaces]
    kinds += [("role", each) for each in roles]
    for kind, name in kinds:
        statement = sql.SQL("drop {} if exists {}{}").format(
            sql.SQL(kind), sql.Identifier(name), sql.SQL(" with (force)" if kind == "database" else "")
        )
        try:
            server.execute(statement)
        except psycopg.Error as error:
            # The mark on it lets the next restored copy drop it.
            _LOG.warning("%s %s was made for a restored copy and could not be dropped yet: %s", kind, name, error)
