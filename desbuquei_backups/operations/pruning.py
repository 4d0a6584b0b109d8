"""What retention says of every backup there is: gathered from the records, the folder and one listing of the bucket."""

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from desbuquei_backups.core.errors import IntegrityError
from desbuquei_backups.core.manifest import manifest_name
from desbuquei_backups.core.retention import Backup, Place, Verdict, verdicts
from desbuquei_backups.core.slots import Slot, slot_of
from desbuquei_backups.operations import holds, inventory, metadata_file
from desbuquei_backups.operations.folder_names import names
from desbuquei_backups.operations.held import instant
from desbuquei_backups.operations.metadata_file import Line
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage import catalog
from desbuquei_backups.storage.catalog import key_of

MARK = ".pruned.json"  # written before the first object of a backup is deleted, and deleted last
_MANIFEST = manifest_name("")
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Planned:
    """A verdict in one place. `size` is bytes that go, as far as the records say.

    `needs`: the backups without which it cannot be restored. `unfinished`: a prune of it was cut off.
    """

    place: Place
    verdict: Verdict
    size: int | None
    needs: Sequence[Slot] = ()
    unfinished: bool = False

    @property
    def backup_id(self) -> str:
        return self.verdict.backup_id

    @property
    def keep(self) -> bool:
        return self.verdict.keep


@dataclass(slots=True)
class InBucket:
    """The bucket's keys, told apart by backup."""

    sealed: set[Slot] = field(default_factory=set)
    held: set[Slot] = field(default_factory=set)
    marked: set[Slot] = field(default_factory=set)


def plan(site: Site) -> list[Planned]:
    """A verdict on each backup on disk, then in S3; nothing is changed. StoreError if S3 cannot be asked."""
    lines = _lines(site)
    on_disk = plan_disk(site, lines) if site.first is None else []
    return [*on_disk, *plan_s3(site, {each.verdict.slot for each in on_disk if each.keep}, lines)]


def plan_disk(site: Site, lines: Mapping[Slot, Line] | None = None) -> list[Planned]:
    """Of the tiers that are kept on disk: those of S3 alone leave it by themselves once they are archived."""
    lines = _lines(site) if lines is None else lines
    there = names(site.settings.folder)
    slots = {slot for name in there.dumps if (slot := slot_of(name.partition(".")[0])) is not None}
    on_disk = {slot for slot in slots if _kept_on_disk(site, slot)}
    # What stands for an earlier dump has no file of its own, and needs that one's.
    on_disk |= {slot for slot, line in lines.items() if line.get("same_as") and slot.backup_id in there.sealed}
    backups = [_backup(slot, lines.get(slot, {}), sealed=slot.backup_id in there.sealed) for slot in on_disk]
    found = verdicts(backups, site.policy, site.now(), Place.DISK)
    return [Planned(Place.DISK, each, _size(lines.get(each.slot))) for each in found if each.slot in slots]


def plan_s3(site: Site, on_disk: Collection[Slot], lines: Mapping[Slot, Line] | None = None) -> list[Planned]:
    """By one listing of the bucket. Of what is to go, the store is asked whether it is locked; nothing goes where S3 is
    pruned from elsewhere.

    `on_disk`: what stays there, which is never all that there is of a backup.
    """
    lines = _lines(site) if lines is None else lines
    there = look(site)
    lines = {**lines, **_of_manifests(site, [slot for slot in there.sealed if slot not in lines])}
    backups = {
        slot: _backup(
            slot,
            lines[slot],
            sealed=True,
            protected=holds.reason(site, slot.backup_id) if slot in there.held else None,
        )
        for slot in there.sealed
    }
    if not site.settings.prunes_s3:
        left = [_left(each) for each in verdicts(backups.values(), site.policy, site.now(), Place.S3)]
        return [Planned(Place.S3, each, _size(lines.get(each.slot))) for each in left]
    found = _unlocked(site, backups, on_disk)
    unfinished = [
        Verdict(slot, keep=False, reason="its pruning was cut off") for slot in sorted(there.marked - there.sealed)
    ]
    return [Planned(Place.S3, each, _size(lines.get(each.slot)), needs=backups[each.slot].needs) for each in found] + [
        Planned(Place.S3, each, _size(lines.get(each.slot)), unfinished=True) for each in unfinished
    ]


