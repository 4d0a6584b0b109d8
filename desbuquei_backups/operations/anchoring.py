"""Carry the chain's head away from this host, so that a cut-off or rewritten end is found."""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from desbuquei_backups.core.anchors import Anchor, anchor_of
from desbuquei_backups.core.errors import ConfigurationError, NotFound, ToolFailed
from desbuquei_backups.core.evidence import NOTHING
from desbuquei_backups.operations.evidence_copies import copy_to_second
from desbuquei_backups.operations.evidence_head import WRITTEN, find, newer, recall
from desbuquei_backups.operations.site import Site

_SECONDS = 120
_LONGEST = 300
_SETTING = "[evidence] anchor_command"


@dataclass(frozen=True, slots=True)
class Anchored:
    """The head that was told, and where to; `copied`: how many links the second place got just now."""

    anchor: Anchor
    where: Sequence[str]
    copied: int = 0


def head(site: Site) -> Anchor:
    """The chain's head, by the bucket; or the one that was written from here, if the bucket has lost it since.

    NotFound if nothing was ever said; StoreError.
    """
    found = newer(site.bucket, recall(site, WRITTEN) or find(site.bucket)).head
    if found == NOTHING:
        raise NotFound("the chain of evidence is empty", remedy="the first backup begins it")
    return anchor_of(found, site.policy.database, site.now())


def anchor(site: Site) -> Anchored:
    """Tell the head to the policy's command, and copy the chain to the second place, as far as there are these.

    ToolFailed if the command fails or hangs; IntegrityError if the second place has other links; StoreError.
    """
    told, where = head(site), list[str]()
    if (command := site.policy.evidence.anchor_command) is not None:
        run_command(command, told.line())
        where.append(command[0])
    copied = copy_to_second(site)
    if site.second is not None:
        where.append(site.second.bucket.uri(""))
    return Anchored(told, where, copied)


def run_command(command: Sequence[str], line: str, *, seconds: float = _SECONDS) -> None:
    """Run the command with the line on its stdin; ConfigurationError if it is not there, ToolFailed if it fails."""
    try:
        done = subprocess.run(command, input=f"{line}\n", text=True, capture_output=True, check=False, timeout=seconds)
    except (FileNotFoundError, PermissionError) as error:
        raise ConfigurationError(
            f"{command[0]}, which {_SETTING} names, cannot be run: {error.strerror}", remedy="correct the policy"
        ) from None
    except subprocess.TimeoutExpired:
        raise ToolFailed(
            f"{command[0]} took longer than {seconds:.0f} s to take the anchor", remedy="see what it waits for"
        ) from None
    if done.returncode != 0:
        last = re.sub(r"://\S*@", "://***@", (done.stderr.strip().splitlines() or [""])[-1])[:_LONGEST]
        raise ToolFailed(
            f"{command[0]} did not take the anchor: exit status {done.returncode}{': ' if last else ''}{last}",
            remedy=f"try it by hand: desbuquei audit anchor | {command[0]} …",
        )
