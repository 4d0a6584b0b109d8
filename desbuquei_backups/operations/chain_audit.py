"""Audit the chain of evidence by the bucket alone: walk it, compare it with anchors, and with what the bucket holds."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from desbuquei_backups.core.anchors import Anchor, against
from desbuquei_backups.core.evidence import Head, Kind, Link, link_key, sequence_of, sha256_of
from desbuquei_backups.core.evidence_walk import Break, Fault, Step, walk
from desbuquei_backups.core.signatures import Signatures, Verifier
from desbuquei_backups.operations.evidence_head import find
from desbuquei_backups.operations.evidence_packs import read_links
from desbuquei_backups.operations.manifests_said import ManifestsSaid
from desbuquei_backups.operations.records_said import RecordsSaid
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.whole_versions import with_whole_versions


@dataclass(slots=True)
class Audited:
    """What was walked, from link `start` on, and every break, those of the chain first.

    `first` and `head`: the links that are there. `manifests`, `checks`, `proofs`, `drills`: how many of the bucket's
    were compared; `anchors`, `copies`: how many anchors from `start` on, and how many links of the second place's copy.
    `signed`: how many links have a good signature, from link `signed_since` on; `keys`: how many keys may sign, none if
    it was not asked.
    """

    start: int
    links: int = 0
    first: Link | None = None
    head: Head | None = None
    manifests: int = 0
    checks: int = 0
    proofs: int = 0
    drills: int = 0
    anchors: int = 0
    copies: int = 0
    keys: int = 0
    signed: int = 0
    signed_since: int | None = None
    breaks: list[Break] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        return not self.breaks


def audit(
    site: Site,
    *,
    anchors: Sequence[Anchor] = (),
    second: bool = False,
    start: int = 1,
    keys: Mapping[str, Verifier] | None = None,
    heard: Callable[[Link], None] = lambda _: None,
) -> Audited:
    """Walk the chain from link `start` on. StoreError if the bucket cannot be asked.

    `second`: the second place's copy of each link must be the same, and must not go on where the chain ends. `keys`:
    those that may sign, by their ids; None: as the settings say, and where these name none, no signature is judged.
    `heard` is told each link that can be read; that one was altered may show only when the next is.
    """
    signatures = Signatures(site.public_keys if keys is None else keys)
    done = Audited(start, anchors=sum(each.sequence >= start for each in anchors), keys=len(signatures.keys))
    end = find(site.bucket)
    manifests, records = ManifestsSaid(site), RecordsSaid(site)
    site.progress.stage("walking the chain", max(end.sequence - start + 1, 0), unit="links")
    since = site.policy.evidence.kept_in_s3.before(site.now())
    anchored = {anchor.sequence for anchor in anchors}
    walked: dict[int, str] = {}
    found = read_links(site.bucket, start, site.progress.advance)
    steps = walk(found, site.policy.database, start=start, kept_since=since, heard=signatures.heard)
    for step in _beside_second(site, steps, start, done) if second else steps:
        done.breaks += step.breaks
        if step.sequence is None:
            continue
        done.links += 1
        done.first = done.first or step.link
        done.head = Head(step.sequence, step.sha256)
        if step.sequence in anchored:
            walked[step.sequence] = step.sha256
        if step.link is not None:
            manifests.heard(step.link)
            records.heard(step.link)
            heard(step.link)
    done.breaks += signatures.ended()
    done.signed, done.signed_since = signatures.signed, signatures.since
    done.breaks += against(anchors, walked, start=start, last=done.head.sequence if done.head else None)
    done.breaks = list(with_whole_versions(site, done.breaks))
    done.breaks += manifests.compared(done.head, everything=start == 1, first=done.first)
    done.breaks += records.compared(done.head)
    done.manifests, counts = manifests.count, records.counts
    done.checks, done.proofs, done.drills = (counts[kind] for kind in (Kind.CHECKS, Kind.PROVEN, Kind.DRILLED))
    return done


def _beside_second(site: Site, steps: Iterable[Step], start: int, done: Audited) -> Iterator[Step]:
    """The same steps, each with what the second place's copy of it shows; the breaks of its end go into `done`."""
    there = read_links(site.at_second_place.bucket, start, packs=site.bucket)
    pairs = ((sequence_of(key), content) for key, content in there)
    copies = ((number, sha256_of(content)) for number, content in pairs if number is not None)
    copy, last = next(copies, None), None
    for step in steps:
        while copy is not None and step.sequence is not None and copy[0] < step.sequence:
            copy = next(copies, None)  # the link is missing here, which the walk names
        same = copy is not None and copy[0] == step.sequence
        done.copies += same
        if copy is not None and same and copy[1] != step.sha256:
            what = "it is not what the second place has: one of the two was rewritten"
            rewritten = Break(Fault.REWRITTEN, what, step.sequence, None, step.backup_id, step.key, copy[1])
            yield replace(step, breaks=[*step.breaks, rewritten])
        else:
            yield step
        last = step.sequence or last
    more = [number for number, _ in ([copy] if copy else []) + list(copies) if last is None or number > last]
    if more:
        what = f"the second place has it, and the chain ends with link {last}" if last else "the second place has it"
        until = more[-1] if len(more) > 1 else None
        done.breaks.append(Break(Fault.CUT_OFF, what, more[0], until, key=link_key(more[0])))
