"""The manifests in the bucket against what the chain of evidence says of them."""

from collections.abc import Iterator
from dataclasses import dataclass

from desbuquei_backups.core.evidence import NOTHING, Head, Kind, Link, sha256_of
from desbuquei_backups.core.evidence_walk import Break, Fault
from desbuquei_backups.core.manifest import manifest_name
from desbuquei_backups.core.retention import Place
from desbuquei_backups.core.slots import slot_of
from desbuquei_backups.operations import inventory
from desbuquei_backups.operations.evidence_head import links_after
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage.catalog import key_of
from desbuquei_backups.storage.in_order import read_in_order

_FIRST = Place.S3.value  # of the two places, that of the chain


@dataclass(slots=True)
class _Said:
    """What the chain says last of one backup: its manifest's SHA-256, and whether the bucket is to have it."""

    sequence: int
    sha256: str | None = None
    archived: bool = False
    pruned: bool = False


class ManifestsSaid:
    """Hears each link, and keeps of them what is said of backups that are in the bucket, or should be."""

    def __init__(self, site: Site) -> None:
        self._site, self._bucket = site, site.bucket
        self._there = {slot.backup_id: slot for slot in inventory.archived_slots(site.bucket)}
        self._said: dict[str, _Said] = {}
        self.count = 0

    def heard(self, link: Link) -> None:
        """Take note of what a link says, if it is of a manifest."""
        if link.backup_id is None:
            return
        said = self._said.get(link.backup_id) or _Said(link.sequence)
        sha256 = link.body.get("sha256")
        if link.kind in (Kind.MANIFEST, Kind.ARCHIVED, Kind.ADOPTED) and isinstance(sha256, str):
            archived = link.kind is not Kind.MANIFEST
            if archived or not said.archived:  # one that was sealed again after it was archived was never archived
                said = _Said(link.sequence, sha256, archived=archived)
        elif link.kind is Kind.PRUNED and link.body.get("place") == _FIRST:
            said = _Said(link.sequence, said.sha256, pruned=True)
        else:
            return
        if link.backup_id in self._there or said.archived:
            self._said[link.backup_id] = said
        else:
            self._said.pop(link.backup_id, None)

    def compared(self, head: Head | None, *, everything: bool, first: Link | None) -> list[Break]:
        """What the bucket's manifests are not, against all that was heard up to `head`; they are counted in `count`.

        `everything`: the whole chain was walked, so that it must know each of them; but for those that are older than
        its `first` link, where earlier ones are gone in their time.
        """
        begun = first.at if first is not None and first.sequence > 1 else None
        spoken_of = (each for each in self._there if everything or each in self._said)
        keys = {key_of(manifest_name(backup_id)): backup_id for backup_id in spoken_of}
        self.count = len(keys)
        self._site.progress.stage("comparing manifests", self.count, unit="manifests")
        breaks = []
        for key, content in read_in_order(self._bucket, keys, self._site.progress.advance):
            backup_id = keys[key]
            said, slot = self._said.get(backup_id), self._there[backup_id]
            if said is None:
                if everything and (begun is None or slot.due >= begun):
                    what = "the bucket has its manifest, and the chain does not know it"
                    breaks.append(Break(Fault.MANIFEST_UNKNOWN, what, backup_id=backup_id, key=key))
            elif said.pruned:
                what = f"link {said.sequence} says that it was pruned: the prune was cut off, or refused"
                breaks.append(Break(Fault.STILL_THERE, what, backup_id=backup_id, key=key))
            elif said.sha256 != sha256_of(content):
                what = f"its manifest in the bucket is not the one that link {said.sequence} speaks of"
                breaks.append(
                    Break(Fault.MANIFEST_ALTERED, what, backup_id=backup_id, key=key, expected_sha256=said.sha256)
                )
        breaks += self._gone()
        return list(self._still(breaks, head)) if breaks else []

    def _gone(self) -> Iterator[Break]:
        for backup_id, said in self._said.items():
            if said.archived and backup_id not in self._there and slot_of(backup_id) is not None:
                what = f"link {said.sequence} says that it is archived, none that it was pruned: its manifest is gone"
                yield Break(Fault.MANIFEST_GONE, what, backup_id=backup_id, key=key_of(manifest_name(backup_id)))

    def _still(self, breaks: list[Break], head: Head | None) -> Iterator[Break]:
        """Those that are so still: backups may have been archived and pruned while the chain was walked."""
        pruned, known = set[str | None](), set[str | None]()
        for link in links_after(self._bucket, head or NOTHING):
            if link.kind is not Kind.PRUNED:
                known.add(link.backup_id)
            elif link.body.get("place") == _FIRST:
                pruned.add(link.backup_id)
        for each in breaks:
            there = self._bucket.head(each.key or "") is not None
            if each.fault is Fault.MANIFEST_GONE:
                if not there and each.backup_id not in pruned:
                    yield each
            elif there and (each.fault is not Fault.MANIFEST_UNKNOWN or each.backup_id not in known):
                yield each
