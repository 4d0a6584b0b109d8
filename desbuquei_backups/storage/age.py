"""Client-side encryption with age: to public keys as bytes stream by, and back with an identity, which is a secret.

The format is that of https://age-encryption.org/v1: `age -d -i IDENTITY FILE` reads it without us.
"""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress

from desbuquei_backups.core.errors import IdentityError, IntegrityError
from desbuquei_backups.storage.age_keys import IDENTITY, Identity, recipient

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
    waiting: queue.Queue[bytes | None] = queue.Queue(_AHEAD)
    worker = _Decrypting(chunks, identity, waiting)
    thread = threading.Thread(target=worker.run, name="decrypt", daemon=True)
    thread.start()
    try:
        while (piece := waiting.get()) is not None:
            yield piece
    finally:
        worker.stop()
        thread.join()
    if worker.failure is not None:
        raise worker.failure
    if worker.refusal is not None:
        raise _meaning(worker.refusal, identity, name)


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


class _Stopped(Exception):
    """Who read is gone."""


class _Decrypting:
    """Decrypts in a thread of its own: age pushes, and whoever reads pulls.

    `failure`: what reading the encrypted bytes raised; `refusal`: what age has against them.
    """

    def __init__(self, chunks: Iterable[bytes], identity: Identity, waiting: "queue.Queue[bytes | None]") -> None:
        self._source, self._identity, self._waiting = _Source(chunks), identity, waiting
        self._stopped = False
        self.failure: BaseException | None = None
        self.refusal: str | None = None

    def run(self) -> None:
        import pyrage

        try:
            pyrage.decrypt_io(self._source, _Sink(self._put), list(self._identity.keys))
        except (pyrage.DecryptError, OSError, _Stopped) as error:
            self.refusal = str(error)
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that reads
            self.failure = error
        self.failure = self._source.failure or self.failure
        with suppress(_Stopped):
            self._put(None)

    def stop(self) -> None:
        """Whoever reads wants no more: what is waiting is dropped, and the thread ends."""
        self._stopped = True
        with suppress(queue.Empty):
            while True:
                self._waiting.get_nowait()

    def _put(self, data: bytes | None) -> None:
        while not self._stopped:
            with suppress(queue.Full):
                self._waiting.put(data, timeout=0.1)
                return
        raise _Stopped


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
