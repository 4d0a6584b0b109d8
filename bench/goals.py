"""What was promised, beside what was measured: Markdown, and values that anybody can check again."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from bench.pgbackrest import FULL, INCREMENTAL, RESTORE
from bench.proof import COMPARED
from bench.recovery import ALL, ALL_BY_HAND, BASE, BASE_BY_HAND, RECEIVED
from bench.transfers import DOWN, OURS, UP

Pair = Mapping[str, Mapping[str, Any]]

MB = 1_000_000


def goals(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """Each promise with what was measured: the median of the pairs, the largest of the peaks."""

    def faster(what: str) -> float:
        return median(pair["guide"]["wall"] / pair[what]["wall"] for pair in pairs)

    def peaks(*kinds: str) -> list[float]:
        return [pair[kind]["peak_bytes"] / MB for pair in pairs for kind in kinds]

    large, small = peaks("ours", "ours_without_counts"), peaks("ours_small")
    in_dagster = [pair["ours_in_dagster"] for pair in pairs if "ours_in_dagster" in pair]
    inside = max(each["peak_bytes"] / MB for each in in_dagster) if in_dagster else None
    fixed = median(each["process"] - each["wall"] for each in in_dagster) if in_dagster else None
    encrypting = median(dump_seconds(pair, "ours_encrypted") / dump_seconds(pair) for pair in pairs)
    against_bare = median(dump_seconds(pair) / pair["pg_dump"]["wall"] for pair in pairs)
    return [
        _goal("dump with compression and both checksums, of `pg_dump > /dev/null`", against_bare, "×", at_most=1.25),
        _goal("dump encrypted with age, of the same pass without", encrypting, "×", at_most=1.3),
        _goal("faster than the guide, without counts", faster("ours_without_counts"), "×", at_least=4),
        _goal("faster than the guide, with counts", faster("ours"), "×", at_least=2.5),
        _goal("peak memory, large database", max(large), "MB", at_most=400),
        _goal("peak memory, large database of small", median(large) / median(small), "×", at_most=1.1),
        _goal("peak memory, large database, the whole Dagster process", inside, "MB", at_most=400),
        _goal("Dagster's fixed cost for the run", fixed, "s", at_most=5),
    ]


def catalog_goals(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What looking at many backups may cost: median seconds of the whole process, the largest peak."""
    made = []
    for command, ran in found["commands"].items():
        figure = f"`desbuquei {command}` over {found['hourlies']:,} backups"
        made.append(_goal(figure, ran["wall"], "s", at_most=2))
        made.append(_goal(f"{figure}, peak memory", ran["peak_bytes"] / MB, "MB", at_most=300))
    alone = found["import dagster"]["wall"]
    loads = "the code location loads, of `import dagster` alone"
    made.append(_goal(loads, found["code location"]["wall"] / alone, "×", at_most=2))
    several = found["code location of several"]["wall"] / alone
    return [*made, _goal(f"{loads}; {found['databases']} databases", several, "×", at_most=2)]


