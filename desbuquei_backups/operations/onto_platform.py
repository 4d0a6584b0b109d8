"""A dump onto a managed platform's fresh project: what is the platform's stays its own, its tables get their rows."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field

import psycopg

from desbuquei_backups.core.manifest import LeftOut, Manifest
from desbuquei_backups.operations.loading import Around
from desbuquei_backups.operations.project import MIGRATIONS, Project
from desbuquei_backups.operations.schema import label
from desbuquei_backups.postgres.connection import Connection
from desbuquei_backups.postgres.contents import PG_CLASS, Relation
from desbuquei_backups.postgres.plain_dump import Entry
from desbuquei_backups.postgres.server import Platform

_ROWS = frozenset({"TABLE DATA", "SEQUENCE SET"})
# What only its owner, or the platform's leave, may make: tried one by one when all else is there.
_TRIED = frozenset({"EVENT TRIGGER", "PUBLICATION", "PUBLICATION TABLE", "PUBLICATION TABLES IN SCHEMA"})
_TRIED_ON_MANAGED = frozenset({"TRIGGER", "POLICY"})
_ABOUT_SCHEMA = re.compile(r'SCHEMA (?:"(.+)"|(.+))')
_OWN = "the platform's own"


@dataclass
class OntoPlatform:
    """Decides, entry by entry, what goes into a fresh project; remembers what must be tried later, or was left.

    While `only` is set, the rows of those tables and nothing else.
    """

    platform: Platform
    there: Project
    manifest: Manifest
    around: Around
    left: list[LeftOut] = field(default_factory=list)
    tried_later: set[int] = field(default_factory=set)
    reasons: dict[int, str] = field(default_factory=dict)
    managed: set[str] = field(default_factory=set)
    only: frozenset[tuple[str, str]] | None = None

    def __post_init__(self) -> None:
        self.managed = set(self.platform.schemas)
        lacking = {each.requirement.name for each in self.around.lacking}
        self._made = {
            needed.oid
            for requirement in self.manifest.requirements
            if requirement.kind == "extension" and requirement.name not in lacking
            for needed in requirement.dependants
            if needed.class_oid == PG_CLASS
        }

    def keep(self, entry: Entry) -> bool:
        if self.only is not None:
            return entry.kind == "TABLE DATA" and (entry.schema, entry.name) in self.only
        schema = _schema_of(entry)
        if entry.kind == "SCHEMA" and entry.owner in self.there.acts_as and entry.name not in self.there.schemas:
            self.managed.discard(entry.name)  # the project's own, by a name that the platform uses too
        if not self.around.keep(entry):
            return False
        if entry.kind == "EXTENSION":
            return ("EXTENSION", "-", entry.name) not in self.there.objects
        if entry.kind in ("COMMENT", "SECURITY LABEL") and entry.name.startswith(("EXTENSION ", "EVENT TRIGGER ")):
            return False
        if entry.kind in _TRIED or (schema in self.managed and entry.kind in _TRIED_ON_MANAGED):
            return self._try_later(entry)
        if entry.kind == "DEFAULT ACL" and entry.owner not in self.there.acts_as:
            return False
        if schema not in self.managed:
            return True
        return entry.kind in _ROWS and self._takes_rows(entry)

    def _try_later(self, entry: Entry) -> bool:
        there = (entry.kind, "-" if entry.kind in ("EVENT TRIGGER", "PUBLICATION") else entry.schema, entry.name)
        ours = entry.kind in _TRIED_ON_MANAGED or entry.owner in self.there.acts_as
        if ours and there not in self.there.objects:
            self.tried_later.add(entry.number)
        return False

    def _takes_rows(self, entry: Entry) -> bool:
        if entry.kind == "TABLE DATA" and any((entry.schema, entry.name) in early for early in self.there.first):
            return False  # they are there by now
        what = "rows" if entry.kind == "TABLE DATA" else "sequence"
        may = self.there.relations.get((entry.schema, entry.name))
        if MIGRATIONS.fullmatch(entry.name):
            why = f"{_OWN}: the new project's are true of it"
        elif may is None and entry.oid not in self._made:
            why = "the new project has no such table" if what == "rows" else "the new project has no such sequence"
        elif may is False:
            why = "the role may not write it"
        else:
            return True
        self.left.append(LeftOut(kind=what, identity=f"{entry.schema}.{entry.name}", reason=why))
        self.reasons[entry.oid] = why
        return False

    def try_rest(self, connection: Connection, ddl: Collection[tuple[Entry, str]]) -> None:
        """Make triggers and policies on the platform's tables, publications, event triggers; note what is refused."""
        for entry, text in ddl:
            if entry.number not in self.tried_later:
                continue
            try:
                with connection.transaction():
                    connection.execute(text.encode())
            except psycopg.Error as error:
                why = error.diag.message_primary or type(error).__name__
                self.left.append(LeftOut(kind=entry.kind.lower(), identity=label(entry), reason=why))

    def uncompared(self) -> dict[str, str]:
        """Tables and sequences whose rows were left, by identity."""
        found = {
            table.identity: self.reasons[oid]
            for table in self.manifest.tables
            for oid in (table.oid, *table.parts)
            if oid in self.reasons
        }
        left = {each.identity: each.reason for each in self.left if each.kind == "sequence"}
        names = {sequence.name: sequence.name.replace('"', "") for sequence in self.manifest.sequences}
        return found | {f"sequence {name}": left[plain] for name, plain in names.items() if plain in left}

    def ours(self, relation: Relation) -> bool:
        """Whether the backup answers for a relation: the project's own, and those of the platform that it speaks of."""
        spoken_of = {table.identity for table in self.manifest.tables}
        spoken_of |= {sequence.name for sequence in self.manifest.sequences}
        return relation.schema not in self.managed or relation.identity in spoken_of


def _schema_of(entry: Entry) -> str:
    if entry.kind == "SCHEMA":
        return entry.name
    if entry.schema not in ("-", ""):
        return entry.schema
    about = _ABOUT_SCHEMA.fullmatch(entry.name) if entry.kind in ("ACL", "COMMENT", "SECURITY LABEL") else None
    return (about[1] or about[2]) if about else entry.schema
