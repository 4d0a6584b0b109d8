"""Client-side encryption: to whom backups are encrypted, and whether what opens them lies on this host."""

from collections.abc import Iterator

from desbuquei_backups.operations.doctor import Area, Precondition
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage.age_keys import RECIPIENTS

_AREA = Area("encryption")


def encryption(site: Site) -> Iterator[Precondition]:
    """Who can read the backups: the recipients, and whoever has this host if an identity lies here."""
    recipients = site.settings.age_recipients
    if len(recipients) == 1:
        yield _AREA.warning(
            "recipients",
            f"one alone, {recipients[0]}: when its identity is lost, so are the backups",
            "add another one, whose identity lies elsewhere, as in a safe",
        )
    elif recipients:
        yield _AREA.ok("recipients", f"{len(recipients)}: {', '.join(recipients)}")
    else:
        yield _AREA.not_applicable(
            "recipients",
            "none: who has the files, or may read the bucket, reads the backups",
            f"{RECIPIENTS}=age1… encrypts them before they are written; age-keygen makes the keys, on another host",
        )
    identity = site.identity
    if identity is None:
        if recipients:
            yield _AREA.ok("identity", "none here: who takes this host cannot read the backups, nor prove them here")
        return
    if missing := set(recipients).difference(identity.recipients):
        yield _AREA.warning(
            "identity",
            f"{identity.where} does not open what is encrypted to {', '.join(sorted(missing))} alone",
            "nothing, if each backup has another recipient whose identity this is",
        )
    elif recipients:
        yield _AREA.warning(
            "identity",
            f"{identity.where} opens the backups, and lies on this host: who takes the host reads them",
            "keep it where copies are restored and proven, if that is another host",
        )
    mode = site.settings.age_identity.stat().st_mode & 0o777 if site.settings.age_identity else 0
    if mode & 0o077:
        yield _AREA.failure("permissions", f"{mode:o}: others may read the identity", f"chmod 600 {identity.where}")
