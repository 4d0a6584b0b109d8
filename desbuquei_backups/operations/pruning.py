"""What retention says of every backup there is: gathered from the records, the folder and one listing of the bucket."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from desbuquei_backups.core.errors import IntegrityError
from desbuquei_backups.core.manifest import manifest_name
from desbuquei_backups.core.retention import Backup, Place, Verdict, verdicts
from desbuquei_backups.core.slots import Slot, slot_of
from desbuquei_backups.operations import holds, metadata_file
from desbuquei_backups.operations.folder_names import DUMPS, names
from desbuquei_backups.operations.held import instant
from desbuquei_backups.operations.metadata_file import Line
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage import age, archives, catalog
from desbuquei_backups.storage.archives import Archive
from desbuquei_backups.storage.catalog import key_of
from desbuquei_backups.storage.side_by_side import side_by_side

MARK = f".{archives.MARK}"
_ASKED = 200  # the store is asked for locks of so many that are to go, the newest: of 100,000 it would take minutes


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
    """The bucket's backups. `sealed`: those that are listed, being whole."""

    sealed: dict[Slot, Archive] = field(default_factory=dict)
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


def plan_s3(
    site: Site, on_disk: Collection[Slot], lines: Mapping[Slot, Line] | None = None, *, ask: bool = True
) -> list[Planned]:
    """By one listing of the bucket. Of what is to go, the store is asked whether it is locked, unless not `ask`.

    Where it was not asked, and a lock can be, the reason says so. Nothing goes where S3 is pruned from elsewhere.
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
    found = _unlocked(site, backups, on_disk, _Locks(site, there.sealed, _ASKED) if ask else None)
    unfinished = [
        Verdict(slot, keep=False, reason="its pruning was cut off")
        for slot in sorted(there.marked - there.sealed.keys())
    ]
    return [Planned(Place.S3, each, _size(lines.get(each.slot)), needs=backups[each.slot].needs) for each in found] + [
        Planned(Place.S3, each, _size(lines.get(each.slot)), unfinished=True) for each in unfinished
    ]


def _left(verdict: Verdict) -> Verdict:
    return verdict if verdict.keep else replace(verdict, keep=True, reason=f"{verdict.reason}; pruned from elsewhere")


def _unlocked(
    site: Site, backups: dict[Slot, Backup], on_disk: Collection[Slot], locks: "_Locks | None"
) -> list[Verdict]:
    """The verdicts, of which none that says `go` is of a backup known to be locked.

    What is locked may keep others, too.
    """
    looked_at: set[Slot] = set()
    while True:
        found = verdicts(backups.values(), site.policy, site.now(), Place.S3)
        going = [each.slot for each in found if not each.keep and each.slot not in looked_at]
        looked_at.update(going)
        kept = dict.fromkeys((slot for slot in going if slot in on_disk), "it is still on disk")
        if locks is not None:
            kept |= locks.of([slot for slot in going if slot not in kept])
        if not kept:
            return [locks.said(each) for each in found] if locks is not None else found
        backups |= {slot: replace(backups[slot], protected=why) for slot, why in kept.items()}


@dataclass
class _Locks:
    """What the store says of locks; of so many backups it is asked, `left` being how many more."""

    site: Site
    there: Mapping[Slot, Archive]
    left: int
    unasked: set[Slot] = field(default_factory=set)

    def of(self, slots: Sequence[Slot]) -> dict[Slot, str]:
        """Which of the backups are locked, and how."""
        if not slots or not self.site.bucket.may_have_lock:
            return {}
        asked = slots[: self.left]
        self.left -= len(asked)
        self.unasked.update(slots[len(asked) :])
        found = zip(asked, side_by_side(lambda slot: _lock(self.site, self._keys(slot)), asked), strict=True)
        return {slot: why for slot, why in found if why is not None}

    def said(self, verdict: Verdict) -> Verdict:
        if verdict.keep or verdict.slot not in self.unasked:
            return verdict
        return replace(verdict, reason=f"{verdict.reason}; whether it is locked is asked when it goes")

    def _keys(self, slot: Slot) -> list[str]:
        archive = self.there[slot]
        return [archive.key] if archive.dump is None else [archive.key, archive.dump.key]


def lock_of(site: Site, slot: Slot) -> str | None:
    """Why the store would not delete the backup, by its dump and its manifest; None if it would."""
    known_by = [f"{slot.backup_id}.{suffix}{end}" for suffix in DUMPS for end in ("", age.SUFFIX)]
    names = (manifest_name(slot.backup_id), *known_by)
    return _lock(site, [key_of(name) for name in names])


def _lock(site: Site, keys: Sequence[str]) -> str | None:
    now = site.now()
    for key in keys:
        found = site.bucket.head(key)
        if found is not None and found.legal_hold:
            return "under a legal hold of the bucket's"
        if found is not None and found.locked_until is not None and found.locked_until > now:
            return f"locked until {found.locked_until:%Y-%m-%d}"
    return None


def look(site: Site) -> InBucket:
    """One listing of the bucket; other databases' below the same prefix are left out."""
    found = InBucket()
    for each in archives.archives(site.bucket):
        if each.slot is None:
            continue
        if each.sealed:
            found.sealed[each.slot] = each
        if each.held:
            found.held.add(each.slot)
        if each.marked:
            found.marked.add(each.slot)
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
    return dict(zip(slots, side_by_side(lambda slot: _of_manifest(site, slot), slots), strict=True))


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
    named = (line.get("same_as"), line.get("parent"))
    needs = [found for each in named if each is not None and (found := slot_of(str(each))) is not None]
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
