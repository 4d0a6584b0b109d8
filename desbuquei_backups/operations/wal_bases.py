"""The base backups that are in the bucket, as far as WAL must know them."""

from concurrent.futures import ThreadPoolExecutor

from desbuquei_backups.core.errors import IntegrityError
from desbuquei_backups.core.manifest import Manifest, Role, manifest_name
from desbuquei_backups.core.recovery import Base
from desbuquei_backups.core.slots import Slot, slot_of
from desbuquei_backups.core.wal import parse_lsn
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage import catalog

_AT_ONCE = 8


def bases_there(site: Site, system_identifier: str) -> list[Base]:
    """The full base backups of that cluster in the bucket, oldest first. StoreError if it cannot be asked."""
    slots = [slot for name, tier in site.policy.tiers.items() if tier.base_backup for slot in _sealed(site, name)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = pool.map(lambda slot: _manifest(site, slot), slots)
    bases = [base_of(each) for each in found if each is not None and each.server.system_identifier == system_identifier]
    return sorted((base for base in bases if base is not None), key=lambda base: base.stopped_at)


def base_of(manifest: Manifest) -> Base | None:
    """The base backup of a manifest; None if it has none."""
    facts = manifest.base
    if facts is None:
        return None
    return Base(
        backup_id=manifest.backup_id,
        timeline=facts.timeline,
        start=parse_lsn(facts.start_lsn),
        stop=parse_lsn(facts.stop_lsn),
        stopped_at=facts.stopped_at,
        size=facts.size,
        stored=manifest.file(Role.BASE).size,
        parent=manifest.parent,
    )


def _sealed(site: Site, tier: str) -> list[Slot]:
    """The tier's backups of which there is a manifest."""
    found = []
    for key in site.bucket.keys(f"{tier}/"):
        slot = slot_of(key.rpartition("/")[2].partition(".")[0])
        if slot is not None and key == catalog.key_of(manifest_name(slot.backup_id)):
            found.append(slot)
    return found


def _manifest(site: Site, slot: Slot) -> Manifest | None:
    try:
        return catalog.in_bucket(site.bucket, slot.tier, slot.backup_id)
    except IntegrityError:
        return None  # `verify` names it
