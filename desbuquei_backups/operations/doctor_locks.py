"""Locks, where bucket and policy have them: that they can be set and read, that they hold, and that none goes round."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from desbuquei_backups.core.errors import StoreRefused
from desbuquei_backups.core.tiers import LockMode
from desbuquei_backups.operations.doctor import Area, Precondition
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage import probing
from desbuquei_backups.storage.probing import May
from desbuquei_backups.storage.s3 import Lock

_BUCKET = Area("bucket")
_LOCKED_FOR = timedelta(minutes=1)


def locks(site: Site, key: str) -> Iterator[Precondition]:
    """Tried on an object that is locked for a minute, in the mode governance; it stays, unless it can be deleted."""
    try:
        if all(tier.object_lock is None for tier in site.policy.tiers.values()) or not site.bucket.has_lock:
            return
    except StoreRefused:  # of which the bucket's settings speak
        return
    until = ((site.bucket.time() or datetime.now(UTC)) + _LOCKED_FOR).replace(microsecond=0)
    try:
        site.bucket.put_if_absent(key, b"locked by desbuquei doctor", lock=Lock(LockMode.GOVERNANCE, until))
    except StoreRefused as error:
        yield _BUCKET.failure(
            "locks", f"none can be set, and the policy's tiers not archived: {error.what}", error.remedy
        )
        return
    if probing.retention(site.bucket, key).may is May.NO:
        yield _BUCKET.warning(
            "reading locks", "may not be done: prune tries what cannot be deleted", "grant s3:GetObjectRetention"
        )
    stored = site.bucket.head(key)
    if stored is None or stored.version_id is None:
        yield _BUCKET.not_applicable("locks", f"set; whether they hold is not known: {key} has no version")
    elif probing.delete(site.bucket, key, version_id=stored.version_id).may is May.YES:
        yield _BUCKET.failure("locks", "an object under a lock was deleted: they do not hold", "use another store")
    elif probing.delete(site.bucket, key, version_id=stored.version_id, bypass=True).may is May.YES:
        yield _BUCKET.warning(
            "locks",
            "TOO MUCH: they hold, but these credentials may bypass those of the mode governance, and so delete all",
            "take s3:BypassGovernanceRetention from them: docs/aws.md has roles without it",
        )
    else:
        yield _BUCKET.ok("locks", f"can be set, and hold; {key} is locked until {until:%H:%M:%S} UTC")
