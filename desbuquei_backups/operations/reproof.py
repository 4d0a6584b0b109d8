"""Prove the oldest kept copy of each longer tier when its turn comes; in two runs where it must thaw first."""

from collections.abc import Iterator, Mapping
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
    """What became of one that is due: it was proven, it is being thawed, or neither can be.

    `still`: it is not due, and was not what the source was when it was restored last; what was wrong then.
    """

    due: Due
    proof: Proof | None = None
    thaw: Thaw | None = None
    error: BackupError | None = None
    still: str | None = None


@dataclass(frozen=True, slots=True)
class _Restored:
    """That a copy was restored from its own object; `wrong`: what was not the source's, if anything was."""

    at: datetime
    wrong: str | None


def what_is_due(site: Site) -> list[Due]:
    """The copies to be restored once more, by what the bucket has, and the proofs in it; StoreError."""
    return _due(site, _kept(site))


def prove_due(site: Site, *, judged_by: Judge = unjudged) -> Iterator[Done]:
    """Restore each that is due and can be read; ask for the others to be thawed.

    A copy that cannot be restored keeps no other from it. What may pass by itself is raised: an outage, Busy. One that
    was not the source's is not restored again before its turn, and named every time until somebody proves or prunes it.
    """
    kept = _kept(site)
    due = _due(site, kept)
    for each in due:
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
    turns = {each.slot for each in due}
    for slot, restored in kept.items():
        if restored is not None and restored.wrong is not None and slot not in turns:
            yield Done(Due(slot, restored.at), still=restored.wrong)


def _due(site: Site, kept: Mapping[Slot, _Restored | None]) -> list[Due]:
    last: dict[str, datetime] = {}
    for slot, restored in kept.items():
        if restored is not None:
            last[slot.tier] = max(restored.at, last.get(slot.tier, restored.at))
    return reproof.due(kept, last, site.policy.reproof, site.now())


def _kept(site: Site) -> dict[Slot, _Restored | None]:
    """Each copy of a longer tier, and what was found when it was last restored from its own object; StoreError."""
    return {
        slot: _last(site, slot, archive)
        for tier in reproof.longer_tiers(site.policy)
        for slot, archive in sorted(archived(site.bucket, tier).items())
    }


def _last(site: Site, slot: Slot, archive: Archive) -> _Restored | None:
    """By the newest such proof; one that took another's over is none."""
    for key in sorted(archive.proofs, reverse=True):  # named after their moments
        proof = proofs.read(site.bucket, key)
        if proof is not None and proof.restored == slot.backup_id and "restore" in proof.seconds:
            return _Restored(proof.proven_at, str(proof.recorded()["error"]) if proof.failed else None)
    return None
