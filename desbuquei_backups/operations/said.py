"""What is said in the chain of evidence, and in which words: one function for each thing that is done to a backup."""

import json
import os
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from desbuquei_backups.core.errors import IntegrityError
from desbuquei_backups.core.evidence import Kind, Stored, link_key, parse_link, sha256_of
from desbuquei_backups.core.manifest import Manifest
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import check_results, records
from desbuquei_backups.operations.asked import Asked
from desbuquei_backups.operations.drill_record import DrillRecord
from desbuquei_backups.operations.evidence import owe, send, try_to_send
from desbuquei_backups.operations.evidence_head import WRITTEN, find, newer, recall
from desbuquei_backups.operations.proofs import RecordedProof
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.verification import Verified
from desbuquei_backups.storage.in_order import read_in_order
from desbuquei_backups.storage.versions import Version

# Clocks of two machines may be so far apart, and what was said may have waited so long to be sent.
_SLACK = timedelta(days=3)
_MOST, _LONGEST = 20, 200


def sealed(site: Site, manifest: Manifest) -> None:
    """Owe the whole manifest, by its exact bytes; call it before they get their name."""
    owe(site, Kind.MANIFEST, manifest.backup_id, of_manifest(manifest))


def archived(site: Site, manifest: Manifest) -> None:
    """Owe that the bucket has the backup from now on, if the records do not say so yet; then send all that is owed."""
    if not records.says_archived(site.settings.folder, manifest.backup_id):
        sha256 = sha256_of(manifest.to_bytes())
        where = site.bucket.uri(manifest.tier)
        owe(site, Kind.ARCHIVED, manifest.backup_id, {"sha256": sha256, "where": where})
    try_to_send(site)


def checks(
    site: Site,
    backup_id: str,
    step: str,
    results: Sequence[dict[str, Any]],
    *,
    whole: Sequence[dict[str, Any]] | None = None,
) -> None:
    """Owe a step's check results, and send them if the store answers; `whole`: as they go beside the manifest."""
    kept = check_results.keep(site, backup_id, step, results if whole is None else whole)
    body = {"step": step, "checks": list(results), "file": kept.name, "sha256": kept.sha256}
    owe(site, Kind.CHECKS, backup_id, body)
    try_to_send(site)
    check_results.try_to_send(site)


def general_checks(site: Site, step: str, results: Sequence[dict[str, Any]], **more: Any) -> None:
    """Owe results of checks that belong to no backup, and `more` of what was found; send them if the store answers."""
    owe(site, Kind.CHECKS, None, {"step": step, "checks": list(results), **more})
    try_to_send(site)


def proven(site: Site, proof: RecordedProof, stored: Stored) -> None:
    """Say what a restored copy showed, and where the record of it is: nobody may edit or remove it unseen."""
    told = {"restored": proof.restored, "verdict": proof.verdict.value}
    owe(site, Kind.PROVEN, proof.backup_id, {"key": stored.key, "sha256": stored.sha256, **told})
    try_to_send(site)


def drilled(site: Site, record: DrillRecord, stored: Stored) -> None:
    """The same of a recovery drill, in the place that `site` is of. Where there is no backup folder nothing is said."""
    if not _has_folder(site):
        return
    told = {
        "place": _place(site),
        "backup_id": record.backup_id,
        "recovery_seconds": record.recovery_seconds,
        "faults": [each[:_LONGEST] for each in record.faults[:_MOST]],
    }
    owe(site, Kind.DRILLED, None, {"key": stored.key, "sha256": stored.sha256, **told})
    try_to_send(site)


