"""The database that a restore fills: what may be overwritten; a new one bears its name only when it is whole."""

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from psycopg import sql

from desbuquei_backups.core.errors import BackupError, ConfigurationError, SourceError, TargetRefused
from desbuquei_backups.core.manifest import Manifest, ServerFacts
from desbuquei_backups.postgres import connection as pg
from desbuquei_backups.postgres import server, target
from desbuquei_backups.postgres.server import Platform

SETTING = "--into"
_LOG = logging.getLogger(__name__)
_TEMPLATES = ("template0", "template1")


@dataclass(frozen=True, slots=True)
class Destination:
    """A database by its URL, whether it exists yet or not. The URL may hold a password and is never shown."""

    url: str = field(repr=False)
    name: str
    described: str

    def connect(self, database: str | None = None) -> pg.Connection:
        connection = pg.connect(self.url, setting=SETTING, dbname=database or self.name)
        pg.pin(connection)
        return connection

    def parameters(self, database: str) -> dict[str, Any]:
        return pg.parse(self.url, setting=SETTING) | {"dbname": database}

    @contextmanager
    def maintenance(self) -> Iterator[pg.Connection]:
        """A connection beside the database, where databases are made, renamed and dropped."""
        beside = "template1" if self.name == "postgres" else "postgres"
        with self.connect(beside) as connection, pg.explained(f"preparing {self.described}"):
            yield connection


@dataclass(frozen=True, slots=True)
class Seen:
    """What a destination is: its server, whether the database is there, what is in it."""

    destination: Destination
    exists: bool
    facts: ServerFacts
    platform: Platform | None
    contents: list[str]

    @property
    def needs_new(self) -> bool:
        """Whether a database is made; otherwise the one that is there, and empty, is filled."""
        return not self.exists or bool(self.contents)


def destination(url: str) -> Destination:
    """The destination of a libpq URI; ConfigurationError if it is none, or names no database."""
    parameters = pg.parse(url, setting=SETTING)
    if not parameters.get("dbname"):
        raise ConfigurationError(
            f"{SETTING} names no database", remedy="end the URL with its name: postgresql://role@host:5432/name"
        )
    return Destination(url, str(parameters["dbname"]), pg.described(parameters))


def look(place: Destination, manifest: Manifest) -> Seen:
    """See what is there; TargetRefused, before anything else, if it is the source's own database."""
    if place.name in _TEMPLATES:
        raise TargetRefused(
            f"{place.name} is the model of new databases", remedy="name another database; it is created if missing"
        )
    try:
        connection = place.connect()
    except SourceError as error:
        with suppress(BackupError), place.maintenance() as beside:
            row = beside.execute("select 1 from pg_database where datname = %s", (place.name,)).fetchone()
            if row is None:
                facts = server.facts(beside, None)
                _refuse_source(place, facts, manifest)
                _refuse_older(facts, manifest)
                return Seen(place, exists=False, facts=facts, platform=None, contents=[])
        raise error from None
    with connection, pg.explained(f"looking at {place.described}"):
        platform = server.platform(connection)
        facts = server.facts(connection, platform)
        _refuse_source(place, facts, manifest)
        _refuse_older(facts, manifest)
        contents = target.emptiness(connection, but=platform.schemas if platform else ())
    server.refuse_transaction_pooler(place.url, setting=SETTING)
    return Seen(place, exists=True, facts=facts, platform=platform, contents=contents)


def _refuse_source(place: Destination, facts: ServerFacts, manifest: Manifest) -> None:
    if place.name != manifest.server.database:
        return
    if facts.system_identifier is not None and facts.system_identifier == manifest.server.system_identifier:
        raise TargetRefused(
            f"{place.described} is the database that was backed up: it is never restored over",
            remedy="restore under another name on that server, look at it, and rename the two databases yourself",
        )


def _refuse_older(facts: ServerFacts, manifest: Manifest) -> None:
    """A dump restores on the version of the pg_dump that wrote it, and on newer ones."""
    written_by = manifest.tools.get("pg_dump", manifest.server.version)
    if facts.major < (least := max(int(written_by.split(".")[0]), manifest.server.major)):
        raise TargetRefused(
            f"the server is PostgreSQL {facts.version}, the dump was written for {least}",
            remedy=f"restore on PostgreSQL {least} or newer",
        )


