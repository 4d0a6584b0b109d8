"""Signatures of links: over which bytes they are, and whether every link from the first signed one on has a good one.

A signature covers the exact bytes of its link without the signature's own line, and with them the SHA-256 of the link
before: one signed link vouches for all that came before it.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from desbuquei_backups.core.evidence import SIGNED_VERSION, Link
from desbuquei_backups.core.evidence_walk import Break, Fault, Step

_END = re.compile(rb',\n "signature": "([A-Za-z0-9+/=]+)"\n}\n\Z')
_SHOWN = 16


class Signer(Protocol):
    """A secret key. `key_id` is the SHA-256 of its public one, as SubjectPublicKeyInfo in DER."""

    @property
    def key_id(self) -> str: ...

    def sign(self, message: bytes) -> bytes: ...


class Verifier(Protocol):
    """A public key, and whether a signature is of its secret one."""

    @property
    def key_id(self) -> str: ...

    def verifies(self, message: bytes, signature: bytes) -> bool: ...


def link_bytes(link: Link, signer: Signer | None) -> bytes:
    """The bytes of a link as they are stored, signed if there is a key."""
    if signer is None:
        return link.to_bytes()
    unsigned = link.model_copy(update={"schema_version": SIGNED_VERSION, "key_id": signer.key_id})
    signature = b64encode(signer.sign(unsigned.to_bytes())).decode()
    return unsigned.model_copy(update={"signature": signature}).to_bytes()


@dataclass(slots=True)
class Signatures:
    """Hears link after link. `keys`: those that may sign, by their ids; none: nothing is judged.

    `signed` counts the links with a good signature, `since` is the number of the first one.
    """

    keys: Mapping[str, Verifier] = field(default_factory=dict)
    signed: int = 0
    since: int | None = None
    first: Step | None = None
    _begun: bool = False
    _unsigned: bool = False

    def heard(self, step: Step, content: bytes) -> list[Break]:
        """What is wrong with the signature of a link that can be read; of unsigned ones in a row, of the first."""
        link = step.link
        if not self.keys or link is None or step.sequence is None:
            return []
        self.first = self.first or step
        if link.signature is None and link.key_id is None:
            again, self._unsigned = self._unsigned, self._begun
            if again or not self._begun:
                return []
            what = "it is not signed, and neither may those after it be: links before it are"
            return [_broken(Fault.UNSIGNED, what, step)]
        self._begun, self._unsigned = True, False
        if (key := self.keys.get(link.key_id or "")) is None:
            what = (
                f"it is signed by the key {(link.key_id or 'without a name')[:_SHOWN]}…, which is none of those given"
            )
            return [_broken(Fault.ANOTHER_KEY, what, step)]
        if not _is_signed(content, key):
            return [_broken(Fault.BAD_SIGNATURE, "its signature is not of these bytes", step)]
        self.signed, self.since = self.signed + 1, self.since or step.sequence
        return []

    def ended(self) -> list[Break]:
        """A chain of which no link at all is signed: what was signed once can have lost all of its signatures."""
        if not self.keys or self.first is None or self._begun:
            return []
        what = "neither it nor any link after it is signed: all signatures were taken away, or none was ever made"
        return [_broken(Fault.UNSIGNED, what, self.first)]


def _is_signed(content: bytes, key: Verifier) -> bool:
    found = _END.search(content)
    if found is None:
        return False
    try:
        signature = b64decode(found[1], validate=True)
    except NotBase64:
        return False
    return key.verifies(content[: found.start()] + b"\n}\n", signature)


def _broken(fault: Fault, what: str, step: Step) -> Break:
    return Break(fault, what, step.sequence, backup_id=step.backup_id, key=step.key)
