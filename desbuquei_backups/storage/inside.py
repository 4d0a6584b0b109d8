"""What is inside a backup's file: decrypted, if it is encrypted, and decompressed, as it streams by."""

from collections.abc import Iterable, Iterator

from desbuquei_backups.core.errors import IdentityError, IntegrityError
from desbuquei_backups.core.manifest import FileFacts
from desbuquei_backups.storage.age import decrypt
from desbuquei_backups.storage.age_keys import IDENTITY, Identity
from desbuquei_backups.storage.stream import OTHER_COPY, Hasher, read_gzip


def no_identity() -> IdentityError:
    """What is said where a backup is encrypted, and nothing here opens it."""
    return IdentityError(
        "it is encrypted, and no identity is named that opens it",
        remedy=f"name the identity of one of the recipients in its manifest: --identity FILE, or {IDENTITY}",
    )


def read_inside(chunks: Iterable[bytes], file: FileFacts, identity: Identity | None) -> Iterator[bytes]:
    """The SQL inside a file whose bytes `chunks` give.

    IdentityError if it is encrypted and `identity` is None or has none of its keys; IntegrityError, at the latest at
    the end, if it is damaged or not what was encrypted.
    """
    if file.decrypted is None:
        yield from read_gzip(chunks, name=file.name)
        return
    if identity is None:
        raise no_identity()
    hasher = Hasher()

    def hashed() -> Iterator[bytes]:
        for piece in decrypt(chunks, identity, name=file.name):
            hasher.update(piece)
            yield piece

    yield from read_gzip(hashed(), name=file.name)
    found, wanted = hasher.checksums(plain_size=file.plain_size), file.decrypted
    if (found.size, found.sha256, found.md5) != (wanted.size, wanted.sha256, wanted.md5):
        raise IntegrityError(
            f"{file.name}, decrypted, is not what was encrypted: its SHA-256 is {found.sha256}, "
            f"the manifest says {wanted.sha256}",
            remedy=OTHER_COPY,
        )
