"""How sizes, instants and lengths of time are written in a table of 80 columns."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from desbuquei_backups.core.thawing import State, Thaw

if TYPE_CHECKING:
    from desbuquei_backups.operations.verified import Oldest


def size(count: int | None) -> str:
    """`1.4 GB`, in powers of ten; a dash where it is not known."""
    if count is None:
        return "-"
    return f"{count} B" if count < 1000 else _scaled(count / 1000, ("kB", "MB", "GB", "TB"))


def count(number: int | None) -> str:
    """`99,999`, and from there on `1.5 M`: six letters; a dash where it is not known."""
    if number is None:
        return "-"
    return f"{number:,}" if number < 100_000 else _scaled(number / 1000, ("k", "M", "G", "T"))


def _scaled(value: float, units: tuple[str, ...]) -> str:
    unit = units[0]
    for larger in units[1:]:
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if value >= 99.95 else f"{value:.1f} {unit}"


def instant(at: datetime | None) -> str:
    return "-" if at is None else f"{at:%Y-%m-%d %H:%M}"


def age(length: timedelta | None) -> str:
    """`5 min`, `17 h`, `3 d 4 h`."""
    if length is None:
        return "-"
    minutes = int(length.total_seconds() // 60)
    if minutes < 120:
        return f"{minutes} min"
    days, hours = divmod(minutes // 60, 24)
    return f"{days * 24 + hours} h" if days < 2 else f"{days} d {hours} h"


def yes(value: bool | None) -> str:
    return {True: "[green]yes[/]", False: "[yellow]no[/]", None: "?"}[value]


def thaw(found: Thaw) -> str:
    """`being thawed, readable by 2026-02-02 14:10 UTC`; `thawed, readable until …`."""
    if found.state is State.THAWED:
        return f"thawed, readable until {instant(found.until)} UTC" if found.until is not None else "thawed, readable"
    by = f", readable by {instant(found.readable_by)} UTC" if found.readable_by is not None else ""
    return f"being thawed{by}"


def thaw_document(found: Thaw | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "state": found.state.value,
        "readable_by": found.readable_by.isoformat() if found.readable_by is not None else None,
        "until": found.until.isoformat() if found.until is not None else None,
    }


def oldest_document(found: "Oldest") -> dict[str, Any]:
    oldest = {"backup_id": found.backup_id, "verified_at": found.at.isoformat()} if found.at is not None else None
    return {"backups": found.backups, "never": found.never, "oldest": oldest}
