"""Write one file of a backup: aside, encrypted if the settings say so, under its final name when it is whole."""

from collections.abc import Callable, Sequence
from pathlib import Path

from desbuquei_backups.core.manifest import DecryptedFacts, FileFacts, Role
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage import age, disk
from desbuquei_backups.storage.stream import Checksums

Write = Callable[[Path, Sequence[str]], Checksums]


def write_file_of(site: Site, slot: Slot, role: Role, suffix: str, write: Write) -> FileFacts:
    """The facts of the file `<id>.<suffix>`, which `write` makes at the path, for the recipients, that it is given."""
    recipients = site.settings.age_recipients
    name = f"{slot.backup_id}.{suffix}{age.SUFFIX if recipients else ''}"
    with disk.aside(site.settings.folder / name) as partial:
        sums = write(partial, recipients)
    inside = sums.decrypted
    return FileFacts(
        name=name,
        role=role,
        size=sums.size,
        plain_size=sums.plain_size,
        md5=sums.md5,
        sha256=sums.sha256,
        decrypted=DecryptedFacts(size=inside.size, md5=inside.md5, sha256=inside.sha256) if inside else None,
    )
