"""What a run did and proved, as a table for a person or as JSON."""

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from desbuquei_backups.cli.output import console
from desbuquei_backups.cli.prove_ import print_kept
from desbuquei_backups.defs.execution import Check, Outcome
from desbuquei_backups.operations.settings import Settings

_MOST_LETTERS = 100
_MOST_DIFFERENCES = 5


def document(outcome: Outcome, settings: Settings) -> dict[str, Any]:
    """The outcome as one JSON document."""
    return {
        "backup_id": outcome.slot.backup_id,
        "true": outcome.true,
        "run_id": outcome.run_id,
        "folder": str(settings.folder),
        "steps": [{"asset": step.asset, "seconds": step.seconds, "metadata": step.metadata} for step in outcome.steps],
        "checks": [
            {
                "asset": c.asset,
                "check": c.name,
                "verdict": _verdict(c),
                "description": c.description,
                "differences": list(c.differences),
            }
            for c in outcome.checks
        ],
        "errors": outcome.errors,
    }


def print_outcome(outcome: Outcome, settings: Settings, *, ui: str | None = None) -> None:
    """Print what was done and proven, what was left out and why, and where everything is."""
    out = console()
    made = {step.asset: step.metadata for step in outcome.steps}
    seconds = {step.asset: step.seconds for step in outcome.steps}
    if outcome.true and not outcome.steps:
        word = "[bold yellow]left out[/], nothing was taken"
    elif not outcome.true:
        word = "[bold red]failed or found untrue[/]"
    elif all(check.passed for check in outcome.checks):
        word = "[bold green]done and proven[/]"
    else:
        word = "[bold yellow]done, and proven but for what is named below[/]"
    out.print(f"\n[bold]{outcome.slot.backup_id}[/]: {word}")
    if outcome.steps:
        out.print(_stages(made, seconds))
    if outcome.checks:
        out.print(_checks(outcome))
    for check in outcome.checks:
        for difference in check.differences[:_MOST_DIFFERENCES]:
            out.print(Text(f"{check.name}: {difference}", style="red" if check.untrue else "yellow"))
        if (more := len(check.differences) - _MOST_DIFFERENCES) > 0:
            out.print(Text(f"{check.name}: and {more:,} more, in Dagster", style="red"))
    for left in made.get("dump", {}).get("left out", []):
        out.print(f"left out: {left['kind']} {escape(left['what'])}: {escape(left['why'])}")
    for lacking in made.get("restored_copy", {}).get("the server lacks", []):
        out.print(f"restored around: {escape(lacking['why'])}")
    for error in outcome.errors:
        out.print(Text(f"✗ {error}", style="red"), soft_wrap=True)
    if "dump" in made:
        out.print(f"files: {escape(str(settings.folder))}", soft_wrap=True)
    if "s3_archive" in made:
        out.print(f"S3:    {escape(str(made['s3_archive']['dump']))}", soft_wrap=True)
    if "kept" in (copy := made.get("restored_copy", {})):
        print_kept(out, copy["kept at"], copy["kept"])
    if ui:
        out.print(f"UI:    {ui}", soft_wrap=True)


def _stages(made: Mapping[str, Mapping[str, Any]], seconds: Mapping[str, float]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("stage", overflow="fold")
    table.add_column("seconds", justify="right")
    table.add_column("what was done", overflow="fold")
    for asset, metadata in made.items():
        table.add_row(asset.replace("_", " "), f"{seconds.get(asset, 0):.1f}", _said(asset, metadata))
    return table


def _said(asset: str, metadata: Mapping[str, Any]) -> str:
    again = " (was there; verified again)" if metadata.get("reused") else ""
    if str(metadata.get("verified", "")).startswith("S3"):
        again = " (was there, in S3)"
    if "restore point" in metadata:
        return f"WAL up to {metadata['restore point']}; beside it: {metadata['copied beside it']}{again}"
    if asset == "dump":
        size, plain = metadata["size (bytes)"], metadata["before compression (bytes)"]
        counts = f"{metadata['tables']} tables, {metadata['rows']:,} rows"
        return f"{plain / 1e6:,.1f} MB of SQL in {size / 1e6:,.1f} MB; {counts}{again}"
    if asset == "base_backup":
        size, plain = metadata["size (bytes)"], metadata["unpacked (bytes)"]
        return f"{plain / 1e6:,.1f} MB of cluster in {size / 1e6:,.1f} MB{again}"
    if asset == "checksum_manifest":
        done = "described" if again.endswith("in S3)") else "read back, MD5 and SHA-256 equal"
        return f"{len(metadata['files'])} files {done}{again}"
    if asset == "s3_archive":
        return f"{metadata['size (bytes)'] / 1e6:,.1f} MB in {len(metadata['objects'])} objects{again}"
    if asset == "restored_copy":
        rows = f"{metadata['tables compared']} tables and {metadata['rows compared']:,} rows"
        return f"restored {metadata['restored']}, on {metadata['restored on']}; {rows} compared: {metadata['verdict']}"
    return ""


def _checks(outcome: Outcome) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("check", overflow="fold")
    table.add_column("verdict", overflow="fold")
    for check in outcome.checks:
        style = {"true": "green", "untrue": "red"}.get(_verdict(check), "yellow")
        mark = {"true": "✓", "untrue": "✗"}.get(_verdict(check), "?")
        said = check.description
        if len(said) > _MOST_LETTERS:
            said = "see the error below" if check.untrue and outcome.errors else f"{said[: _MOST_LETTERS - 1]}…"
        table.add_row(Text(f"{mark} {check.name}", style=style), said)
    return table


def _verdict(check: Check) -> str:
    if check.passed or check.untrue:
        return "true" if check.passed else "untrue"
    return "warning" if check.differences else "could not be compared"
