"""`python -m bench` measures all; `catalog`, `audit`, `chain`, `proof` and so on a part; `table` prints the last.

Of `recovery`, `--scale 4 --rounds 1 --wal-mb 200 --seconds 3` is a trial that takes a minute; what is given as it
stands takes about 15 minutes and 20 GB of disk. It needs servers of its own: it runs on this machine alone.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from bench import (
    audit_year,
    catalog,
    chain_year,
    goals,
    pgbackrest,
    procedures,
    promotion,
    proof,
    recovery,
    report,
    ticks,
    vault,
)
from bench.databases import Size, made
from bench.place import ROOT, Place, opened
from bench.procedures import Measured
from desbuquei_backups.postgres import connection as pg

_RESULTS = Path(__file__).parent / "results.json"
_LARGE, _SMALL = Size(60, 1_500_000), Size(4, 110_000)
_Procedure = Callable[[Place, str, str], Measured]


@click.group(invoke_without_command=True)
@click.option("--pairs", default=3, show_default=True, type=click.IntRange(1), help="How often each is measured.")
@click.option("--scale", default=_LARGE.scale, show_default=True, help="pgbench's scale; 25,000 orders for each.")
@click.option("--home", type=Path, default=ROOT / ".desbuquei" / "bench", help="Where servers and files live.")
@click.option("--name", default="bench", show_default=True, help="Begins the databases' names and the S3 prefix.")
@click.option("--no-dagster", is_flag=True, help="Leave Dagster's fixed cost out.")
@click.pass_context
def main(context: click.Context, pairs: int, scale: int, home: Path, name: str, no_dagster: bool) -> None:
    """Measure the guide's procedure against ours, in turn. Takes about 25 minutes and 25 GB of disk."""
    context.obj = home.absolute(), name
    if context.invoked_subcommand:
        return
    size = Size(scale, scale * 25_000)
    with opened(home.absolute(), name) as place:
        click.echo(f"Making the databases: {size}; {_SMALL}")
        databases = {"large": made(place, "large", size), "small": made(place, "small", _SMALL)}
        if not no_dagster:
            procedures.prepare_dagster(place, databases["small"])
        measured = [_pair(place, databases, number, dagster=not no_dagster) for number in range(1, pairs + 1)]
        with pg.connect(place.maintenance_url, setting="BENCH_DATABASE_URL") as connection:
            server = str(connection.info.parameter_status("server_version"))
        click.echo(f"Looking at {catalog.HOURLIES:,} backups")
        looked = catalog.measured(place)
        click.echo(f"Reporting on {audit_year.HOURS:,} hourlies")
        audited = _audited()
        click.echo("Promoting")
        promoted = promotion.measured(place, databases["large"])
        click.echo("Proving")
        proven = proof.measured(place, databases["large"])
        click.echo("Sending and reading a large file")
        sent = vault.measured(place)
        click.echo("Taking base backups, draining WAL and recovering")
        back = {**recovery.measured(place, size), "pgbackrest": pgbackrest.measured(place, size)}
    sizes = {"large": str(size), "small": str(_SMALL)}
    found = report.results(measured, sizes, server, looked, promoted, sent, back, audited, proven)
    _RESULTS.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    click.echo("\n" + report.table(found))


def _print(measured: Mapping[str, Any], table: Sequence[str]) -> None:
    """What was measured, whole, and then as a table."""
    click.echo(json.dumps(measured, indent=2, ensure_ascii=False))
    click.echo("\n" + "\n".join(table))


@main.command(name="catalog")
@click.pass_obj
def only_catalog(home_and_name: tuple[Path, str]) -> None:
    """Measure only how many backups are looked at, and the loading; prints it, and writes nothing down."""
    with opened(*home_and_name) as place:
        looked = catalog.measured(place)
    _print(looked, goals.goals_table(goals.catalog_goals(looked)))


@main.command(name="audit")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="How often it is measured.")
def only_audit(rounds: int) -> None:
    """Measure only an auditor's report over a year; prints it, and writes nothing down."""
    audited = _audited(rounds)
    _print(audited, goals.goals_table(goals.audit_goals(audited)))


@main.command(name="chain")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="How often it is measured.")
@click.pass_obj
def only_chain(home_and_name: tuple[Path, str], rounds: int) -> None:
    """Measure only the walk of a year's chain of evidence; prints it, and writes nothing down. Takes some minutes."""
    with opened(*home_and_name) as place:
        walked = chain_year.measured(place, rounds=rounds)
    _print(walked, goals.goals_table(goals.chain_goals(walked)))


