"""Restore a backup into a database of its own: roles, dump, the database's properties, and a comparison with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import psycopg

from desbuquei_backups.core.comparison import Finding, Verdict, overall
from desbuquei_backups.core.errors import IntegrityError, TargetRefused
from desbuquei_backups.core.manifest import LeftOut, Manifest, Role
from desbuquei_backups.operations import comparing, project, target_roles
from desbuquei_backups.operations.clusters import Clusters
from desbuquei_backups.operations.copies import Copy, Place, find_copy
from desbuquei_backups.operations.destination import Destination, Landing, Seen, landing, look, refuse_contents
from desbuquei_backups.operations.in_use import reading
from desbuquei_backups.operations.loading import Around, Keeps, load, property_statements
from desbuquei_backups.operations.onto_platform import OntoPlatform
from desbuquei_backups.operations.progress import timed
from desbuquei_backups.operations.schema import label
from desbuquei_backups.operations.site import Site, naming
from desbuquei_backups.postgres import connection as pg
from desbuquei_backups.postgres import target
from desbuquei_backups.postgres.globals import created_roles
from desbuquei_backups.postgres.plain_dump import Entry
from desbuquei_backups.postgres.programs import choose
from desbuquei_backups.postgres.server import PLATFORMS
from desbuquei_backups.postgres.target import Unmet

_REPLICA = b"SET session_replication_role = replica;\n"


@dataclass(frozen=True, slots=True)
class Wanted:
    """How to restore: from which copy, over which database, and what may be left."""

    place: Place = Place.S3
    overwrite: str | None = None
    around_missing: bool = False
    without_tablespaces: bool = False
    platform: str | None = None


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored, how it compares with the manifest, and what was left and why."""

    manifest: Manifest
    place: Place
    described: str
    row_counts: Sequence[Finding]
    contents: Sequence[Finding]
    left: Sequence[LeftOut]
    notes: Sequence[str]
    roles: Sequence[str]
    seconds: Mapping[str, float]

    @property
    def verdict(self) -> Verdict:
        return overall([*self.row_counts, *self.contents])


def restore(site: Site, backup_id: str, into: Destination, wanted: Wanted) -> Restored:
    """Restore the whole of a backup. Nothing but `into`, and roles that its server has not, is written to.

    NotFound, IntegrityError or StoreError if the copy is not there or not whole; TargetRefused, with everything that
    stands in the way, before anything is made; RestoreFailed if psql stops.
    """
    with naming(backup_id), reading(site, backup_id):
        copy = find_copy(site, backup_id, wanted.place)
        site.progress.stage("looking at the target")
        seen = look(into, copy.manifest)
        _refuse_platform(seen, wanted)
        refuse_contents(seen, copy.manifest, wanted.overwrite)
        clusters = Clusters.of(site)
        clusters.add(copy.manifest)
        return _Restoring(site, copy, seen, wanted, notes=clusters.faults()).run()


def _refuse_platform(seen: Seen, wanted: Wanted) -> None:
    is_on = seen.platform.name.lower() if seen.platform else None
    if wanted.platform == is_on:
        return
    if is_on is not None:
        raise TargetRefused(
            f"{seen.destination.described} is on {is_on}, which keeps schemas for itself",
            remedy=f"add --platform {is_on}: user schemas are restored, and the rows of the platform's tables",
        )
    known = ", ".join(platform.name.lower() for platform in PLATFORMS)
    raise TargetRefused(
        f"{seen.destination.described} is not a {wanted.platform} project",
        remedy=f"leave --platform out, or name a fresh project's database; known platforms: {known}",
    )


