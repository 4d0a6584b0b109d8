"""A condition of a site as it is noticed: of its database, and since now unless it is known since when."""

from datetime import datetime

from desbuquei_backups.core.conditions import Condition, Severity
from desbuquei_backups.operations.site import Site


def noticed(
    site: Site,
    severity: Severity,
    name: str,
    what: str,
    subject: str,
    *,
    command: str,
    tried: str = "",
    since: datetime | None = None,
) -> Condition:
    """See Condition for what each is."""
    at = site.now() if since is None else since
    return Condition(name, site.policy.database, severity, what, subject, at, tried, command)
