"""What these credentials may do in the bucket, too little or too much: tried on objects of our own under `probe/`."""

import secrets
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial

from desbuquei_backups.core.errors import BackupError, StoreRefused
from desbuquei_backups.operations.doctor import Area, Outcome, Precondition
from desbuquei_backups.operations.doctor_locks import locks
from desbuquei_backups.operations.settings import PRUNE_S3
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage import probing
from desbuquei_backups.storage.probing import May, Setting
from desbuquei_backups.storage.stored import StoredObject
from desbuquei_backups.storage.versions import versions

_BUCKET = Area("bucket")
_PROBE = "probe/"
_CONTENT = b"written by desbuquei doctor"
_TAGS = {"probe": "yes"}
# A doctor that is at work beside this one still needs its own.
_OLD = timedelta(minutes=5)
_ADDING = "use a role that can only add and read: docs/aws.md has it"


def rights(site: Site) -> Iterator[Precondition]:
    """Each right by using it. What can be deleted again is; a locked probe stays until its minute is over."""
    yield from _BUCKET.guarded("earlier probes", partial(_earlier, site))
    key = f"{_PROBE}{secrets.token_hex(8)}"
    written = list(_BUCKET.guarded("writable", partial(_written, site, key)))
    yield from written
    if written[0].outcome is not Outcome.OK:
        return
    try:
        yield from _BUCKET.guarded("readable", partial(_read, site, key))
        yield from _BUCKET.guarded("no overwriting", partial(_conditional, site, key))
        yield from _BUCKET.guarded("uploads in parts", partial(_in_parts, site, f"{key}-parts"))
        yield from _BUCKET.guarded("locks", partial(locks, site, f"{key}-locked"))
        yield from _BUCKET.guarded("versions", partial(_versions, site, key))
        yield from _BUCKET.guarded("its settings", partial(_settings, site))
    finally:
        removed = list(_BUCKET.guarded("deletable", partial(_removed, site, key)))
    yield from removed


def _earlier(site: Site) -> Iterator[Precondition]:
    """Remove what earlier runs left: what was locked then is not any more."""
    before = (site.bucket.time() or datetime.now(UTC)) - _OLD
    if probing.list_versions(site.bucket, _PROBE).may is not May.YES:
        return
    old = [each for each in versions(site.bucket, _PROBE) if each.modified < before]
    gone = [probing.delete(site.bucket, each.key, version_id=each.version_id).may is May.YES for each in old]
    if old:
        yield _BUCKET.ok("earlier probes", f"{sum(gone)} of {len(old)} were removed")


def _written(site: Site, key: str) -> Iterator[Precondition]:
    try:
        site.bucket.put_if_absent(key, _CONTENT, tags=_TAGS)
        yield _BUCKET.ok("writable", "an object was written, with tags")
    except StoreRefused as refused:
        try:
            site.bucket.put_if_absent(key, _CONTENT)
        except BackupError:
            raise refused from None
        yield _BUCKET.ok("writable", "an object was written")
        yield _BUCKET.failure("tags", "an object with tags is refused, and every backup has them", refused.remedy)


def _read(site: Site, key: str) -> Iterator[Precondition]:
    content, stored = b"".join(site.bucket.read(key)), site.bucket.head(key)
    if content != _CONTENT or stored is None:
        yield _BUCKET.failure("readable", f"{key} is not what was written", "find out what else writes to the bucket")
        return
    yield _BUCKET.ok("readable", "it was read back")
    if stored.encryption:
        yield _BUCKET.ok("encryption", f"the store says {stored.encryption}")
    else:
        yield _BUCKET.failure(
            "encryption", "the store does not say that it encrypts", "switch on default encryption of the bucket"
        )


def _conditional(site: Site, key: str) -> Iterator[Precondition]:
    try:
        site.bucket.put_if_absent(key, b"written over")
    except StoreRefused:
        yield _BUCKET.ok("no overwriting", "the store refuses a second object under the same key")
    else:
        yield _BUCKET.warning(
            "no overwriting",
            "the store ignores If-None-Match: two machines with the same bucket and prefix could overwrite each other",
            "let one machine alone write to this bucket and prefix, and switch on versioning",
        )


