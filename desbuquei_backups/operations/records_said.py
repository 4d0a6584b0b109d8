"""Check results, proofs and drill records in the bucket against the SHA-256 that the chain of evidence says of each."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from desbuquei_backups.core.evidence import NOTHING, Head, Kind, Link, sha256_of
from desbuquei_backups.core.evidence_walk import Break, Fault
from desbuquei_backups.core.retention import Place
from desbuquei_backups.operations import drill_record, proofs
from desbuquei_backups.operations.evidence_head import links_after
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage.catalog import key_of
from desbuquei_backups.storage.in_order import read_in_order

_FIRST = Place.S3.value
_ALTERED = {
    Kind.CHECKS: Fault.CHECKS_ALTERED,
    Kind.PROVEN: Fault.PROOF_ALTERED,
    Kind.DRILLED: Fault.DRILL_ALTERED,
}
# Check results may not have been stored yet: what they say in short is in their link.
_GONE = {Kind.PROVEN: Fault.PROOF_GONE, Kind.DRILLED: Fault.DRILL_GONE}


@dataclass(frozen=True, slots=True)
class _Said:
    kind: Kind
    sequence: int
    sha256: str
    backup_id: str | None


class RecordsSaid:
    """Hears each link, and keeps of them what is said of records, by backup and key. `counts`: how many compared."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._said: dict[str | None, dict[str, _Said]] = {}
        self.counts: Counter[Kind] = Counter()

    def heard(self, link: Link) -> None:
        """Take note of what a link says, if it is of a record, or of a backup that is gone with its own."""
        if link.backup_id is not None and _is_tombstone(link):
            self._said.pop(link.backup_id, None)
        elif (key := _key(link)) is not None:
            said = _Said(link.kind, link.sequence, str(link.body.get("sha256")), link.backup_id)
            # What is said of a record is said once: a later link cannot make an edited one right.
            self._said.setdefault(link.backup_id, {}).setdefault(key, said)

    def compared(self, head: Head | None) -> Iterator[Break]:
        """Those in the bucket that are not what was said, up to `head`; proofs and drills that are not there."""
        said = {key: each for of_one in self._said.values() for key, each in of_one.items()}
        self._site.progress.stage("comparing check results, proofs and drills", len(said), unit="files")
        gone = set(said)
        for key, content in read_in_order(self._site.bucket, sorted(said), self._site.progress.advance):
            gone.remove(key)
            each = said[key]
            self.counts[each.kind] += 1
            if sha256_of(content) != each.sha256:
                what = f"{key} is not what link {each.sequence} speaks of"
                yield _break(_ALTERED[each.kind], what, key, each)
        yield from self._gone({key: said[key] for key in sorted(gone) if said[key].kind in _GONE}, head)

    def _gone(self, gone: Mapping[str, _Said], head: Head | None) -> Iterator[Break]:
        """But for those whose backup was pruned while the chain was walked."""
        if not gone:
            return
        pruned = {link.backup_id for link in links_after(self._site.bucket, head or NOTHING) if _is_tombstone(link)}
        for key, each in gone.items():
            if each.backup_id is None or each.backup_id not in pruned:
                what = f"link {each.sequence} speaks of {key}, and it is not in the bucket"
                yield _break(_GONE[each.kind], what, key, each)


def _break(fault: Fault, what: str, key: str, said: _Said) -> Break:
    return Break(fault, what, backup_id=said.backup_id, key=key, expected_sha256=said.sha256)


def _is_tombstone(link: Link) -> bool:
    return link.kind is Kind.PRUNED and link.body.get("place") == _FIRST


def _key(link: Link) -> str | None:
    """The key of the record that a link speaks of; None if it speaks of none that belongs in this bucket."""
    name = link.body.get("file" if link.kind is Kind.CHECKS else "key")
    if not isinstance(name, str):
        return None
    if link.kind is Kind.DRILLED:
        return name if link.body.get("place") == _FIRST and name.startswith(f"{drill_record.FOLDER}/") else None
    if link.backup_id is None:
        return None
    if link.kind is Kind.CHECKS:
        return key_of(name) if name.startswith(f"{link.backup_id}.") else None
    return name if link.kind is Kind.PROVEN and name.startswith(proofs.start_of(link.backup_id)) else None
