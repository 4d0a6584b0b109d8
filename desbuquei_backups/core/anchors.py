"""Anchors: the chain's head as it was told to somebody else, so that a cut-off or rewritten end is found."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from desbuquei_backups.core.errors import ConfigurationError
from desbuquei_backups.core.evidence import Head, Sha256, link_key
from desbuquei_backups.core.evidence_walk import Break, Fault


class Anchor(BaseModel):
    """The head of a database's chain at an instant (aware UTC)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    database: str
    sequence: int = Field(ge=1)
    sha256: Sha256
    at: AwareDatetime

    def line(self) -> str:
        """One line of JSON."""
        return self.model_dump_json()


def anchor_of(head: Head, database: str, now: datetime) -> Anchor:
    return Anchor(database=database, sequence=head.sequence, sha256=head.sha256, at=now)


def parse_anchors(text: str, database: str, *, where: str) -> list[Anchor]:
    """The database's anchors, one a line; others' are left out.

    ConfigurationError if a line is no anchor, or none is of this database.
    """
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            found.append(Anchor.model_validate_json(line))
        except ValidationError:
            raise ConfigurationError(
                f"line {number} of {where} is no anchor",
                remedy="keep the lines that `desbuquei audit anchor` wrote, and nothing else, one a line",
            ) from None
    if not (own := [anchor for anchor in found if anchor.database == database]):
        raise ConfigurationError(
            f"{where} has no anchor of the database {database}", remedy="`desbuquei audit anchor` writes one"
        )
    return own


def against(anchors: Sequence[Anchor], walked: Mapping[int, str], *, start: int, last: int | None) -> list[Break]:
    """The anchors that the chain does not bear out. `walked`: SHA-256 by number, of the anchored links at least.

    `start` and `last`: the first number that was asked for, and the last one found. A link that is missing in between
    was named by the walk.
    """
    breaks = []
    for anchor in anchors:
        there, told = walked.get(anchor.sequence), f"{anchor.at:%Y-%m-%d %H:%M} UTC"
        key = link_key(anchor.sequence)
        if there is not None and there != anchor.sha256:
            what = f"it is not the link that was anchored at {told}"
            breaks.append(Break(Fault.REWRITTEN, what, anchor.sequence, key=key, expected_sha256=anchor.sha256))
        elif anchor.sequence >= start and (last is None or anchor.sequence > last):
            ends = f"the chain ends with link {last}" if last is not None else "there is no link"
            what = f"it was anchored at {told}, and {ends}"
            breaks.append(Break(Fault.CUT_OFF, what, anchor.sequence, key=key, expected_sha256=anchor.sha256))
    return breaks