def _left(verdict: Verdict) -> Verdict:
    return verdict if verdict.keep else replace(verdict, keep=True, reason=f"{verdict.reason}; pruned from elsewhere")


def _unlocked(site: Site, backups: dict[Slot, Backup], on_disk: Collection[Slot]) -> list[Verdict]:
    """The verdicts, of which none that says `go` is of a locked backup. What is locked may keep others, too."""
    asked: set[Slot] = set()
    while True:
        found = verdicts(backups.values(), site.policy, site.now(), Place.S3)
        going = [each.slot for each in found if not each.keep and each.slot not in asked]
        asked.update(going)
        locks = {
            slot: why
            for slot in going
            if (why := "it is still on disk" if slot in on_disk else lock_of(site, slot)) is not None
        }
        if not locks:
            return found
        backups |= {slot: replace(backups[slot], protected=why) for slot, why in locks.items()}


def lock_of(site: Site, slot: Slot) -> str | None:
    """Why the store would not delete the backup, by its dump and its manifest; None if it would."""
    now = site.now()
    for name in (manifest_name(slot.backup_id), f"{slot.backup_id}.sql.gz", f"{slot.backup_id}.sql.gz.age"):
        found = site.bucket.head(key_of(name))
        if found is not None and found.legal_hold:
            return "under a legal hold of the bucket's"
        if found is not None and found.locked_until is not None and found.locked_until > now:
            return f"locked until {found.locked_until:%Y-%m-%d}"
    return None


def look(site: Site) -> InBucket:
    """One pass over the keys of the tiers' folders; other databases' below the same prefix are left out."""
    found = InBucket()
    kinds: Sequence[tuple[str, set[Slot]]] = (
        (_MANIFEST, found.sealed),
        (holds.SUFFIX, found.held),
        (MARK, found.marked),
    )
    for key in (key for folder in inventory.tier_folders(site.bucket) for key in site.bucket.keys(folder)):
        tier, _, name = key.partition("/")
        for suffix, slots in kinds:
            if name.endswith(suffix):
                slot = slot_of(name.removesuffix(suffix))
                if slot is not None and slot.tier == tier:
                    slots.add(slot)
    return found


def _lines(site: Site) -> dict[Slot, Line]:
    found = {}
    wanted = ("backup_timestamp", "status", "size", "total_size", "same_as", "parent", "s3_uri")
    for line in metadata_file.lines(site.settings.folder):
        if (slot := slot_of(line["backup_id"])) is not None:
            found[slot] = {name: line[name] for name in wanted if name in line}
    return found


def _of_manifests(site: Site, slots: Sequence[Slot]) -> dict[Slot, Line]:
    """What the manifests in S3 say of backups that have no line here: on a new machine, of all."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return dict(zip(slots, pool.map(lambda slot: _of_manifest(site, slot), slots), strict=True))


def _of_manifest(site: Site, slot: Slot) -> Line:
    try:
        manifest = catalog.in_bucket(site.bucket, slot.tier, slot.backup_id)
    except IntegrityError as error:
        return {"status": "failed", "unreadable": error.what}
    if manifest is None:
        return {}
    return {
        "backup_timestamp": manifest.taken_at.isoformat(),
        "total_size": manifest.size,
        "same_as": manifest.same_as,
        "parent": manifest.parent,
    }


def _backup(slot: Slot, line: Line, *, sealed: bool, protected: str | None = None) -> Backup:
    """By its line. Nobody knows what an unreadable one needs, or what it is: it is kept until a person has looked."""
    if line.get("unreadable"):
        protected = protected or str(line["unreadable"])
    needs = [found for name in ("same_as", "parent") if (found := slot_of(str(line.get(name)))) is not None]
    return Backup(
        slot,
        instant(line.get("backup_timestamp")) or slot.due,
        good=sealed and line.get("status") != "failed",
        needs=needs,
        protected=protected,
    )


def _kept_on_disk(site: Site, slot: Slot) -> bool:
    tier = site.policy.tiers.get(slot.tier)
    return tier is None or tier.kept_on_disk is not None


def _size(line: Line | None) -> int | None:
    size = (line.get("total_size") or line.get("size")) if line else None
    return size if isinstance(size, int) else None
