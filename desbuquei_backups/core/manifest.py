"""The checksum manifest: what a backup is made of, what it holds, and what was left out."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from desbuquei_backups.core.errors import IntegrityError
from desbuquei_backups.core.transport import Transport
from desbuquei_backups.core.wal_points import RecoveryPoint

SCHEMA_VERSION: Literal[1] = 1
FINGERPRINT = "sum of hashtextextended(row(columns sorted by name)::text collate C, 0)"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Role(StrEnum):
    """What a file is for."""

    DUMP = "dump"
    GLOBALS = "globals"
    DATABASE = "database"
    BASE = "base"
    TABLESPACE = "tablespace"
    BASE_MANIFEST = "base_manifest"
    CONFIGURATION = "configuration"
    POINT = "point"

    @property
    def large(self) -> bool:
        """Whether a file of this kind grows with the database: it is kept in its tier's storage class."""
        return self in (Role.DUMP, Role.BASE, Role.TABLESPACE)

    @property
    def physical(self) -> bool:
        """Whether it belongs to a base backup."""
        return self in (Role.BASE, Role.TABLESPACE, Role.BASE_MANIFEST, Role.CONFIGURATION)


class DecryptedFacts(_Frozen):
    """An encrypted file as it is when it is decrypted: the gzip of before."""

    size: int = Field(ge=0)
    md5: str
    sha256: str


class FileFacts(_Frozen):
    """One file of a backup, as it lies on disk and in S3. `size` and `plain_size` (before compression) are bytes.

    `parts_sha256` is what S3 says of an object that was stored in our parts: SHA-256 of their digests, and how many.
    `decrypted` is there if the file is encrypted.
    """

    name: str
    role: Role
    size: int = Field(ge=0)
    plain_size: int = Field(ge=0)
    md5: str
    sha256: str
    parts_sha256: str | None = None
    decrypted: DecryptedFacts | None = None


class TableFacts(_Frozen):
    """A table's exact row count and content fingerprint in the dump's snapshot.

    `identity` is quoted as SQL has it; a partitioned table stands for its `parts` (OIDs). `dumped_rows` were counted in
    the dump's own bytes. None: not counted.
    """

    identity: str
    oid: int
    rows: int | None
    fingerprint: str | None
    dumped_rows: int | None = None
    parts: Sequence[int] = ()


class SequenceFacts(_Frozen):
    """A sequence's state as the dump's own `setval` restores it; `name` is quoted as SQL has it."""

    name: str
    last_value: int
    is_called: bool


class LargeObjectFacts(_Frozen):
    count: int
    fingerprint: str


class ObjectFacts(_Frozen):
    """How many objects of a kind a schema has in the dump's snapshot. `within` is empty for what is in no schema."""

    kind: str
    within: str
    count: int = Field(ge=0)


class DatabaseObject(_Frozen):
    """An object of the catalog: its class (OID of the system catalog it is in), its OID, and how a person names it."""

    class_oid: int
    oid: int
    kind: str
    identity: str


class Requirement(_Frozen):
    """Something a server must have to hold this backup, and all that cannot be restored without it."""

    kind: Literal["extension", "collation", "locale", "relation"]
    name: str
    version: str | None = None
    definition: str | None = None
    dependants: Sequence[DatabaseObject] = ()


class LeftOut(_Frozen):
    """What the dump does not hold, and why."""

    kind: str
    identity: str
    reason: str


class ServerFacts(_Frozen):
    """The source server and database, as far as a restore depends on them; `transport`: how it was reached."""

    system_identifier: str | None
    version: str
    version_number: int
    timeline: int | None
    lsn: str | None
    database: str
    encoding: str
    locale_provider: str
    collate: str
    ctype: str
    locale: str | None
    collation_version: str | None
    lc_monetary: str
    settings: Mapping[str, str]
    tablespaces: Sequence[str]
    platform: str | None
    transport: Transport | None = None

    @property
    def major(self) -> int:
        return self.version_number // 10000


class Mark(_Frozen):
    """The state that a snapshot saw, by what cannot stand still when something changes.

    `snapshot` is pg_current_snapshot()'s text: which transactions had ended. `started_at` tells a server that was
    restarted, restored or failed over meanwhile, `statistics_since` one that crashed: it throws its statistics away.
    """

    database_oid: int
    snapshot: str
    started_at: AwareDatetime
    statistics_since: AwareDatetime | None


class Tablespace(_Frozen):
    """A tablespace of a cluster. `file` has what is in it; `location` is where it was, empty if within the cluster."""

    oid: int
    name: str
    location: str
    file: str


class BaseFacts(_Frozen):
    """A physical base backup: the WAL that makes it consistent, on which timeline, and when it was (aware UTC).

    `size` is bytes that it unpacks to: of an increment, what has changed. `tool` is the version of pg_basebackup.
    """

    timeline: int
    start_lsn: str
    stop_lsn: str
    stopped_at: AwareDatetime
    size: int
    duration_seconds: float
    tool: str
    tablespaces: Sequence[Tablespace] = ()


