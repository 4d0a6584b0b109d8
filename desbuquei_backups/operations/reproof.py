"""Prove the oldest kept copy of each longer tier when its turn comes; in two runs where it must thaw first."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from desbuquei_backups.core import reproof
from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.core.reproof import Due
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.thawing import Speed, State, Thaw
from desbuquei_backups.operations import proofs
from desbuquei_backups.operations.answering import Judge, unjudged
from desbuquei_backups.operations.equal_copy import Proof
from desbuquei_backups.operations.remote_inventory import archived
from desbuquei_backups.operations.restored_copy import prove
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.thaw import thaw
from desbuquei_backups.storage.archives import Archive

_DAYS = 7  # for so long what was thawed can be read: the next run, if they are daily, finds it


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one that is due: it was proven, it is being thawed, or neither can be."""

    due: Due
    proof: Proof | None = None
    thaw: Thaw | None = None
    error: BackupError | None = None


def what_is_due(site: Site) -> list[Due]:
    """The copies to be restored once more, by what the bucket has, and the proofs in it; StoreError."""
    there = {tier: archived(site.bucket, tier) for tier in reproof.longer_tiers(site.policy)}
    restored = {tier: last for tier, found in there.items() if (last := _last(site, found)) is not None}
    return reproof.due([slot for found in there.values() for slot in found], restored, site.policy.reproof, site.now())


def prove_due(site: Site, *, judged_by: Judge = unjudged) -> Iterator[Done]:
    """Restore each that is due and can be read; ask for the others to be thawed.

    A copy that cannot be restored keeps no other from it. What may pass by itself is raised: an outage, Busy.
    """
    for each in what_is_due(site):
        try:
            thawed = thaw(site, each.slot.backup_id, days=_DAYS, speed=Speed.BULK)
            if thawed.state is State.THAWING:
                yield Done(each, thaw=thawed)
            else:
                yield Done(each, proof=prove(site, each.slot, judged_by=judged_by, anew=True))
        except BackupError as error:
            if not error.permanent:
                raise
            yield Done(each, error=error)


def _last(site: Site, found: dict[Slot, Archive]) -> datetime | None:
    """When one of these was last restored from its own object; a proof that took another's over is none."""
    keys = {key: slot.backup_id for slot, archive in found.items() for key in archive.proofs}
    newest: datetime | None = None
    for key, backup_id in keys.items():
        proof = proofs.read(site.bucket, key)
        if proof is not None and proof.restored == backup_id and "restore" in proof.seconds:
            newest = max(proof.proven_at, newest or proof.proven_at)
    return newest
