"""What the links of the chain say, gathered as they are walked: backups, check results, and what somebody did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pydantic_core import from_json

from desbuquei_backups.audit.facts import Backup, Checked, Event, Source
from desbuquei_backups.audit.model import SignedOff
from desbuquei_backups.audit.policies import changed, described
from desbuquei_backups.core.comparison import Verdict
from desbuquei_backups.core.evidence import Kind, Link
from desbuquei_backups.core.looks import Looks, parse
from desbuquei_backups.core.slots import Slot, slot_of

_FIRST = "s3"  # of the two places, that which backups are archived in first
_DONE = (Kind.HELD, Kind.RELEASED, Kind.PRUNED, Kind.VERIFIED, Kind.ADOPTED, Kind.POLICY)


@dataclass
class Heard:
    """Hears each link once, in order; `told` leaves out what stands in links that are not to be believed."""

    _manifests: dict[Slot, list[tuple[int, Backup]]] = field(default_factory=dict)
    _archived: dict[Slot, list[tuple[int, datetime]]] = field(default_factory=dict)
    _pruned: dict[Slot, tuple[int, datetime]] = field(default_factory=dict)
    _checks: list[Checked] = field(default_factory=list)
    _events: list[Event] = field(default_factory=list)
    _signed: list[SignedOff] = field(default_factory=list)
    _looks: list[tuple[int, Looks]] = field(default_factory=list)
    _drills: list[tuple[int, str, str]] = field(default_factory=list)
    _policies: list[tuple[int, datetime, Mapping[str, Any]]] = field(default_factory=list)

    def heard(self, link: Link) -> None:
        """Take note of a link."""
        slot = slot_of(link.backup_id) if link.backup_id is not None else None
        if link.kind is Kind.CHECKS:
            self._checks += _checks(link, link.backup_id)
            if link.backup_id is None and (looks := parse(link.body.get("looks"))) is not None:
                self._looks.append((link.sequence, looks))
        elif link.kind is Kind.DRILLED:
            self._drills.append((link.sequence, str(link.body.get("key")), str(link.body.get("sha256"))))
        elif link.kind is Kind.SIGNED_OFF:
            self._signed += _signed(link)
        elif link.kind is Kind.POLICY and isinstance(found := link.body.get("policy"), Mapping):
            self._policies.append((link.sequence, link.at, found))
        if slot is not None and link.kind in (Kind.MANIFEST, Kind.ADOPTED):
            backup = of_manifest(slot, link.body.get("manifest"), Source.CHAIN)
            if backup is not None:
                self._manifests.setdefault(slot, []).append((link.sequence, backup))
        if slot is not None and link.kind in (Kind.ARCHIVED, Kind.ADOPTED):
            self._archived.setdefault(slot, []).append((link.sequence, link.at))
        if slot is not None and link.kind is Kind.PRUNED and link.body.get("place") == _FIRST:
            self._pruned[slot] = (link.sequence, link.at)
        if link.kind in _DONE and link.kind is not Kind.POLICY:
            self._events.append(Event(link.sequence, link.at, link.kind, link.backup_id, _said(link)))

    def backups(self, broken: frozenset[int]) -> dict[Slot, Backup]:
        """Each backup by the last of its manifests that is to be believed, its archive and its tombstone likewise."""
        found = {}
        for slot, manifests in self._manifests.items():
            whole = [(number, each) for number, each in manifests if number not in broken]
            if not whole:
                continue
            number, backup = whole[-1]
            pruned = self._pruned.get(slot)
            found[slot] = replace(
                backup,
                link=number,
                archived_at=self.archived_at(slot, broken),
                pruned_at=pruned[1] if pruned is not None and pruned[0] not in broken else None,
            )
        return found

    def archived_at(self, slot: Slot, broken: frozenset[int]) -> datetime | None:
        """Since when S3 has it, as the first link says it that is to be believed."""
        return next((at for number, at in self._archived.get(slot, ()) if number not in broken), None)

    def checks(self, broken: frozenset[int]) -> list[Checked]:
        return [each for each in self._checks if each.link not in broken]

    def looks(self, broken: frozenset[int]) -> list[Looks]:
        """The looks at the WAL, in order; where links were lost, they have gaps."""
        return [each for number, each in self._looks if number not in broken]

    def drills(self, broken: frozenset[int]) -> dict[str, str]:
        """The SHA-256 of each drill's record, by its key."""
        return {key: sha256 for number, key, sha256 in self._drills if number not in broken}

    def signed_off(self, broken: frozenset[int]) -> list[SignedOff]:
        return [each for each in self._signed if each.link not in broken]

    def events(self, broken: frozenset[int]) -> list[Event]:
        """What was done, and how the policy changed from one link to the next."""
        found = [each for each in self._events if each.link not in broken]
        before: Mapping[str, Any] | None = None
        for number, at, policy in self._policies:
            if number in broken:
                continue
            what = described(policy) if before is None else "; ".join(changed(before, policy))
            if what:
                found.append(Event(number, at, Kind.POLICY, None, what))
            before = policy
        return sorted(found, key=lambda each: each.link)