def refuse_contents(seen: Seen, manifest: Manifest, overwrite: str | None) -> None:
    """TargetRefused if the database holds anything, unless `overwrite` names it and it may go."""
    place = seen.destination
    if overwrite is not None and overwrite != place.name:
        raise TargetRefused(
            f"--overwrite names {overwrite!r}, the database of {SETTING} is {place.name!r}",
            remedy="name the database that is to be overwritten in both; nothing was changed",
        )
    if not seen.exists or not seen.contents:
        return
    it_has = f"{place.described} is not empty: it has {', '.join(seen.contents)}"
    if seen.platform is not None:
        raise TargetRefused(
            it_has,
            remedy=f"restore into a fresh project: a {seen.platform.name} database cannot be dropped and made anew",
        )
    if overwrite is None:
        raise TargetRefused(
            it_has,
            remedy=f"name a new database (it is created), or give --overwrite {place.name} to lose what is in it",
        )
    known = seen.facts.system_identifier is not None and manifest.server.system_identifier is not None
    if place.name == manifest.server.database and not known:
        raise TargetRefused(
            f"whether {place.described} is the database that was backed up cannot be told: a system identifier is "
            "missing",
            remedy="let the role read pg_control_system(), or restore under another name",
        )


@dataclass
class Landing:
    """The database that is being filled. `new`: made for it, under a name of its own until `whole` is set."""

    name: str
    new: bool
    locale_missing: str | None
    begun: bool = False
    whole: bool = False


@contextmanager
def landing(seen: Seen, manifest: Manifest) -> Iterator[Landing]:
    """The empty database itself, or a new one beside it that takes its name, and its place, when it is whole.

    A new one that did not become whole is dropped, and what was to be overwritten is still there.
    """
    place = seen.destination
    if not seen.needs_new:
        into = Landing(place.name, new=False, locale_missing=_other_locale(seen.facts, manifest.server))
        try:
            yield into
        except BackupError as error:
            if into.begun:
                error.remedy += f". {place.described} is now HALF-RESTORED: drop or empty it before the next attempt"
            raise
        return
    name = f"restoring_{manifest.backup_id}_{secrets.token_hex(3)}".replace("-", "_")
    with place.maintenance() as server_:
        into = Landing(name, new=True, locale_missing=target.create_database(server_, name, manifest.server))
    try:
        yield into
        if into.whole:
            with place.maintenance() as server_:
                _take_place(server_, name, place.name, over=seen.exists)
            into.name = place.name
    except BaseException as error:
        if into.whole:
            if isinstance(error, BackupError):
                error.remedy += f". All of it is restored, in the database {name}: rename it yourself"
            raise
        _drop(place, name)
        if isinstance(error, BackupError):
            state = "is as it was" if seen.exists else "was not made"
            begun = "; what was half-restored was dropped" if into.begun else ""
            error.remedy += f". The database {place.name} {state}{begun}"
        raise


def _take_place(connection: pg.Connection, new: str, name: str, *, over: bool) -> None:
    if over:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
    # Monitoring that looks into every database would keep it from being renamed.
    connection.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s and pid <> pg_backend_pid()", (new,)
    )
    connection.execute(sql.SQL("alter database {} rename to {}").format(sql.Identifier(new), sql.Identifier(name)))


def _drop(place: Destination, name: str) -> None:
    try:
        with place.maintenance() as connection:
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
    except BackupError as error:
        _LOG.warning("the half-restored database %s could not be dropped: %s", name, error.what)


def _other_locale(there: ServerFacts, wanted: ServerFacts) -> str | None:
    if there.encoding != wanted.encoding:
        raise TargetRefused(
            f"the database's encoding is {there.encoding}, the source's was {wanted.encoding}",
            remedy="drop the empty database: it is created with the right encoding",
        )
    ours, theirs = ((facts.locale_provider, facts.collate, facts.ctype, facts.locale) for facts in (there, wanted))
    if ours == theirs:
        return None
    shown = [f"{facts.locale or facts.collate} ({facts.locale_provider})" for facts in (there, wanted)]
    return f"the database's locale is {shown[0]}, the source's was {shown[1]}"