class Manifest(_Frozen):
    """A backup. Written once, when its files were read back and found whole.

    `copy_of`: its files are a copy of that backup's, taken in this slot's time. `same_as`: nothing had changed since
    that backup, whose files stand for its own. `operator` and `reason`: who asked for it, and why. `recipients`: the
    age public keys that its files are encrypted to; any one's identity opens them. `base`: the physical base backup
    that was taken beside the dump. `point`: it has no dump, the WAL up to that point is what was taken; `base` is then
    an increment against the base backup of `parent`, or a full one. `objects`: how many there were by the catalogs,
    None if they were not counted; `unwritten`: those of which the dump has nothing. `invalid_indexes`: each with its
    table; they are not in the dump.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    backup_id: str
    tier: str
    slot: AwareDatetime
    taken_at: AwareDatetime
    duration_seconds: float
    stage_seconds: Mapping[str, float]
    database: str
    server: ServerFacts
    tools: Mapping[str, str]
    files: Sequence[FileFacts]
    fingerprint: str | None
    tables: Sequence[TableFacts]
    sequences: Sequence[SequenceFacts]
    large_objects: LargeObjectFacts | None
    requirements: Sequence[Requirement]
    left_out: Sequence[LeftOut]
    warnings: Sequence[str]
    parent: str | None = None
    copy_of: str | None = None
    same_as: str | None = None
    mark: Mark | None = None
    recipients: Sequence[str] = ()
    base: BaseFacts | None = None
    point: RecoveryPoint | None = None
    objects: Sequence[ObjectFacts] | None = None
    unwritten: Sequence[DatabaseObject] = ()
    invalid_indexes: Mapping[str, str] = {}
    operator: str | None = None
    reason: str | None = None
    sealed_at: AwareDatetime | None = None
    previous_manifest_sha256: str | None = None

    @property
    def dump(self) -> FileFacts:
        """The file that the backup is known by: its dump; of one that has none, the description of its point."""
        return self.file(Role.DUMP if self.point is None else Role.POINT)

    def file(self, role: Role) -> FileFacts:
        return next(file for file in self.files if file.role is role)

    @property
    def logical(self) -> list[FileFacts]:
        """The files without those of a base backup beside them."""
        return [file for file in self.files if not file.role.physical]

    @property
    def origin(self) -> str | None:
        """The id of the backup whose dump this one holds, if the database was not read for it."""
        return self.copy_of or self.same_as

    @property
    def rows(self) -> int:
        """The rows counted, over all tables."""
        return sum(table.rows or 0 for table in self.tables)

    @property
    def size(self) -> int:
        """Bytes of all the files together."""
        return sum(file.size for file in self.files)

    def standing_for(self, backup_id: str, tier: str, **changed: object) -> "Manifest":
        """The draft of another backup that holds this one's dump: nobody asked for it, and it is not sealed yet."""
        again = {"duration_seconds": 0.0, "stage_seconds": {}, "operator": None, "reason": None}
        unsealed = {"sealed_at": None, "previous_manifest_sha256": None, "files": self.logical, "base": None}
        return self.model_copy(update={"backup_id": backup_id, "tier": tier, **again, **unsealed, **changed})

    def sealed(self, now: datetime, previous: bytes | None) -> "Manifest":
        """This draft made final at `now`, linked to the bytes of the manifest before it."""
        digest = hashlib.sha256(previous).hexdigest() if previous is not None else None
        return self.model_copy(update={"sealed_at": now, "previous_manifest_sha256": digest})

    def to_bytes(self) -> bytes:
        return (self.model_dump_json(indent=1) + "\n").encode()


def manifest_name(backup_id: str) -> str:
    return f"{backup_id}.manifest.json"


def parse_manifest(content: bytes, *, where: str) -> Manifest:
    """The manifest in `content`; IntegrityError if it is truncated, altered in shape, or from a newer version."""
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        if (newer := _newer_version(content)) is not None:
            raise IntegrityError(
                f"the manifest {where} was written by a newer desbuquei_backups (schema version {newer}, this one "
                f"reads {SCHEMA_VERSION})",
                remedy="upgrade desbuquei_backups on this machine",
            ) from None
        first = error.errors()[0]
        raise IntegrityError(
            f"the manifest {where} cannot be read: {'.'.join(map(str, first['loc'])) or 'JSON'}: {first['msg']}",
            remedy="take the copy that is in the other place (disk or S3)",
        ) from None


def _newer_version(content: bytes) -> int | None:
    """The schema version of a manifest that is whole, if this program is too old for it."""
    try:
        said = json.loads(content)
    except ValueError:
        return None
    version = said.get("schema_version") if isinstance(said, dict) else None
    return version if isinstance(version, int) and version > SCHEMA_VERSION else None
