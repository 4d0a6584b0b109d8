"""How sizes, instants and lengths of time are written in a table of 80 columns."""

from datetime import datetime, timedelta


def size(count: int | None) -> str:
    """`1.4 GB`, in powers of ten; a dash where it is not known."""
    if count is None:
        return "-"
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


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