@dataclass
class _Restoring:
    site: Site
    copy: Copy
    seen: Seen
    wanted: Wanted
    left: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self) -> Restored:
        manifest, place = self.copy.manifest, self.seen.destination
        script = self.copy.text(Role.GLOBALS)
        made: list[str] = []
        try:
            with (
                landing(self.seen, manifest) as into,
                place.connect(into.name) as connection,
                pg.explained(f"restoring into {place.described}"),
            ):
                lacking = self._preflight(connection, into)
                into.begun = True
                made += self._roles(connection, script)
                row_counts, content = self._fill(connection, into, lacking)
                into.whole = self._may_take_place([*row_counts, *content])
        except BaseException:
            if made and self.seen.needs_new and not into.whole:
                with place.maintenance() as connection:
                    target_roles.drop_roles(connection, made)
            raise
        if self.seen.needs_new and not into.whole:
            self.notes.append(
                f"{place.name} is as it was: what was restored does not match, and stays in the database {into.name}"
            )
        self._properties(into)
        described = place.described.rpartition("/")[0] + f"/{into.name}"
        return Restored(
            manifest, self.copy.place, described, row_counts, content, self.left, self.notes, made, self.seconds
        )

    def _may_take_place(self, findings: Sequence[Finding]) -> bool:
        return not (self.seen.exists and overall(findings) is Verdict.DIFFERS)

    def _preflight(self, connection: pg.Connection, into: Landing) -> list[Unmet]:
        """TargetRefused with everything that this server lacks, unless it may be restored around."""
        manifest = self.copy.manifest
        self.site.progress.stage("trying what the backup needs")
        lacking = target.unmet(connection, manifest.requirements, into.locale_missing)
        if self.seen.platform is not None:
            lacking = [each for each in lacking if each.requirement.kind != "relation"]
        faults = []
        for each in lacking:
            needed = len(each.requirement.dependants)
            if needed or each.requirement.kind == "extension":
                faults.append(each.why + (f" ({needed} objects need it)" if needed else ""))
            else:
                self.notes.append(each.why)
        spaces = [name for name in manifest.server.tablespaces if name not in target.tablespaces(connection)]
        hard = [] if self.wanted.without_tablespaces or not spaces else [f"missing tablespaces: {', '.join(spaces)}"]
        if self.seen.platform is not None:
            there = project.project(connection, self.seen.platform)
            hard += project.rows_there(connection, manifest, there)
        if hard or (faults and not self.wanted.around_missing):
            raise TargetRefused(
                f"the server cannot hold all of it: {'; '.join(hard + faults)}",
                remedy=_remedy(spaces=bool(spaces), faults=bool(faults), rows=len(hard) > bool(spaces)),
            )
        return lacking

    def _roles(self, connection: pg.Connection, script: str) -> list[str]:
        platform = self.seen.platform
        own = {name for name in created_roles(script) if name.startswith("supabase_")} if platform else set()
        missing = target_roles.missing_roles(connection, script, but=own | (platform.roles if platform else set()))
        with timed(self.seconds, "roles"):
            self.left += target_roles.make_roles(connection, script, missing)
        return missing

    def _fill(
        self, connection: pg.Connection, into: Landing, lacking: Sequence[Unmet]
    ) -> tuple[Sequence[Finding], Sequence[Finding]]:
        manifest, platform = self.copy.manifest, self.seen.platform
        around = Around(lacking)
        onto = None
        with timed(self.seconds, "restore"):
            if platform is None:
                self._load(connection, into, around)
            else:
                there = project.project(connection, platform)
                onto = OntoPlatform(platform, there, manifest, around)
                self._load_onto(connection, into, onto)
        self.left += [
            LeftOut(kind=entry.kind.lower(), identity=label(entry), reason=why) for entry, why in around.entries
        ]
        if onto is not None:
            self.left += onto.left
        self.site.progress.stage("analyzing")
        with timed(self.seconds, "analyze"):
            connection.execute("analyze")
        uncompared = comparing.left_around(manifest, around) | (onto.uncompared() if onto else {})
        with timed(self.seconds, "counts and fingerprints"):
            return comparing.compare_contents(
                connection, manifest, uncompared, self.site.progress, ours=onto.ours if onto else lambda _: True
            )

    def _load_onto(self, connection: pg.Connection, into: Landing, onto: OntoPlatform) -> None:
        project.without_default_grants(connection)
        for tables in onto.there.first:
            onto.only = tables
            self._load(connection, into, onto)
        onto.only = None
        ddl = self._load(connection, into, onto, _REPLICA if onto.there.replica else b"")
        onto.try_rest(connection, ddl)

    def _load(
        self, connection: pg.Connection, into: Landing, keeps: Keeps, before_rows: bytes = b""
    ) -> Sequence[tuple[Entry, str]]:
        self.site.progress.stage(f"restoring from {self.copy.place}", self.copy.manifest.dump.size)
        found = load(
            choose(connection.info.server_version // 10000),
            self.seen.destination.parameters(into.name),
            self.copy.read(Role.DUMP, progress=self.site.progress.advance),
            keeps,
            without_tablespaces=self.wanted.without_tablespaces,
            before_rows=before_rows,
        )
        if not found.complete:
            raise IntegrityError("the dump does not end with pg_dump's footer", remedy="restore another backup")
        return found.ddl

    def _properties(self, into: Landing) -> None:
        """Owner, comment, grants and settings of the database itself; one that the server refuses is left, and said."""
        if self.seen.platform is not None:
            self.notes.append("the database's own settings and grants stay those of the new project")
            return
        with timed(self.seconds, "properties"), self.seen.destination.connect(into.name) as connection:
            for statement in property_statements(
                self.copy.text(Role.DATABASE), self.copy.manifest.server.database, into.name
            ):
                try:
                    connection.execute(statement.encode())
                except psycopg.Error as error:
                    why = error.diag.message_primary or type(error).__name__
                    self.left.append(LeftOut(kind="database property", identity=statement, reason=why))


def _remedy(*, spaces: bool, faults: bool, rows: bool) -> str:
    said = []
    if spaces:
        said.append("create the tablespaces, or --no-tablespaces puts all into the default one")
    if faults:
        said.append("install what is missing there, or --around-missing restores the rest and lists what was left")
    if rows:
        said.append("restore into a fresh project")
    return "; ".join(said)
