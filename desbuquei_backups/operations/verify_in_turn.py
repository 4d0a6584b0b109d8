"""Verify the copies in S3 in turn: what was never verified and what was the longest ago first, within a budget."""

from collections.abc import Sequence
from dataclasses import dataclass

from desbuquei_backups.core.errors import NotFound
from desbuquei_backups.core.manifest import manifest_name
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import verified
from desbuquei_backups.operations.clusters import Clusters
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.verification import FileVerdict, Verified, verify_within
from desbuquei_backups.operations.verified import Oldest


@dataclass(frozen=True, slots=True)
class Turn:
    """What was verified, and how many were `left` for the next time. `oldest`: over all of them, by now.

    `faults` and `notes`: of which other databases and servers there are backups.
    """

    done: Sequence[Verified]
    left: int
    read_bytes: int
    oldest: Oldest
    faults: Sequence[str]
    notes: Sequence[str]


def verify_in_turn(site: Site, backup_ids: Sequence[str], *, budget: int | None) -> Turn:
    """Read those backups in S3 back, until the next one would make it more than `budget` bytes; at least one is read.

    What is frozen is not read, and costs nothing. One that was not whole when it was last verified comes first, as if
    it never was. StoreError if S3 cannot be asked: what was verified before that is remembered.
    """
    known = verified.last_whole(site)
    ordered = sorted(backup_ids, key=lambda each: (each in known, known.get(each), Slot.of_id(each).due, each))
    clusters, done, read = Clusters.of(site), list[Verified](), 0
    for backup_id in ordered:
        at_most = None if budget is None or not read else budget - read
        try:
            found = verify_within(site, backup_id, remote=True, at_most=at_most, clusters=clusters)
        except NotFound as error:  # it was listed: somebody deleted it meanwhile
            found = Verified(backup_id, "s3", [FileVerdict(manifest_name(backup_id), None, [error.what])])
        if found is None:
            break
        done.append(found)
        read += found.read_bytes
    oldest = verified.oldest(verified.last_whole(site), ordered)
    return Turn(done, len(ordered) - len(done), read, oldest, clusters.faults(), clusters.notes())
