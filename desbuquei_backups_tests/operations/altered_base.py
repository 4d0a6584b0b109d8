"""Base backups whose tar was changed, and whose manifest says so: what only PostgreSQL's own manifest can tell."""

import hashlib
import io
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

from zstandard import ZstdCompressor, ZstdDecompressor

from desbuquei_backups.core.manifest import Manifest, Role
from desbuquei_backups.storage import catalog


def with_members(folder: Path, manifest: Manifest, change: Callable[[str, bytes], bytes]) -> Manifest:
    """Replace the base backup in `folder` by one whose members are changed; its manifest."""
    plain = (folder / manifest.file(Role.BASE).name).read_bytes()
    return store_base(folder, manifest, altered(ZstdDecompressor().decompressobj().decompress(plain), change))


def with_an_altered_page(folder: Path, manifest: Manifest, file: str) -> Manifest:
    """Change a byte in the first page of that file, and let both manifests say so: only the page itself can tell."""
    sums: list[tuple[bytes, bytes]] = []

    def change(name: str, content: bytes) -> bytes:
        if name != file:
            return content
        changed = content[:4000] + bytes([content[4000] ^ 1]) + content[4001:]
        sums.append((_sha256(content), _sha256(changed)))
        return changed

    manifest = with_members(folder, manifest, change)
    own = (folder / manifest.file(Role.BASE_MANIFEST).name).read_bytes()
    ((was, now),) = sums
    head, last, _ = own.replace(was, now).rpartition(b'"Manifest-Checksum"')
    return store_file(folder, manifest, Role.BASE_MANIFEST, head + last + b': "' + _sha256(head) + b'"}\n')


def _sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def altered(tar: bytes, change: Callable[[str, bytes], bytes], added: Mapping[str, bytes] | None = None) -> bytes:
    """The tar with its members changed; `added`: other tars whose members follow below those folders."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as target:
        for below, each in {"": tar, **(added or {})}.items():
            with tarfile.open(fileobj=io.BytesIO(each)) as source:
                for member in source:
                    file = source.extractfile(member) if member.isreg() else None
                    member.name = f"{below}/{member.name}" if below else member.name
                    if file is None:
                        target.addfile(member)
                        continue
                    content = change(member.name, file.read())
                    member.size = len(content)
                    target.addfile(member, io.BytesIO(content))
    return made.getvalue()


def store_base(folder: Path, manifest: Manifest, tar: bytes) -> Manifest:
    """Put a tar in the base backup's place, and let the manifest say so."""
    return store_file(folder, manifest, Role.BASE, ZstdCompressor(level=1).compress(tar), plain_size=len(tar))


def store_file(
    folder: Path, manifest: Manifest, role: Role, content: bytes, *, plain_size: int | None = None
) -> Manifest:
    """Put other bytes in the place of the backup's file of that role, and let the manifest say so."""
    file = manifest.file(role)
    facts = file.model_copy(
        update={
            "size": len(content),
            "plain_size": len(content) if plain_size is None else plain_size,
            "sha256": hashlib.sha256(content).hexdigest(),
            "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
        }
    )
    files = [facts if each.role is role else each for each in manifest.files]
    manifest = manifest.model_copy(update={"files": files})
    for path, written in (
        (folder / file.name, content),
        (catalog.manifest_path(folder, manifest.backup_id), manifest.to_bytes()),
    ):
        path.unlink(missing_ok=True)  # it may share its bytes with another folder's
        path.write_bytes(written)
    return manifest
