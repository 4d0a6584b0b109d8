"""Recovery targets as people write them: an instant with its zone, a WAL position, a restore point's name, `latest`."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from desbuquei_backups.core.errors import ConfigurationError
from desbuquei_backups.core.wal import parse_lsn, show_lsn

_POSITION = re.compile(r"[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}")
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}")
_FORMS = (
    "2026-02-02T12:34:56+00:00 (an instant with its zone), 16/B374D848 (a WAL position), a restore point like "
    "hourly-2026-02-02-030000, or latest"
)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a recovery is to stop: one of them, or the end of the WAL. `at` is aware UTC."""

    at: datetime | None = None
    position: int | None = None
    name: str | None = None

    def __str__(self) -> str:
        if self.at is not None:
            return f"{self.at.isoformat(sep=' ')}"
        return show_lsn(self.position) if self.position is not None else self.name or "latest"


def parse_target(text: str) -> Target:
    """The target in `text`; ConfigurationError if an instant has no zone: what it means depends on who reads it."""
    text = text.strip()
    if text == "latest":
        return Target()
    if _POSITION.fullmatch(text):
        return Target(position=parse_lsn(text))
    if not _INSTANT.match(text):
        if not text or len(text.encode()) > 63 or not text.isprintable():
            raise ConfigurationError(f"{text!r:.80} is no recovery target", remedy=f"write {_FORMS}")
        return Target(name=text)
    try:
        found = datetime.fromisoformat(text)
        if found.utcoffset() is None:
            again = found.isoformat(sep="T")
            raise ConfigurationError(
                f"{text} has no zone: whose {found:%H:%M} is it?",
                remedy=f"add it: {again}+00:00 is UTC, {again}-03:00 Brasília",
            )
        return Target(at=found.astimezone(UTC))
    except (ValueError, OverflowError):
        raise ConfigurationError(f"{text!r:.80} is no instant", remedy=f"write {_FORMS}") from None
