"""The bucket: by what way it is reached, and then what it is set to and what may be done there."""

from collections.abc import Iterator

from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.core.transport import Transport
from desbuquei_backups.operations.doctor import Area, Precondition, clock
from desbuquei_backups.operations.doctor_bucket_settings import settings
from desbuquei_backups.operations.doctor_rights import rights
from desbuquei_backups.operations.site import Site

_BUCKET = Area("bucket")


def bucket(site: Site, *, read_only: bool) -> Iterator[Precondition]:
    """Everything about the bucket; one that cannot be listed is one finding, and the last."""
    try:
        yield _transport(site.bucket.transport)
        # Not a HEAD: what is refused of one does not say why.
        next(iter(site.bucket.keys("")), None)
    except BackupError as error:
        yield _BUCKET.error("reachable", error)
        return
    yield _BUCKET.ok("reachable", f"{site.bucket.uri('')} can be listed")
    yield from _BUCKET.guarded("clock", lambda: iter([clock(_BUCKET, "clock", site.bucket.time())]))
    yield from settings(site, is_here=site.bucket.is_here)
    if read_only:
        yield _BUCKET.not_applicable("writable", "not tried: nothing is written", "leave --read-only out to try it")
        return
    yield from rights(site)


def _transport(how: Transport) -> Precondition:
    if how is Transport.CLEAR:
        return _BUCKET.warning(
            "TLS", "backups cross the network in the clear", "write AWS_ENDPOINT_URL_S3 with https://, or leave it out"
        )
    encrypted = how is Transport.TLS
    return _BUCKET.ok("TLS", "the connection is encrypted" if encrypted else "not used, and not needed on this machine")
