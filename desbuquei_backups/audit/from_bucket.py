"""What the bucket tells by itself: where it is, what it has, manifests that the chain does not have, drills, proofs."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from desbuquei_backups.audit.facts import Backup, Restored, Source, Store
from desbuquei_backups.audit.links import of_manifest
from desbuquei_backups.audit.model import Period
from desbuquei_backups.core.errors import BackupError, NotFound
from desbuquei_backups.core.evidence import link_key, sha256_of
from desbuquei_backups.core.manifest import manifest_name
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import drill_record, proofs
from desbuquei_backups.operations.drill_record import DrillRecord
from desbuquei_backups.operations.second_place import behind
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage import archives
from desbuquei_backups.storage.catalog import key_of
from desbuquei_backups.storage.in_order import read_in_order
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups.storage.s3_errors import store_errors

_PROOFS = 200  # so many of the newest proofs are read where the records do not tell


def kept_slots(site: Site) -> frozenset[Slot]:
    """The slots whose backups S3 has whole; StoreError."""
    return frozenset(each.slot for each in archives.archives(site.bucket) if each.sealed and each.slot is not None)


def known_backups(site: Site, slots: Iterable[Slot]) -> dict[Slot, Backup]:
    """What the manifests of those slots in S3 say; one that cannot be read is left out. StoreError."""
    keys = {key_of(manifest_name(slot.backup_id)): slot for slot in slots}
    found = {}
    for key, content in read_in_order(site.bucket, keys):
        backup = of_manifest(keys[key], content, Source.BUCKET)
        if backup is not None:
            found[keys[key]] = backup
    return found


@dataclass(frozen=True, slots=True)
class Drills:
    """The drills of a period, oldest first, and the newest one `before` it; `unvouched` as in the facts."""

    found: Sequence[DrillRecord] = ()
    before: DrillRecord | None = None
    unvouched: Sequence[str] = ()


def drills(site: Site, period: Period, vouched: Mapping[str, str]) -> Drills:
    """What drills showed; `vouched`: the SHA-256 of each record, by its key, as the chain says it. StoreError."""
    folder = f"{drill_record.FOLDER}/"
    keys = sorted(site.bucket.keys(folder))
    # A record is named after its moment, down to the microsecond.
    start, end = (f"{folder}{instant:%Y%m%dT%H%M%S}" for instant in (period.start, period.end))
    before = [key for key in keys if key < start]
    wanted = [*before[-1:], *(key for key in keys if start <= key < end)]
    found, earlier, unvouched = list[DrillRecord](), None, list[str]()
    for key, content in read_in_order(site.bucket, wanted):
        record = drill_record.parsed(content)
        if key in vouched and vouched[key] != sha256_of(content):
            unvouched.append(f"{key} is not what the chain of evidence speaks of: it is left out")
        elif record is not None and record.drilled_at < period.start:
            earlier = record
        elif record is not None and period.has(record.drilled_at) and key not in vouched:
            unvouched.append(f"{key} is not spoken of in the chain of evidence: it is left out")
        elif record is not None and period.has(record.drilled_at):
            found.append(record)
    return Drills(found, earlier, unvouched)


def restored(site: Site, period: Period, listed: Collection[Slot]) -> list[Restored]:
    """How long restored copies took, by the newest proofs of the period's backups; StoreError."""
    slots = sorted((slot for slot in listed if period.has(slot.due)), key=lambda slot: slot.due, reverse=True)
    found = []
    for each in archives.archives(site.bucket, {slot.tier for slot in slots}, start=period.start):
        if each.slot in slots[:_PROOFS] and each.proofs:
            found += _proof(site.bucket, each.proofs[-1:])
    return sorted(found, key=lambda one: one.at)


def _proof(bucket: Bucket, keys: Iterable[str]) -> list[Restored]:
    found = []
    for _, content in read_in_order(bucket, keys):
        proof = proofs.parsed(content)
        told = proof.recorded() if proof is not None else {}
        if proof is not None and isinstance(seconds := told.get("restore_seconds"), int | float):
            found.append(Restored(proof.backup_id, proof.proven_at, float(seconds)))
    return found


def store(site: Site, listed: Collection[Slot], head: int | None) -> Store:
    """Where the bucket is, its locks, and what the second place lacks.

    `head`: the number of the chain's last link. StoreError, ConfigurationError.
    """
    bucket = site.bucket
    region, unknown = _region(bucket)
    second = site.second
    lacking, trouble = list[str](), None
    newest, has_lock = _newest(listed), _has_lock(bucket)
    if second is not None:
        try:
            lacking = [slot.backup_id for slot in behind(site, sorted(newest.values()))]
        except BackupError as error:
            trouble = error.what
    return Store(
        bucket.uri(""),
        region,
        unknown,
        bucket.is_here,
        has_lock,
        dict(_locks(site, newest, head)) if has_lock else {},
        second.bucket.uri("") if second is not None else None,
        lacking,
        trouble,
    )


def _newest(listed: Iterable[Slot]) -> Mapping[str, Slot]:
    found: dict[str, Slot] = {}
    for slot in listed:
        if slot.tier not in found or found[slot.tier] < slot:
            found[slot.tier] = slot
    return found


def _region(bucket: Bucket) -> tuple[str | None, str | None]:
    """The bucket's region, or why it is not known. Of AWS, what is not named is us-east-1."""
    if bucket.is_here:
        return "this machine", None
    try:
        with store_errors("asking for the bucket's region"):
            told = bucket.client.get_bucket_location(Bucket=bucket.name).get("LocationConstraint")
    except (BackupError, NotFound) as error:
        return None, error.what
    if told:
        return str(told), None
    if (bucket.client.meta.endpoint_url or "").endswith(".amazonaws.com"):
        return "us-east-1", None
    return None, "the store names none"


def _locks(site: Site, newest: Mapping[str, Slot], head: int | None) -> Iterator[tuple[str, str]]:
    """The newest of each that the policy locks, and until when it is locked."""
    keys = {
        f"{slot.backup_id} ({name})": key_of(manifest_name(slot.backup_id))
        for name, slot in newest.items()
        if name in site.policy.tiers and site.policy.tiers[name].object_lock
    }
    if head is not None:
        keys[f"link {head} of the chain of evidence"] = link_key(head)
    for what, key in keys.items():
        found = site.bucket.head(key)
        until = found.locked_until if found is not None else None
        if until is None:
            yield what, "not locked"
        else:
            yield what, f"{'locked until' if until > site.now() else 'no longer locked: it was until'} {until:%Y-%m-%d}"


def _has_lock(bucket: Bucket) -> bool | None:
    try:
        return bucket.has_lock
    except BackupError:
        return None


def begun(backups: Iterable[Backup]) -> datetime | None:
    """When the first of them was taken."""
    return min((each.taken_at for each in backups), default=None)