def _audited(rounds: int = 3) -> dict[str, Any]:
    """Processes of their own."""
    command = [sys.executable, "-m", "bench.child", "audit"]
    done = [subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True) for _ in range(rounds)]
    runs = [json.loads(each.stdout.splitlines()[-1]) for each in done]
    return {"slots": audit_year.HOURS, "check_results": audit_year.CHECK_RESULTS, "runs": runs}


@main.command(name="ticks")
def only_ticks() -> None:
    """Measure only the sensor's ticks over a year of runs; prints it, and writes nothing down."""
    found = ticks.measured()
    _print(
        {name: found[name] for name in ("databases", "runs", "lines", "unfinished")},
        goals.goals_table(goals.tick_goals(found)),
    )


@main.command(name="promotion")
@click.option("--scale", default=_SMALL.scale, show_default=True, help="pgbench's scale; 25,000 orders for each.")
@click.pass_obj
def only_promotion(home_and_name: tuple[Path, str], scale: int) -> None:
    """Measure only what a promotion moves; prints it, and writes nothing down."""
    with opened(*home_and_name) as place:
        promoted = promotion.measured(place, made(place, "promoted", Size(scale, scale * 25_000)))
    _print(promoted, goals.goals_table(goals.promotion_goals(promoted)))


@main.command(name="proof")
@click.option("--scale", default=_LARGE.scale, show_default=True, help="pgbench's scale; 25,000 orders for each.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="How often it is measured.")
@click.pass_obj
def only_proof(home_and_name: tuple[Path, str], scale: int, rounds: int) -> None:
    """Measure only what a restored copy's proof costs; prints it, and writes nothing down."""
    with opened(*home_and_name) as place:
        proven = proof.measured(place, made(place, "proven", Size(scale, scale * 25_000)), rounds=rounds)
    _print(proven, goals.goals_table(goals.proof_goals(proven)))


@main.command(name="vault")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="How often each is measured.")
@click.pass_obj
def only_vault(home_and_name: tuple[Path, str], rounds: int) -> None:
    """Measure only upload and download, beside others; prints it, and writes nothing down."""
    with opened(*home_and_name) as place:
        sent = vault.measured(place, rounds=rounds)
    _print(sent, [*report.vault_table(sent), "", *goals.goals_table(goals.vault_goals(sent))])


@main.command(name="recovery")
@click.option("--scale", default=_LARGE.scale, show_default=True, help="pgbench's scale; 25,000 orders for each.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="How often each is measured.")
@click.option("--wal-mb", default=2048, show_default=True, type=click.IntRange(100), help="WAL to drain and to replay.")
@click.option("--seconds", default=20, show_default=True, type=click.IntRange(1), help="Of pgbench, for an increment.")
@click.option("--no-pgbackrest", is_flag=True, help="Leave pgBackRest out.")
@click.pass_obj
def only_recovery(
    home_and_name: tuple[Path, str], scale: int, rounds: int, wal_mb: int, seconds: int, no_pgbackrest: bool
) -> None:
    """Measure only base backups, WAL and recovery; prints it, and writes nothing down."""
    size = Size(scale, scale * 25_000)
    with opened(*home_and_name) as place:
        back = recovery.measured(place, size, rounds=rounds, wal_bytes=wal_mb << 20, seconds=seconds)
        back["pgbackrest"] = (
            {"version": None} if no_pgbackrest else pgbackrest.measured(place, size, rounds=rounds, seconds=seconds)
        )
    _print(back, [*report.recovery_table(back), "", *goals.goals_table(goals.recovery_goals(back))])


@main.command()
def table() -> None:
    """Print the README's table."""
    click.echo(report.table(json.loads(_RESULTS.read_text(encoding="utf-8"))))


def _pair(place: Place, databases: dict[str, str], number: int, *, dagster: bool) -> dict[str, Any]:
    """Each procedure once. Every other pair runs backwards, so that none always follows the same one."""
    steps: list[tuple[str, _Procedure, str]] = [
        ("guide", procedures.guide, "large"),
        ("ours", procedures.ours, "large"),
        ("pg_dump", procedures.bare_pg_dump, "large"),
        ("ours_without_counts", procedures.ours_without_counts, "large"),
        ("ours_encrypted", procedures.ours_encrypted, "large"),
        ("ours_small", procedures.ours, "small"),
    ]
    if dagster:
        steps.append(("ours_in_dagster", procedures.ours_in_dagster, "large"))
    if number % 2 == 0:
        steps.reverse()
    pair = {}
    for what, procedure, which in steps:
        done = procedure(place, databases[which], f"{number}-{what}")
        click.echo(f"pair {number}  {what:<20} {done.wall:7.2f} s")
        pair[what] = done.to_json()
    return pair


if __name__ == "__main__":
    main()
