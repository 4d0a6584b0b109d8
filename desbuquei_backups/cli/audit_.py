"""`desbuquei audit`: whether anything that was ever said of a backup was changed, lost or left out since."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from desbuquei_backups.cli.database import all_databases_option, database_option, in_turn
from desbuquei_backups.cli.output import console, json_option, print_json
from desbuquei_backups.cli.site import open_site

if TYPE_CHECKING:
    from desbuquei_backups.core.anchors import Anchor
    from desbuquei_backups.operations.chain_audit import Audited

_STDIN = "-"
_SECOND = "second"


@click.group()
def command() -> None:
    """The chain of evidence: what was sealed, archived, checked, verified, held and pruned, each link with the SHA-256
    of the one before."""


@command.command()
@click.option(
    "--anchor",
    "anchors",
    multiple=True,
    metavar="WHERE",
    help="A file with anchors, - for stdin, or the word second: the second place's copy of the chain.",
)
@click.option(
    "--public-key",
    "key_files",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A key that may have signed, in PEM; each, if there were several. [default: those in DESBUQUEI_PUBLIC_KEYS]",
)
@click.option("--from", "start", type=click.IntRange(1), default=1, metavar="N", help="Begin with this link.")
@all_databases_option
@json_option
def verify(*, anchors: tuple[str, ...], key_files: tuple[Path, ...], start: int, as_json: bool) -> int:
    """Walk the chain; compare it with the bucket.

    Nothing but the bucket is needed. Each break is named: which link, what is wrong, of which backup. That the end was
    cut off, only an anchor tells. With a public key, links that are signed by another key or wrongly are named, and the
    first that is unsigned after signing began. Exit status 1 if anything is broken.
    """
    from desbuquei_backups.storage.signing_keys import read_public_keys

    keys = {key_id: key for path in key_files for key_id, key in read_public_keys(path).items()} if key_files else None
    texts = [(where, anchors_text(where)) for where in anchors if where != _SECOND]

    def one() -> int:
        from desbuquei_backups.operations.chain_audit import audit

        with open_site() as site:
            given = [each for where, text in texts for each in anchors_in(text, site.policy.database, where=where)]
            done = audit(site, anchors=given, second=_SECOND in anchors, start=start, keys=keys)
        if as_json:
            print_json(_document(done))
        else:
            _print(done)
        return int(not done.whole)

    return in_turn(one, as_json=as_json)


@command.command()
@click.option("--to", metavar="FILE", help="Add the line to this file, instead of printing it; - prints it.")
@click.option("--run", is_flag=True, help="Run the policy's anchor_command with it, and fill the second place's chain.")
@all_databases_option
@json_option
def anchor(*, to: str | None, run: bool, as_json: bool) -> int:
    """Print the chain's head as one line of JSON.

    Keep it where the backup host cannot reach it.
    """
    return in_turn(lambda: _anchor(to, run=run, as_json=as_json), as_json=as_json, headed=False)


def _anchor(to: str | None, *, run: bool, as_json: bool) -> int:
    from desbuquei_backups.operations.anchoring import Anchored, head
    from desbuquei_backups.operations.anchoring import anchor as carry

    with open_site(bars=False) as site:
        done = carry(site) if run else Anchored(head(site), [])
    line = done.anchor.line()
    if to is not None and to != _STDIN:
        _add(Path(to), line)
    if as_json:
        print_json({**done.anchor.model_dump(mode="json"), "told": list(done.where), "copied": done.copied})
    elif to in (None, _STDIN):
        click.echo(line)
    return 0


@command.command()
@click.argument("backup_ids", nargs=-1, metavar="[ID]...")
@click.option("--reason", required=True, metavar="TEXT", help="Why they are right.")
@click.option("--operator", metavar="NAME", help="Who says so. [default: DESBUQUEI_OPERATOR, or your login name]")
@database_option
@json_option
def adopt(*, backup_ids: tuple[str, ...], reason: str, operator: str | None, as_json: bool) -> int:
    """Let the chain know backups that it does not.

    All of them, unless some are named: such are backups that are older than the chain, or whose machine was lost before
    it could say so.
    """
    from desbuquei_backups.cli.asking import asked_by
    from desbuquei_backups.operations.adopting import adopt as adopted_by

    with open_site() as site:
        done = adopted_by(site, backup_ids, asked_by(operator, reason))
    if as_json:
        print_json({"adopted": done})
    else:
        console().print("\n".join(f"{each} is adopted" for each in done) or "The chain knows all there are.")
    return 0


def anchors_text(where: str) -> str:
    """What is in a file of anchors, or on stdin for `-`; ConfigurationError if it cannot be read."""
    from desbuquei_backups.core.errors import ConfigurationError

    try:
        return sys.stdin.read() if where == _STDIN else Path(where).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the anchors in {where} cannot be read: {error}", remedy="correct --anchor") from None


def anchors_in(text: str, database: str, *, where: str) -> "list[Anchor]":
    """The anchors of one database in such a text; ConfigurationError if there is none, or a line is none."""
    from desbuquei_backups.core.anchors import parse_anchors

    return parse_anchors(text, database, where="stdin" if where == _STDIN else where)


def _add(path: Path, line: str) -> None:
    from desbuquei_backups.storage.disk import disk_errors

    with disk_errors(path), path.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def _print(done: "Audited") -> None:
    from rich.markup import escape

    out = console()
    for each in done.breaks:
        out.print(f"[red]✗[/] {escape(each.said())}", soft_wrap=True)
    if done.head is None:
        out.print("The chain of evidence is empty." if done.start == 1 else f"There is no link from {done.start} on.")
    else:
        first = f", the first of {done.first.at:%Y-%m-%d}" if done.first is not None else ""
        out.print(f"{_counted(done.links, 'link')}{first}; the head is link {done.head.sequence},\n{done.head.sha256}")
    if done.keys:
        since = f", from link {done.signed_since} on" if done.signed_since is not None else ""
        out.print(f"{_counted(done.signed, 'link')} signed{since}; {_counted(done.keys, 'key')} may sign")
    compared = [_counted(done.manifests, "manifest")]
    compared += [_counted(done.checks, "file") + " of check results"] * bool(done.checks)
    compared += [_counted(done.proofs, "proof")] * bool(done.proofs)
    compared += [_counted(done.drills, "drill")] * bool(done.drills)
    compared += [_counted(done.anchors, "anchor")] * bool(done.anchors)
    compared += [_counted(done.copies, "link") + " of the second place"] * bool(done.copies)
    verdict = f"[bold red]{len(done.breaks):,} not as they were[/]" if done.breaks else "[green]unbroken[/]"
    out.print(f"{verdict}; compared with {', '.join(compared)}")
    if not done.anchors and not done.copies:
        out.print("[dim]there was no anchor to compare with: links cut off at the end would not be missed[/]")


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _document(done: "Audited") -> dict[str, Any]:
    return {
        "unbroken": done.whole,
        "from": done.start,
        "links": done.links,
        "first": done.first.sequence if done.first is not None else None,
        "head": {"sequence": done.head.sequence, "sha256": done.head.sha256} if done.head is not None else None,
        "manifests": done.manifests,
        "checks": done.checks,
        "proofs": done.proofs,
        "drills": done.drills,
        "anchors": done.anchors,
        "second_place_links": done.copies,
        "keys": done.keys,
        "signed": done.signed,
        "signed_since": done.signed_since,
        "breaks": [
            {
                "fault": each.fault.value,
                "what": each.what,
                "sequence": each.sequence,
                "last": each.last,
                "backup_id": each.backup_id,
                "key": each.key,
                "expected_sha256": each.expected_sha256,
                "whole_version": each.whole_version,
            }
            for each in done.breaks
        ],
    }
