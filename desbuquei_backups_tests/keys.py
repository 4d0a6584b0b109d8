"""Keys for the tests, of age and for signing, made anew each time."""

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pyrage import x25519


@dataclass(frozen=True, slots=True)
class Key:
    """A pair of keys: the public one, and the file with the secret one."""

    recipient: str
    file: Path
    secret: str


def new_key(folder: Path, name: str = "identity.txt") -> Key:
    """A new one, written as `age-keygen` writes it."""
    made = x25519.Identity.generate()
    path = folder / name
    path.write_text(f"# created: 2026-02-02T02:00:00Z\n# public key: {made.to_public()}\n{made}\n")
    path.chmod(0o600)
    return Key(str(made.to_public()), path, str(made))


@dataclass(frozen=True, slots=True)
class SigningPair:
    """The PEM files of an Ed25519 key: `secret`, readable by its owner alone, and `public`."""

    secret: Path
    public: Path


def new_signing_pair(folder: Path, name: str = "signing") -> SigningPair:
    """A key of its own, as openssl writes it."""
    key = Ed25519PrivateKey.generate()
    pair = SigningPair(folder / f"{name}.pem", folder / f"{name}.pub.pem")
    pair.secret.touch(mode=0o600)
    pair.secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    pair.public.write_bytes(public)
    return pair