def _in_parts(site: Site, key: str) -> Iterator[Precondition]:
    upload_id = probing.begin_upload(site.bucket, key)
    tried = {}
    try:
        tried["s3:ListBucketMultipartUploads"] = probing.list_uploads(site.bucket, key)
        tried["s3:ListMultipartUploadParts"] = probing.list_parts(site.bucket, key, upload_id)
    finally:
        tried["s3:AbortMultipartUpload"] = probing.abort_upload(site.bucket, key, upload_id)
    if missing := [action for action, answer in tried.items() if answer.may is May.NO]:
        yield _BUCKET.failure(
            "uploads in parts",
            "what was cut off can neither be gone on with nor cleared away",
            f"grant {', '.join(missing)}",
        )
    else:
        yield _BUCKET.ok("uploads in parts", "can be begun, looked at and aborted")


def _versions(site: Site, key: str) -> Iterator[Precondition]:
    may = probing.list_versions(site.bucket, key).may
    if may is May.NO_SUCH_CALL:
        yield _BUCKET.not_applicable("versions", "the store cannot list them: prune cannot work here")
    elif may is May.YES:
        yield _BUCKET.ok("versions", "can be listed")
    elif site.settings.prunes_s3:
        yield _BUCKET.warning("versions", "may not be listed: prune fails", _prunes("s3:ListBucketVersions"))
    else:
        yield _BUCKET.ok("versions", "may not be listed, and need not: S3 is pruned from elsewhere")


def _settings(site: Site) -> Iterator[Precondition]:
    """Versioning that is on can be switched on once more; nothing else can be tried without changing something."""
    unknown = "is not known: it cannot be tried without changing them"
    others = f"whether policy and lifecycle may be changed {unknown}"
    may: May | None = None
    with suppress(StoreRefused):  # for another reason than these credentials, as where it wants a second factor
        if probing.setting(site.bucket, Setting.VERSIONING).given.get("Status") == "Enabled":
            may = probing.set_versioning_as_it_is(site.bucket).may
    if may is None:
        yield _BUCKET.not_applicable("its settings", f"whether they may be changed {unknown}")
    elif may is May.YES:
        yield _BUCKET.warning("its settings", f"TOO MUCH: the bucket's versioning may be set; {others}", _ADDING)
    else:
        yield _BUCKET.ok("its settings", f"the bucket's versioning may not be set; {others}")


def _removed(site: Site, key: str) -> Iterator[Precondition]:
    """Take the probe away again; what it tells that this can be done depends on where S3 is pruned."""
    stored = site.bucket.head(key)
    if stored is not None and stored.locked_until is not None:
        yield _BUCKET.not_applicable(
            "deletable", f"not known: the bucket locks all objects, {key} until {stored.locked_until:%Y-%m-%d}"
        )
        return
    done = _deleted(site, key, stored)
    left = "" if all(done) else f"; {key} is left"
    if site.settings.prunes_s3:
        yield (
            _BUCKET.ok("deletable", "the object was deleted again, with all its versions")
            if all(done)
            else _BUCKET.warning(
                "deletable",
                f"these credentials may not delete, and so not prune{left}",
                _prunes("s3:DeleteObject and s3:DeleteObjectVersion"),
            )
        )
    elif any(done):
        yield _BUCKET.warning(
            "deletable",
            "TOO MUCH: S3 is pruned from elsewhere, and who takes over this host can delete every backup that is not "
            f"locked{left}",
            _ADDING,
        )
    else:
        yield _BUCKET.ok("deletable", f"not with these credentials, as it should be{left}")


def _deleted(site: Site, key: str, stored: StoredObject | None) -> list[bool]:
    """Which of the deletions could be done: of the object, and where there are versions of each, its marker's too."""
    plain = probing.delete(site.bucket, key)
    done = [plain.may is May.YES]
    if stored is not None and stored.version_id is not None:
        ids = [stored.version_id, *([marker] if (marker := plain.given.get("VersionId")) else [])]
        done += [probing.delete(site.bucket, key, version_id=each).may is May.YES for each in ids]
    return done


def _prunes(actions: str) -> str:
    return f"grant {actions}; or set {PRUNE_S3}=off here, and prune with another role: docs/aws.md"
