"""What is known of moments in the WAL, and the gaps that were declared in it: small documents, kept beside it."""

from collections.abc import Iterable
from datetime import datetime
from typing import TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from desbuquei_backups.core.errors import IntegrityError
from desbuquei_backups.core.wal import Segment, parse_lsn


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_bytes(self) -> bytes:
        return (self.model_dump_json(indent=1) + "\n").encode()


class RecoveryPoint(_Document):
    """A named restore point, and a commit after it. All that was committed by `at` (the server's clock) is in it.

    `lsn` is the restore point's own position, `end` that after the segment which was ended behind it: with the WAL up
    to there, the point can be recovered to. `transaction` is the commit's; `heartbeat`: it wrote a row of that name.
    """

    name: str
    system_identifier: str
    timeline: int
    lsn: str
    end: str
    segment_size: int
    at: AwareDatetime
    transaction: int
    heartbeat: bool

    @property
    def last(self) -> Segment:
        """The last segment that it needs."""
        return Segment.holding(self.timeline, parse_lsn(self.end) - 1, self.segment_size)


class DeclaredGap(_Document):
    """WAL that was never archived, and never will be: from `start` up to `end`, positions on the way to `timeline`."""

    system_identifier: str
    timeline: int
    start: str
    end: str
    why: str
    declared_at: AwareDatetime

    @property
    def name(self) -> str:
        return f"{self.timeline:08X}-{parse_lsn(self.end):016X}"

    def said(self) -> str:
        return f"{self.start} to {self.end} ({self.why}, {self.declared_at:%Y-%m-%d %H:%M} UTC)"


_D = TypeVar("_D", bound=_Document)


def parse(kind: type[_D], content: bytes, *, where: str) -> _D:
    """The document in `content`; IntegrityError if it is none."""
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        raise IntegrityError(
            f"{where} cannot be read: {error.errors()[0]['msg']}", remedy="see what else writes to the bucket"
        ) from None


def current_at(segment: Segment, seen: Iterable[tuple[int, int, datetime]]) -> datetime | None:
    """The last moment at which the server, on that timeline, is known not to have been beyond the segment's end.

    `seen`: timeline, position and moment of each look at the server. With the WAL up to that end, all that was
    committed by then is there; a later moment would promise too much. None: nobody looked in time.
    """
    moments = [at for timeline, position, at in seen if timeline == segment.timeline and position <= segment.end]
    return max(moments, default=None)
