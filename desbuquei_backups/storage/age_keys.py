"""The keys of client-side encryption: recipients are public and lie on the backup host, identities are secret."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from desbuquei_backups.core.errors import ConfigurationError

RECIPIENTS = "DESBUQUEI_AGE_RECIPIENTS"
IDENTITY = "DESBUQUEI_AGE_IDENTITY"
_SECRET = re.compile(r"AGE-SECRET-KEY-1[A-Z0-9]+")


def parse_recipients(text: str) -> tuple[str, ...]:
    """The X25519 recipients in `text`, separated by commas or white space; ConfigurationError if one is none.

    A secret key given in their place is never repeated.
    """
    found = tuple(dict.fromkeys(text.replace(",", " ").split()))
    for number, each in enumerate(found, 1):
        if each.upper().startswith("AGE-SECRET-KEY-"):
            raise ConfigurationError(
                f"{RECIPIENTS} holds a secret key",
                remedy="take it away from this host, and set the public key: age-keygen -y IDENTITY prints it",
            )
        recipient(each, f"recipient {number} of {RECIPIENTS}")
    return found


def recipient(text: str, what: str) -> Any:
    """One public key as age takes it; ConfigurationError names `what` if it is none."""
    from pyrage import RecipientError, x25519

    try:
        return x25519.Recipient.from_str(text)
    except RecipientError:
        raise ConfigurationError(
            f"{what} is not an age public key", remedy="write it like age1…; age-keygen -y IDENTITY prints it"
        ) from None


@dataclass(frozen=True, slots=True)
class Identity:
    """The secret keys in an identity file; `recipients` are their public ones."""

    where: str
    recipients: Sequence[str]
    keys: Sequence[Any] = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> "Identity":
        """The identity file that `age-keygen` writes; ConfigurationError if it cannot be read or holds no key."""
        from pyrage import IdentityError as Refused
        from pyrage import x25519

        again = "name a file as age-keygen writes it, with a line AGE-SECRET-KEY-1…, readable by you alone"
        try:
            found = _SECRET.findall(path.read_text(encoding="ascii", errors="replace"))
        except OSError as error:
            raise ConfigurationError(
                f"the identity file {path} cannot be read: {error.strerror}", remedy=again
            ) from None
        try:
            keys = [x25519.Identity.from_str(each) for each in found]
        except Refused:
            keys = []
        if not keys:
            raise ConfigurationError(f"the identity file {path} holds no age identity", remedy=again)
        return cls(str(path), [str(key.to_public()) for key in keys], keys)
