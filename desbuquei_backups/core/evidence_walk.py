"""Walk the chain of evidence, link by link, and name every break: which link, what is wrong, of which backup."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from desbuquei_backups.core.errors import IntegrityError
from desbuquei_backups.core.evidence import FOLDER, Link, link_key, parse_link, sequence_of, sha256_of


class Fault(StrEnum):
    """What is wrong: with the chain itself, its end, a signature, or with what it speaks of."""

    MISSING = "missing"
    ALTERED = "altered"
    REORDERED = "reordered"
    UNREADABLE = "unreadable"
    FOREIGN = "of another database"
    NO_LINK = "no link"
    CUT_OFF = "cut off"
    REWRITTEN = "rewritten"
    MANIFEST_ALTERED = "manifest altered"
    MANIFEST_UNKNOWN = "manifest unknown"
    MANIFEST_GONE = "manifest gone"
    STILL_THERE = "still there"
    UNSIGNED = "unsigned"
    ANOTHER_KEY = "signed by another key"
    BAD_SIGNATURE = "wrongly signed"
    CHECKS_ALTERED = "check results altered"
    PROOF_ALTERED = "proof altered"
    PROOF_GONE = "proof gone"
    DRILL_ALTERED = "drill record altered"
    DRILL_GONE = "drill record gone"


@dataclass(frozen=True, slots=True)
class Break:
    """One thing that is not as it was. `sequence`: the link's number, up to `last` where several are missing.

    `expected_sha256` is what the next link says of the (last) link that is wrong. `whole_version`: the id of an older
    version of its object that is what it should be.
    """

    fault: Fault
    what: str
    sequence: int | None = None
    last: int | None = None
    backup_id: str | None = None
    key: str | None = None
    expected_sha256: str | None = None
    whole_version: str | None = None

    def said(self) -> str:
        """In one line, for a person: `link 12 (daily-…): altered: it is not what link 13 says it was`."""
        if self.sequence is None:
            subject = self.backup_id or self.key or "the chain"
        else:
            numbers = f"links {self.sequence} to {self.last}" if self.last else f"link {self.sequence}"
            subject = f"{numbers} ({self.backup_id})" if self.backup_id else numbers
        whole = f"; its version {self.whole_version} is whole" if self.whole_version else ""
        return f"{subject}: {self.fault}: {self.what}{whole}"


@dataclass(frozen=True, slots=True)
class Step:
    """An object of the chain's folder, and the breaks that it shows. `link`: None if it cannot be read."""

    key: str
    sequence: int | None
    sha256: str
    link: Link | None
    breaks: Sequence[Break]

    @property
    def backup_id(self) -> str | None:
        return self.link.backup_id if self.link is not None else None


def walk(
    found: Iterable[tuple[str, bytes]],
    database: str,
    *,
    start: int = 1,
    kept_since: datetime | None = None,
    heard: Callable[["Step", bytes], Sequence[Break]] = lambda step, content: (),  # noqa: ARG005
) -> Iterator[Step]:
    """Each object in the order of its key, which `found` must have, with all breaks.

    `start`: the number of the first one that is walked. Links before the first that is there may be gone if that one
    was said before `kept_since`: theirs was over by then. `heard` says what else is wrong with a link. A last link that
    is lost or altered shows no break here: only an anchor tells (`against`).
    """
    expected, before = start, None
    for key, content in found:
        sequence = sequence_of(key)
        if sequence is None:
            stray = Break(Fault.NO_LINK, f"nothing but links belongs below {FOLDER}: see who wrote it", key=key)
            yield Step(key, None, sha256_of(content), None, [stray])
            continue
        step = _step(key, sequence, content, database)
        breaks = list(step.breaks)
        own = step.link if not breaks else None
        if sequence > expected and not (before is None and _is_over(own, kept_since)):
            breaks.append(_missing(expected, sequence - 1, own))
        if own is not None and (wrong := _unlike_previous(step, own, before if sequence == expected else None)):
            breaks.append(wrong)
        breaks += heard(step, content)
        before, expected = Step(key, sequence, step.sha256, step.link, breaks), sequence + 1
        yield before


def _step(key: str, sequence: int, content: bytes, database: str) -> Step:
    """One link by itself."""
    link, faults = None, list[tuple[Fault, str]]()
    try:
        link = parse_link(content, where=key)
    except IntegrityError as error:
        faults.append((Fault.UNREADABLE, error.what))
    if link is not None and link.database != database:
        faults.append((Fault.FOREIGN, f"it is of the database {link.database}, not of {database}"))
    elif link is not None and link.sequence != sequence:
        faults.append((Fault.REORDERED, f"it says of itself that it is link {link.sequence}"))
    backup_id = link.backup_id if link is not None else None
    breaks = [Break(fault, what, sequence, backup_id=backup_id, key=key) for fault, what in faults]
    return Step(key, sequence, sha256_of(content), link, breaks)


def _is_over(first: Link | None, kept_since: datetime | None) -> bool:
    return first is not None and kept_since is not None and first.at < kept_since


def _missing(first: int, last: int, following: Link | None) -> Break:
    expected = following.previous_sha256 if following is not None else None
    key = link_key(first) if first == last else None
    what = "it is not in the bucket" if first == last else "they are not in the bucket"
    return Break(Fault.MISSING, what, first, last if last > first else None, key=key, expected_sha256=expected)


def _unlike_previous(step: Step, link: Link, before: Step | None) -> Break | None:
    """What a link in its own place says of the one before it, against what that one is. A lost one says nothing."""
    if (link.sequence == 1) is not (link.previous_sha256 is None):
        said = "it is the first, and speaks of one before it" if link.sequence == 1 else "it says that it is the first"
        return Break(Fault.ALTERED, said, link.sequence, backup_id=link.backup_id, key=step.key)
    if before is None or before.sha256 == link.previous_sha256:
        return None
    return Break(
        Fault.ALTERED,
        f"it is not what link {link.sequence} says it was: one of the two was altered",
        before.sequence,
        backup_id=before.backup_id,
        key=before.key,
        expected_sha256=link.previous_sha256,
    )
