"""What signs the chain of evidence, and whether it is known to those who verify."""

from collections.abc import Iterator

from desbuquei_backups.operations.doctor import Area, Precondition
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage.signing_keys import PUBLIC_KEYS, SIGNING_KEY

_AREA = Area("evidence")


def evidence(site: Site) -> Iterator[Precondition]:
    """The signing key, read as it is when something is said; guarded by whoever asks."""
    signer = site.signer
    if signer is None:
        yield _AREA.not_applicable(
            "signing key",
            "none: who may write to the bucket can write the chain of evidence anew",
            f"openssl genpkey -algorithm ed25519 makes one, and {SIGNING_KEY} names it",
        )
    elif not site.public_keys:
        yield _AREA.ok("signing key", f"{signer.key_id}; the daily audit judges signatures if {PUBLIC_KEYS} is set")
    elif signer.key_id in site.public_keys:
        yield _AREA.ok("signing key", f"{signer.key_id}, one of {len(site.public_keys)} that may sign")
    else:
        yield _AREA.failure(
            "signing key",
            f"{signer.key_id} is none of those in {PUBLIC_KEYS}: what it signs is called forged",
            f"add what openssl pkey -in {signer.where} -pubout prints to it",
        )
