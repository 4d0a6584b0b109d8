"""Who asks for something that is written down with a name and a reason."""

import getpass
import os

from desbuquei_backups.core.errors import ConfigurationError
from desbuquei_backups.operations.asked import Asked


def asked_by(operator: str | None, reason: str) -> Asked:
    """That operator, DESBUQUEI_OPERATOR's, or whoever is logged in; ConfigurationError without name or reason."""
    name = operator or os.environ.get("DESBUQUEI_OPERATOR") or login_name()
    if not name:
        raise ConfigurationError(
            "it is written down who asks for this, and this user id has no name",
            remedy="name whoever does with --operator, or in DESBUQUEI_OPERATOR",
        )
    if not reason.strip():
        raise ConfigurationError("it is written down why this is asked for", remedy="say why with --reason TEXT")
    return Asked(name, reason)


def login_name() -> str | None:
    """The name of whoever is logged in; None for a user id without a name, as containers have."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return None
