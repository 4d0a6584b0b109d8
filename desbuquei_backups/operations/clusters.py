"""Whose backups lie in one place: they should be of one database; of another cluster they may be, and it is said."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from desbuquei_backups.core.errors import ConfigurationError
from desbuquei_backups.core.manifest import Manifest
from desbuquei_backups.core.slots import Slot, slot_of
from desbuquei_backups.operations.settings import DATABASE_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.postgres.connection import parse

_NAMED = 3


@dataclass
class Clusters:
    """The backups that were looked at, by their server's system identifier and by their database.

    `wanted`: the name of the database that is to be backed up; None: not known, since no setting names it.
    """

    wanted: str | None
    servers: dict[str, list[str]] = field(default_factory=dict)
    databases: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, site: Site) -> "Clusters":
        return cls(wanted_database(site))

    def add(self, manifest: Manifest) -> None:
        self.databases.setdefault(manifest.server.database, []).append(manifest.backup_id)
        if manifest.server.system_identifier is not None:
            self.servers.setdefault(manifest.server.system_identifier, []).append(manifest.backup_id)

    def is_other(self, manifest: Manifest) -> bool:
        """Whether it is known to be of another database than the one to be backed up."""
        return self.wanted is not None and manifest.server.database != self.wanted

    def faults(self) -> list[str]:
        """Of which other databases there are backups, where it is known which one is to be backed up."""
        if self.wanted is None:
            return []
        return [
            f"of the database {database}, not of {self.wanted}: {_named(ids)}; each needs an S3 prefix of its own"
            for database, ids in sorted(self.databases.items())
            if database != self.wanted
        ]

    def notes(self) -> list[str]:
        """That the backups are of several servers: after an upgrade or a move they are; else somebody else writes."""
        said = []
        if self.wanted is None and len(self.databases) > 1:
            said.append(f"backups of {len(self.databases)} databases: {_each(self.databases)}")
        if len(self.servers) > 1:
            said.append(
                f"backups of {len(self.servers)} servers, as after an upgrade or a move (system identifiers): "
                f"{_each(self.servers)}"
            )
        return said


def wanted_database(site: Site) -> str | None:
    """The name of the database that is to be backed up; None if no setting names it, or it is not a URL."""
    try:
        name = parse(site.settings.database_url, setting=DATABASE_URL).get("dbname")
    except ConfigurationError:
        return None
    return None if name is None else str(name)


def _each(found: dict[str, list[str]]) -> str:
    return "; ".join(f"{name}: {_named(ids)}" for name, ids in sorted(found.items()))


def _named(backup_ids: Iterable[str]) -> str:
    """The newest of them, and how many more there are."""
    ordered = sorted(backup_ids, key=_due, reverse=True)
    more = f" and {len(ordered) - _NAMED:,} more" if len(ordered) > _NAMED else ""
    return ", ".join(ordered[:_NAMED]) + more


def _due(backup_id: str) -> tuple[str, str]:
    slot: Slot | None = slot_of(backup_id)
    return (slot.key, slot.tier) if slot is not None else ("", backup_id)