def pruned(site: Site, slot: Slot, reason: str, objects: Iterable[Version], *, cut_off_since: datetime | None) -> None:
    """Append the tombstone of a backup in the place that `site` is of; it is in the chain when this returns.

    `cut_off_since`: when a prune of it began that was cut off: if it got so far, nothing is said again. StoreError.
    """
    place = _place(site)
    entry_id = f"pruned-{place}-{slot.backup_id}"
    if cut_off_since is not None:
        send(site)
        if _was_said(site.first or site, entry_id, cut_off_since):
            return
    gone = [{"key": each.key, "version": each.version_id, "bytes": each.size} for each in objects]
    owe(site, Kind.PRUNED, slot.backup_id, {"place": place, "reason": reason, "objects": gone}, entry_id=entry_id)
    send(site)


def held(site: Site, backup_id: str, asked: Asked) -> None:
    """Say who holds a backup, and why."""
    owe(site, Kind.HELD, backup_id, {"operator": asked.operator, "reason": asked.reason})
    try_to_send(site)


def released(site: Site, backup_id: str, was: str) -> None:
    """Say that a hold ended; `was`: who had held it, and why."""
    owe(site, Kind.RELEASED, backup_id, {"was": was})
    try_to_send(site)


def verified(site: Site, done: Sequence[Verified]) -> None:
    """Say which backups were verified, and what was wrong with them: one entry for all that one command verified.

    Where there is no backup folder, as where an auditor verifies with nothing but the bucket, nothing is said.
    """
    if not done or not _has_folder(site):
        return
    backups = [
        {
            "backup_id": each.backup_id,
            "where": "second" if site.first is not None else each.where,
            "whole": each.whole,
            **({"faults": [f"{f.name}: {fault}" for f in each.files for fault in f.faults]} if not each.whole else {}),
        }
        for each in done
    ]
    owe(site, Kind.VERIFIED, None, {"backups": backups})
    try_to_send(site)


def policy(site: Site) -> None:
    """Say what the policy is, so that it can be told when it was changed. Of a command, only the program is said."""
    told = site.policy.model_dump(mode="json", exclude_none=True)
    if (command := told.get("evidence", {}).get("anchor_command")) is not None:
        told["evidence"]["anchor_command"] = command[0]
    owe(site, Kind.POLICY, None, {"policy": told})
    try_to_send(site)


def signed_off(site: Site, reviewer: str, start: datetime, end: datetime, report: bytes, note: str | None) -> None:
    """Say that somebody reviewed a report, by the exact bytes of its JSON; it is in the chain when this returns.

    StoreError: it stays owed, and is sent with what is said next.
    """
    body = {"reviewer": reviewer, "from": start.isoformat(), "to": end.isoformat(), "report_sha256": sha256_of(report)}
    owe(site, Kind.SIGNED_OFF, None, {**body, **({"note": note} if note else {})})
    send(site)


def of_manifest(manifest: Manifest) -> dict[str, Any]:
    """The manifest as a text, whose bytes have that SHA-256: `jq -j .body.manifest | sha256sum`."""
    content = manifest.to_bytes()
    return {"sha256": sha256_of(content), "manifest": content.decode()}


def instant_in(content: bytes, name: str) -> datetime | None:
    """The instant of that name in a JSON object, aware; None if there is none."""
    try:
        found = datetime.fromisoformat(json.loads(content)[name])
    except (ValueError, KeyError, TypeError):
        return None
    return found if found.tzinfo else None


def _has_folder(site: Site) -> bool:
    """Whether what is owed can be written down: somebody who reads the bucket elsewhere has no backup folder."""
    return os.access((site.first or site).settings.folder, os.W_OK | os.X_OK)


def _place(site: Site) -> str:
    return "s3" if site.first is None else "second"  # as copies.Place has it


def _was_said(site: Site, entry_id: str, since: datetime) -> bool:
    """Whether the chain says it, looked for from its end back to that instant."""
    head = newer(site.bucket, recall(site, WRITTEN) or find(site.bucket)).head
    keys = (link_key(number) for number in range(head.sequence, 0, -1))
    for key, content in read_in_order(site.bucket, keys):
        try:
            link = parse_link(content, where=key)
        except IntegrityError:
            continue
        if link.entry_id == entry_id:
            return True
        if link.at < since - _SLACK:
            return False
    return False
