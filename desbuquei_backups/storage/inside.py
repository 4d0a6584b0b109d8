"""What is inside a backup's file: decrypted, if it is encrypted, and decompressed, as it streams by."""

from collections.abc import Iterable, Iterator

from desbuquei_backups.core.errors import IdentityError, IntegrityError
from desbuquei_backups.core.manifest import FileFacts
from desbuquei_backups.storage.age import SUFFIX, decrypt
from desbuquei_backups.storage.age_keys import IDENTITY, Identity
from desbuquei_backups.storage.stream import OTHER_COPY, Hasher, read_gzip, read_zstd


def no_identity() -> IdentityError:
    """What is said where a backup is encrypted, and nothing here opens it."""
    return IdentityError(
        "it is encrypted, and no identity is named that opens it",
        remedy=f"name the identity of one of the recipients in its manifest: --identity FILE, or {IDENTITY}",
    )


def read_inside(chunks: Iterable[bytes], file: FileFacts, identity: Identity | None) -> Iterator[bytes]:
    """What is inside a file whose bytes `chunks` give: SQL, a tar, or JSON.

    IdentityError if it is encrypted and `identity` is None or has none of its keys; IntegrityError, at the latest at
    the end, if it is damaged or not what was encrypted.
    """
    if file.decrypted is None:
        yield from _unpacked(chunks, file)
        return
    if identity is None:
        raise no_identity()
    hasher = Hasher()

    def hashed() -> Iterator[bytes]:
        for piece in decrypt(chunks, identity, name=file.name):
            hasher.update(piece)
            yield piece

    yield from _unpacked(hashed(), file)
    found, wanted = hasher.checksums(plain_size=file.plain_size), file.decrypted
    if (found.size, found.sha256, found.md5) != (wanted.size, wanted.sha256, wanted.md5):
        raise IntegrityError(
            f"{file.name}, decrypted, is not what was encrypted: its SHA-256 is {found.sha256}, "
            f"the manifest says {wanted.sha256}",
            remedy=OTHER_COPY,
        )


def _unpacked(chunks: Iterable[bytes], file: FileFacts) -> Iterator[bytes]:
    """By what the file's name ends in, but for the encryption's."""
    name = file.name.removesuffix(SUFFIX)
    if name.endswith(".gz"):
        return read_gzip(chunks, name=file.name)
    return read_zstd(chunks, name=file.name) if name.endswith(".zst") else iter(chunks)
