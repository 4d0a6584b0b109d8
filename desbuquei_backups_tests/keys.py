"""Age keys for the tests, made anew each time."""

from dataclasses import dataclass
from pathlib import Path

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