def of_manifest(slot: Slot, content: object, source: Source) -> Backup | None:
    """What a manifest, as a text or bytes, says; None if it cannot be read. It is not validated: its link was."""
    if not isinstance(content, str | bytes):
        return None
    try:
        found = from_json(content)
        files = found["files"]
        taken_at = datetime.fromisoformat(found["taken_at"])
    except (ValueError, KeyError, TypeError):
        return None
    point = found.get("point")
    tables = found.get("tables") or ()
    return Backup(
        slot,
        source,
        taken_at,
        size=sum(each.get("size", 0) for each in files),
        seconds=found.get("duration_seconds"),
        rows=sum(each.get("rows") or 0 for each in tables) if tables else None,
        tables=len(tables) if point is None else None,
        wal=point is not None,
        base=found.get("base") is not None,
        encrypted=bool(found.get("recipients")),
        origin=found.get("copy_of") or found.get("same_as"),
        operator=found.get("operator"),
        reason=found.get("reason"),
        left_out=[(each["kind"], each["identity"], each["reason"]) for each in found.get("left_out") or ()],
    )


def _checks(link: Link, backup_id: str | None) -> list[Checked]:
    results = link.body.get("checks")
    known = {each.value: each for each in Verdict}
    return [
        Checked(
            link.sequence,
            link.at,
            backup_id,
            str(link.body.get("step")),
            str(each.get("check")),
            known.get(str(each.get("verdict"))),
            str(each.get("summary") or ""),
        )
        for each in (results if isinstance(results, Sequence) and not isinstance(results, str) else ())
        if isinstance(each, Mapping)
    ]


def _signed(link: Link) -> list[SignedOff]:
    body = link.body
    try:
        start, end = (datetime.fromisoformat(str(body[name])) for name in ("from", "to"))
    except (KeyError, ValueError):
        return []
    note = str(body["note"]) if body.get("note") else None
    return [
        SignedOff(str(body.get("reviewer")), link.at, start, end, str(body.get("report_sha256")), note, link.sequence)
    ]


def _said(link: Link) -> str:
    """What a link says that somebody did, in a few words."""
    body = link.body
    if link.kind is Kind.HELD:
        return f"held by {body.get('operator')}: {body.get('reason')}"
    if link.kind is Kind.RELEASED:
        return f"released; it was {body.get('was')}"
    if link.kind is Kind.ADOPTED:
        return f"adopted by {body.get('operator')}: {body.get('reason')}"
    if link.kind is Kind.PRUNED:
        place = "S3" if body.get("place") == _FIRST else "the second place"
        return f"pruned in {place}: {body.get('reason')}"
    backups = body.get("backups")
    each = [one for one in backups if isinstance(one, Mapping)] if isinstance(backups, Sequence) else []
    wrong = [f"{one.get('backup_id')} in {one.get('where')}" for one in each if one.get("whole") is not True]
    return f"{len(each):,} verified, " + (f"not whole: {', '.join(wrong)}" if wrong else "all whole")
