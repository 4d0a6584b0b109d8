"""The check results in the bucket against the SHA-256 that the chain of evidence says of each."""

from collections.abc import Iterator
from dataclasses import dataclass

from desbuquei_backups.core.evidence import Kind, Link, sha256_of
from desbuquei_backups.core.evidence_walk import Break, Fault
from desbuquei_backups.core.retention import Place
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage.catalog import key_of
from desbuquei_backups.storage.in_order import read_in_order


@dataclass(frozen=True, slots=True)
class _Said:
    sequence: int
    sha256: str


class ChecksSaid:
    """Hears each link, and keeps of them what is said of check results, by backup and key."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._said: dict[str, dict[str, _Said]] = {}
        self.count = 0

    def heard(self, link: Link) -> None:
        """Take note of what a link says, if it is of check results, or of a backup that is gone with its own."""
        if link.backup_id is None:
            return
        name, sha256 = link.body.get("file"), link.body.get("sha256")
        if link.kind is Kind.PRUNED and link.body.get("place") == Place.S3.value:
            self._said.pop(link.backup_id, None)
        elif link.kind is Kind.CHECKS and isinstance(name, str) and name.startswith(f"{link.backup_id}."):
            self._said.setdefault(link.backup_id, {})[key_of(name)] = _Said(link.sequence, str(sha256))

    def compared(self) -> Iterator[Break]:
        """Those in the bucket that are not what was said; they are counted in `count`.

        One that is not there may not have been stored yet: what it says in short is in its link.
        """
        owners = {key: backup_id for backup_id, said in self._said.items() for key in said}
        self._site.progress.stage("comparing check results", len(owners), unit="files")
        for key, content in read_in_order(self._site.bucket, sorted(owners), self._site.progress.advance):
            self.count += 1
            backup_id = owners[key]
            said = self._said[backup_id][key]
            if sha256_of(content) != said.sha256:
                what = f"{key} is not what link {said.sequence} speaks of"
                yield Break(Fault.CHECKS_ALTERED, what, backup_id=backup_id, key=key, expected_sha256=said.sha256)
