"""Client-side encryption with age: to public keys as bytes stream by, and back with an identity, which is a secret.

The format is that of https://age-encryption.org/v1: `age -d -i IDENTITY FILE` reads it without us.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from desbuquei_backups.core.errors import IdentityError, IntegrityError
from desbuquei_backups.storage.age_keys import IDENTITY, Identity, recipient
from desbuquei_backups.storage.ahead import pulled

SUFFIX = ".age"
_AHEAD = 16  # pieces of 64 KiB between who decrypts and who reads


def encrypt(chunks: Iterable[bytes], recipients: Sequence[str], write: Callable[[bytes], None]) -> None:
    """Hand what `chunks` give to `write`, encrypted to all of the recipients: any one of them can read it.

    What `chunks` or `write` raise is raised as it is.
    """
    import pyrage

    source, sink = _Source(chunks), _Sink(write)
    try:
        pyrage.encrypt_io(source, sink, [recipient(each, "a recipient") for each in recipients])
    except pyrage.EncryptError:
        raise (
            source.failure
            or sink.failure
            or IntegrityError("age could not encrypt", remedy="run again; please report it if it happens twice")
        ) from None


def decrypt(chunks: Iterable[bytes], identity: Identity, *, name: str) -> Iterator[bytes]:
    """The bytes that were encrypted, as they come; each piece was authenticated.

    `chunks` are read in another thread. IdentityError if the identity has none of the keys; IntegrityError, at the
    latest at the end, if anything was altered or is cut off.
    """
    import pyrage

    def make(put: Callable[[bytes], None]) -> None:
        source = _Source(chunks)
        try:
            pyrage.decrypt_io(source, _Sink(put), list(identity.keys))
        except (pyrage.DecryptError, OSError) as error:
            raise source.failure or _meaning(str(error), identity, name) from None

    return pulled(make, name="decrypt", most=_AHEAD)


def _meaning(refusal: str, identity: Identity, name: str) -> IdentityError | IntegrityError:
    if "matching key" in refusal:
        return IdentityError(
            f"{name} is encrypted, and {identity.where} has none of its keys",
            remedy=f"name the identity of one of the recipients in its manifest: --identity FILE, or {IDENTITY}",
        )
    return IntegrityError(
        f"{name} is damaged: {refusal}",
        remedy="use the copy in the other place (disk or S3); `desbuquei verify` says which one is whole",
    )


class _Source:
    """Chunks as a file that age reads from; an error of theirs is kept, since age words it in its own way."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks, self._left = iter(chunks), memoryview(b"")
        self.failure: BaseException | None = None

    def read(self, count: int = -1) -> bytes:
        try:
            while not self._left:
                self._left = memoryview(next(self._chunks))
        except StopIteration:
            return b""
        except BaseException as error:
            self.failure = error
            raise
        count = len(self._left) if count < 0 else count
        piece, self._left = self._left[:count], self._left[count:]
        return bytes(piece)


class _Sink:
    """A file that age writes to."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self.failure: BaseException | None = None

    def write(self, data: bytes) -> int:
        try:
            self._write(data)
        except BaseException as error:
            self.failure = error
            raise
        return len(data)

    def flush(self) -> None:
        pass
