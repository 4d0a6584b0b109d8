"""A link of the chain of evidence: what was said of a backup, when, and the SHA-256 of the link before it."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, ValidationError
from pydantic_core import from_json

from desbuquei_backups.core.errors import IntegrityError

SCHEMA_VERSION: Literal[1] = 1
SIGNED_VERSION: Literal[2] = 2
FOLDER = "evidence/"
_KEY = re.compile(rf"{FOLDER}([0-9]{{10}})\.json")
LAST = 9_999_999_999

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Kind(StrEnum):
    """What a link is about. A manifest is sealed on disk first; from `archived` on, the bucket is to have it."""

    MANIFEST = "manifest"
    ARCHIVED = "archived"
    CHECKS = "checks"
    PRUNED = "pruned"
    HELD = "held"
    RELEASED = "released"
    VERIFIED = "verified"
    ADOPTED = "adopted"
    PROVEN = "proven"
    DRILLED = "drilled"
    POLICY = "policy"
    SIGNED_OFF = "signed off"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Entry(_Frozen):
    """What is to be said, before it has its place in the chain. `entry_id` tells it from every other one.

    `at` is when it was said. `backup_id`: of which backup; None: of several, or of none.
    """

    entry_id: str
    at: AwareDatetime
    kind: Kind
    database: str
    backup_id: str | None
    body: Mapping[str, JsonValue]

    def to_bytes(self) -> bytes:
        return (self.model_dump_json(indent=1) + "\n").encode()


class Link(_Frozen):
    """An entry in its place. `previous_sha256` is of the previous object's exact bytes; None: it is the first.

    `signature` is of the key `key_id`, over the bytes of the same link without it; None: it is not signed.
    """

    schema_version: Literal[1, 2] = SCHEMA_VERSION
    sequence: int = Field(ge=1, le=LAST)
    previous_sha256: Sha256 | None
    at: AwareDatetime
    kind: Kind
    database: str
    backup_id: str | None
    entry_id: str
    body: Mapping[str, JsonValue]
    key_id: Sha256 | None = None
    signature: str | None = None

    def to_bytes(self) -> bytes:
        """As it is stored: what it has not is left out, so that an unsigned link is what it always was."""
        left_out = {name for name in ("key_id", "signature") if getattr(self, name) is None}
        return (self.model_dump_json(indent=1, exclude=left_out) + "\n").encode()


@dataclass(frozen=True, slots=True)
class Head:
    """The last link that is known, by its number and the SHA-256 of its bytes."""

    sequence: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Stored:
    """An object in the bucket that a link speaks of, by its key and the SHA-256 of its bytes."""

    key: str
    sha256: str


NOTHING = Head(0, "")  # before the first link


def follow(head: Head, entry: Entry) -> Link:
    """The link that says `entry` next after `head`; IntegrityError if there are no numbers left."""
    sequence = head.sequence + 1
    if sequence > LAST:
        raise IntegrityError(
            f"the chain's last number is taken: {link_key(LAST)}",
            remedy="nobody can have said so much: see who wrote it, and take it away",
        )
    return Link(
        sequence=sequence,
        previous_sha256=head.sha256 or None,
        at=entry.at,
        kind=entry.kind,
        database=entry.database,
        backup_id=entry.backup_id,
        entry_id=entry.entry_id,
        body=entry.body,
    )


def head_of(sequence: int, content: bytes) -> Head:
    """The head that a link of those bytes is."""
    return Head(sequence, sha256_of(content))


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def link_key(sequence: int) -> str:
    """The link's key below the database's prefix: its number in ten digits, so that keys sort as links follow."""
    return f"{FOLDER}{sequence:010}.json"


def sequence_of(key: str) -> int | None:
    """The number in a link's key; None if it is no link's."""
    found = _KEY.fullmatch(key)
    return int(found[1]) or None if found else None


def parse_entry(content: bytes, *, where: str) -> Entry:
    """The entry in `content`; IntegrityError if it cannot be read."""
    try:
        return Entry.model_validate_json(content)
    except ValidationError as error:
        raise _unreadable(error, where) from None


def parse_link(content: bytes, *, where: str) -> Link:
    """The link in `content`; IntegrityError if it is damaged, altered in shape, or from a newer version."""
    try:
        return Link.model_validate_json(content)
    except ValidationError as error:
        version = _version(content)
        if version is not None and version > SIGNED_VERSION:
            raise IntegrityError(
                f"{where} is of schema version {version}, and version {SIGNED_VERSION} is the newest known here",
                remedy="it was written by a newer desbuquei_backups: verify with that one",
            ) from None
        raise _unreadable(error, where) from None


def _unreadable(error: ValidationError, where: str) -> IntegrityError:
    first = error.errors()[0]
    return IntegrityError(
        f"{where} cannot be read: {'.'.join(map(str, first['loc'])) or 'JSON'}: {first['msg']}",
        remedy="`desbuquei audit verify` says whether an older version of it is whole",
    )


def _version(content: bytes) -> int | None:
    try:
        found = from_json(content)
    except ValueError:
        return None
    version = found.get("schema_version") if isinstance(found, dict) else None
    return version if isinstance(version, int) else None
