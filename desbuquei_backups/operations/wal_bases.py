"""The base backups that are in the bucket, as far as WAL must know them."""

from concurrent.futures import ThreadPoolExecutor

from desbuquei_backups.core.errors import IntegrityError
from desbuquei_backups.core.manifest import Manifest, Role
from desbuquei_backups.core.recovery import Base
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.tiers import Takes
from desbuquei_backups.core.wal import parse_lsn
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage import catalog
from desbuquei_backups.storage.archives import archives

_AT_ONCE = 8


def bases_there(site: Site, system_identifier: str) -> list[Base]:
    """The full base backups of that cluster in the bucket, oldest first. StoreError if it cannot be asked."""
    bases = [base_of(each) for each in full_bases(site, system_identifier)]
    return sorted((base for base in bases if base is not None), key=lambda base: base.stopped_at)


def full_bases(site: Site, system_identifier: str) -> list[Manifest]:
    """The archived backups that have a full base backup of that cluster. StoreError if the bucket cannot be asked."""
    tiers = [name for name, tier in site.policy.tiers.items() if tier.base_backup or tier.takes is Takes.INCREMENTAL]
    slots = [each.slot for each in archives(site.bucket, tiers) if each.sealed and each.base and each.slot is not None]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = pool.map(lambda slot: _manifest(site, slot), slots)
    return [each for each in found if each is not None and each.server.system_identifier == system_identifier]


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


def _manifest(site: Site, slot: Slot) -> Manifest | None:
    try:
        return catalog.in_bucket(site.bucket, slot.tier, slot.backup_id)
    except IntegrityError:
        return None  # `verify` names it
