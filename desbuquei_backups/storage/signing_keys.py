"""The keys that sign the chain of evidence: Ed25519, the secret one on the host that backs up, public ones anywhere."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from desbuquei_backups.core.errors import ConfigurationError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNING_KEY = "DESBUQUEI_SIGNING_KEY"
PUBLIC_KEYS = "DESBUQUEI_PUBLIC_KEYS"
_MAKE = "openssl genpkey -algorithm ed25519 -out FILE makes one, chmod 600 keeps it from others"
_TELL = "openssl pkey -in KEY -pubout prints the public key of one"
_PEM = re.compile(rb"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----", re.DOTALL)


@dataclass(frozen=True)
class SigningKey:
    """A secret key. Nothing of it is ever shown."""

    where: str
    _key: "Ed25519PrivateKey" = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> "SigningKey":
        """The key in a PEM file that its owner alone may read; ConfigurationError if it is none, or others may."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        content = _content(path, SIGNING_KEY)
        mode = path.stat().st_mode & 0o777
        if mode & 0o077:
            raise ConfigurationError(f"others may read the signing key {path}: {mode:o}", remedy=f"chmod 600 {path}")
        try:
            key = load_pem_private_key(content, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise ConfigurationError(f"{path} holds no Ed25519 key without a passphrase", remedy=_MAKE)
        return cls(str(path), key)

    @cached_property
    def key_id(self) -> str:
        return _id_of(self._key.public_key())

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


@dataclass(frozen=True)
class PublicKey:
    """A public key, by its id."""

    key_id: str
    _key: "Ed25519PublicKey" = field(repr=False)

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether the secret key signed these bytes so."""
        from cryptography.exceptions import InvalidSignature

        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


def read_public_keys(path: Path) -> Mapping[str, PublicKey]:
    """The Ed25519 public keys in a PEM file, one or several, by their ids; ConfigurationError if there is none."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    found = {}
    for number, pem in enumerate(_PEM.findall(_content(path, PUBLIC_KEYS)), 1):
        try:
            key: Any = load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PublicKey):
            raise ConfigurationError(f"key {number} in {path} is no Ed25519 public key", remedy=_TELL)
        found[_id_of(key)] = PublicKey(_id_of(key), key)
    if not found:
        raise ConfigurationError(f"there is no public key in {path}", remedy=_TELL)
    return found


def _id_of(key: "Ed25519PublicKey") -> str:
    """As `openssl pkey -pubin -in FILE -outform DER | sha256sum` says it."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _content(path: Path, setting: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"the key file {path} cannot be read: {error.strerror}", remedy=f"correct {setting}"
        ) from None