def audit_goals(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a report over a year costs once the chain's links are read: walked, judged, written as HTML and JSON."""
    size = f"{found['slots']:,} slots, {found['check_results']:,} check results"
    whole = median(sum(run["stages"].values()) for run in found["runs"])
    page = max(run["html_bytes"] for run in found["runs"])
    return [
        _goal(f"audit report over {size}, its links being read", whole, "s", at_most=5),
        _goal("audit report, peak memory", max(run["peak_bytes"] for run in found["runs"]) / MB, "MB", at_most=400),
        _goal("audit report, HTML", page / MB, "MB", at_most=5),
    ]


def proof_goals(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What comparing a restored copy costs, and what pg_amcheck does: medians of each round's ratio to the restore."""
    stages = [each["stages"] for each in found["rounds"]]
    compared = median(sum(each[stage] for stage in COMPARED) / each["restore"] for each in stages)
    sound = median(each["soundness"] / each["restore"] for each in stages)
    rows = f"{found['rounds'][0]['rows']:,} rows"
    return [
        _goal(f"counts, fingerprints and schema of {rows} compared, of restoring them", compared, "×", at_most=0.5),
        _goal("pg_amcheck over all of them, of restoring them", sound, "×", at_most=0.5),
    ]


def chain_goals(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the walk of a year's chain from S3 may cost, once its links are packed."""
    figure = f"`desbuquei audit verify` over {found['links']:,} links in S3"
    return [
        _goal(figure, median(run["wall"] for run in found["packed"]), "s", at_most=30),
        _goal(f"{figure}, peak memory", max(run["peak_bytes"] for run in found["packed"]) / MB, "MB", at_most=300),
    ]


def tick_goals(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a tick of the sensor costs, by the slowest of each state as well."""
    size = f"{found['databases']} databases, {found['runs']:,} runs, {found['lines']:,} backups each"
    unfinished = f"with {found['unfinished']} backups each that S3 has not"
    return [
        _goal(f"sensor tick, {size}", median(found["finished"]) * 1000, "ms", at_most=200),
        _goal("sensor tick, the slowest", max(found["finished"]) * 1000, "ms", at_most=200),
        _goal(f"sensor tick, {unfinished}", median(found["outage"]) * 1000, "ms", at_most=200),
    ]


def promotion_goals(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What passes for a second tier's copy, in MB, and its seconds; what is not the dump is records and manifests."""
    daily, weekly = found["daily"], found["weekly"]
    size = f"{daily['bytes']['plain'] / MB:,.0f} MB of SQL, {daily['bytes']['gzip'] / MB:,.0f} MB of gzip"
    return [
        _goal(f"promotion of {size}: from the database", weekly["from_the_database"] / MB, "MB", at_most=1),
        _goal("promotion: from S3", weekly["from_s3"] / MB, "MB", at_most=1),
        _goal("promotion: to S3", weekly["to_s3"] / MB, "MB", at_most=1),
        _goal("promotion, of the daily's own dump and archive", weekly["wall"] / daily["wall"], "×", at_most=1),
    ]


def vault_goals(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Our rate of that of the fastest other, by the medians of all; and the medians of our own peaks."""
    made = []
    size, small = (round(found[name] / 1024**2) for name in ("bytes", "small_bytes"))
    for what in (UP, DOWN):
        walls = {who: wall for who, wall in found["wall"][what].items() if who != OURS}
        best = min(walls, key=lambda who: walls[who])
        rate = walls[best] / found["wall"][what][OURS]
        made.append(_goal(f"{what} of {size:,} MiB, of the rate of the best ({best})", rate, "×", at_least=0.9))
    for what in (UP, DOWN):
        peaks = {which: median(each) for which, each in found["peak_bytes"][what].items()}
        figure = f"{what}: peak memory, {size:,} MiB of {small} MiB"
        made.append(_goal(figure, peaks["large"] / peaks["small"], "×", at_most=1.1))
        made.append(_goal(f"{what}: peak memory, {size:,} MiB", peaks["large"] / MB, "MB", at_most=400))
    return made


def recovery_goals(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The way back beside PostgreSQL's own programs: medians of each round's ratio, the largest of our peaks."""
    bases, increments, drains, back = (found[name] for name in ("bases", "increments", "drains", "recoveries"))

    def streamed(rounds: Sequence[Pair]) -> float | None:
        return median(each[OURS]["streamed"] / fastest(each) for each in rounds) if rounds else None

    def replay(each: Pair) -> float:
        return float(each[ALL]["stages"]["replay"] / each[ALL_BY_HAND]["start"])

    rate, sent = (median(each[who]["bytes"] / each[who]["wall"] / MB for each in drains) for who in (OURS, RECEIVED))
    size = back[0][ALL]["segments"] * 16 * 1024**2 / 1e9
    after = f"the increment after {found['pgbench_seconds']} s of pgbench"
    with_what = "of the fastest `pg_basebackup -Ft` with zstd alone"
    ratio = median(each[BASE]["wall"] / each[BASE_BY_HAND]["wall"] for each in back)
    ours = [each[who] for each in [*bases, *increments, *drains, *back] for who in (OURS, BASE, ALL) if who in each]
    return [
        _goal(f"base backup to disk, hashed, {with_what}", streamed(bases), "×", at_most=1.15),
        _goal(f"{after}, {with_what}", streamed(increments), "×", at_most=1.3),
        _goal(
            "recovery from S3 to accepting connections, of untarring the base and starting it", ratio, "×", at_most=2
        ),
        _goal(f"replay of {size:.1f} GB of WAL, of the same by `cp`", median(map(replay, back)), "×", at_most=1),
        _goal(f"draining WAL to S3; the server sends {sent:.0f} MB/s", rate, "MB/s", at_least=round(min(150, sent))),
        _goal("base backup, increment, draining, recovery: peak memory", max(peak(ours)), "MB", at_most=400),
        *_pgbackrest_goals(found["pgbackrest"]),
    ]


def _pgbackrest_goals(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Ours of pgBackRest's seconds, on the same server."""
    rounds = found.get("rounds", [])
    made = []
    for what, ours in ((FULL, "full"), (INCREMENTAL, "increment"), (RESTORE, "wall")):
        there = [each for each in rounds if ours in each[OURS]]
        ratio = median(each[OURS][ours] / each[what]["wall"] for each in there) if there else None
        made.append(_goal(f"{what}, of pgBackRest's seconds", ratio, "×", at_most=1))
    return made


def fastest(each: Pair) -> float:
    """Seconds of the fastest of PostgreSQL's own ways in a round."""
    return min(float(said["wall"]) for who, said in each.items() if who != OURS)


def peak(said: Sequence[Mapping[str, Any]]) -> list[float]:
    return [each["peak_bytes"] / MB for each in said]


def goals_table(goals: Sequence[Mapping[str, Any]]) -> list[str]:
    """The promises, in Markdown."""
    lines = ["| figure | measured | goal | |", "|---|--:|--:|---|"]
    return lines + [f"| {goal['figure']} | {_measured(goal)} | {goal['goal']} | {_verdict(goal)} |" for goal in goals]


def dump_seconds(pair: Pair, what: str = "ours_without_counts") -> float:
    """Our dump with compression and checksums, without what is around it."""
    return float(pair[what]["inside_dump"]["dump"])


def median(values: Any) -> float:
    return float(statistics.median(values))


def _goal(
    figure: str, measured: float | None, unit: str, *, at_most: float | None = None, at_least: float | None = None
) -> dict[str, Any]:
    reached = None
    if measured is not None:
        reached = measured <= at_most if at_most is not None else measured >= (at_least or 0)
    words = f"at most {at_most:g} {unit}" if at_most is not None else f"at least {at_least:g} {unit}"
    rounded = None if measured is None else round(measured, 2)
    return {"figure": figure, "measured": rounded, "unit": unit, "goal": words, "reached": reached}


def _measured(goal: Mapping[str, Any]) -> str:
    return "–" if goal["measured"] is None else f"{goal['measured']:.4g} {goal['unit']}"


def _verdict(goal: Mapping[str, Any]) -> str:
    return {True: "reached", False: "**not reached**", None: "not measured"}[goal["reached"]]
