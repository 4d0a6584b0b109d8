"""The bucket: by what way it is reached, and then what it is set to and what may be done there."""

import ipaddress
from collections.abc import Iterator
from urllib.parse import urlsplit

from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.operations.doctor import Area, Precondition, clock
from desbuquei_backups.operations.doctor_bucket_settings import settings
from desbuquei_backups.operations.doctor_rights import rights
from desbuquei_backups.operations.site import Site

_BUCKET = Area("bucket")


def bucket(site: Site, *, read_only: bool) -> Iterator[Precondition]:
    """Everything about the bucket; one that cannot be listed is one finding, and the last."""
    try:
        endpoint = site.bucket.client.meta.endpoint_url
        yield _transport(endpoint)
        # Not a HEAD: what is refused of one does not say why.
        next(iter(site.bucket.keys("")), None)
    except BackupError as error:
        yield _BUCKET.error("reachable", error)
        return
    yield _BUCKET.ok("reachable", f"{site.bucket.uri('')} can be listed")
    yield from _BUCKET.guarded("clock", lambda: iter([clock(_BUCKET, "clock", site.bucket.time())]))
    yield from settings(site, is_here=_is_here(endpoint))
    if read_only:
        yield _BUCKET.not_applicable("writable", "not tried: nothing is written", "leave --read-only out to try it")
        return
    yield from rights(site)


def _transport(endpoint: str) -> Precondition:
    if urlsplit(endpoint).scheme == "https":
        return _BUCKET.ok("TLS", "the connection is encrypted")
    if _is_here(endpoint):
        return _BUCKET.ok("TLS", "not used, and not needed on this machine")
    return _BUCKET.warning(
        "TLS", "backups cross the network in the clear", "write AWS_ENDPOINT_URL_S3 with https://, or leave it out"
    )


def _is_here(endpoint: str) -> bool:
    host = urlsplit(endpoint).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
