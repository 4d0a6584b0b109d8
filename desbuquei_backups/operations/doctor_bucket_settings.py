"""What the bucket is set to, against what docs/aws.md asks for and what the policy promises."""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from desbuquei_backups.core.errors import NotFound, StoreRefused
from desbuquei_backups.operations.doctor import Area, Precondition
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage.probing import May, Setting, setting

_BUCKET = Area("bucket")
_HOW = "docs/aws.md has it as Terraform"
_PUBLIC = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
_Look = Callable[[Mapping[str, Any]], Iterator[Precondition]]


def settings(site: Site, *, is_here: bool) -> Iterator[Precondition]:
    """Each setting that the store knows and tells; `is_here`: the store is on this machine. Nothing is changed."""
    locks = ", ".join(f"{name}: {tier.object_lock}" for name, tier in site.policy.tiers.items() if tier.object_lock)
    looks: tuple[tuple[str, Setting, _Look], ...] = (
        ("versioning", Setting.VERSIONING, _versioning),
        ("Object Lock", Setting.OBJECT_LOCK, partial(_object_lock, locks)),
        ("default encryption", Setting.ENCRYPTION, _encryption),
        ("lifecycle", Setting.LIFECYCLE, _lifecycle),
        ("public access", Setting.PUBLIC_ACCESS, _public_access),
        ("plain HTTP", Setting.POLICY, partial(_plain_http, is_here)),
    )
    for name, wanted, look in looks:
        yield from _BUCKET.guarded(name, partial(_found, site, name, wanted, look, locks))


def _found(site: Site, name: str, wanted: Setting, look: _Look, locks: str) -> Iterator[Precondition]:
    try:
        answer = setting(site.bucket, wanted)
    except (StoreRefused, NotFound) as error:
        yield _BUCKET.not_applicable(name, f"not known: {error.what}")
        return
    if answer.may is May.YES:
        yield from look(answer.given)
    elif answer.may is May.NO_SUCH_CALL:
        yield _BUCKET.not_applicable(name, "the store has no such setting")
    elif wanted is Setting.OBJECT_LOCK and locks:
        yield _BUCKET.failure(
            name,
            f"not known, since these credentials may not ask: what the policy locks ({locks}) is not archived",
            f"grant {wanted.action}",
        )
    else:
        yield _BUCKET.not_applicable(
            name, "not known: these credentials may not ask", f"grant {wanted.action} to see it here"
        )


def _versioning(given: Mapping[str, Any]) -> Iterator[Precondition]:
    if (status := str(given.get("Status", "off")).lower()) == "enabled":
        yield _BUCKET.ok("versioning", status)
    else:
        yield _BUCKET.warning(
            "versioning", f"{status}: what is deleted or written over is gone at once", f"switch it on: {_HOW}"
        )


def _object_lock(locks: str, given: Mapping[str, Any]) -> Iterator[Precondition]:
    found = given.get("ObjectLockConfiguration", {})
    if found.get("ObjectLockEnabled") != "Enabled":
        yield (
            _BUCKET.warning(
                "Object Lock",
                f"the bucket has none: THE LOCKS THAT THE POLICY PROMISES ARE NOT THERE ({locks})",
                f"archive to a bucket that has it ({_HOW}), or take object_lock out of the policy",
            )
            if locks
            else _BUCKET.not_applicable("Object Lock", "the bucket has none, and the policy asks for none")
        )
        return
    yield _BUCKET.ok("Object Lock", f"the bucket has it; the policy locks {locks or 'nothing'}")
    if (default := found.get("Rule", {}).get("DefaultRetention")) is None:
        yield _BUCKET.ok("default retention", "none: what is locked is what the policy says")
    else:
        length = f"{default['Days']} days" if default.get("Days") else f"{default.get('Years')} years"
        yield _BUCKET.warning(
            "default retention",
            f"{default['Mode'].lower()}, {length}: of all objects, so that prune must wait for the least of them",
            "take it out: object_lock in the policy locks each tier for as long as it is kept",
        )


def _encryption(given: Mapping[str, Any]) -> Iterator[Precondition]:
    rules = given.get("ServerSideEncryptionConfiguration", {}).get("Rules", [])
    defaults = [rule.get("ApplyServerSideEncryptionByDefault", {}) for rule in rules]
    if said := [" ".join(filter(None, (each.get("SSEAlgorithm"), each.get("KMSMasterKeyID")))) for each in defaults]:
        yield _BUCKET.ok("default encryption", ", ".join(said))
    else:
        yield _BUCKET.warning(
            "default encryption",
            "none: what is archived asks for it by itself, what else comes into the bucket does not",
            f"set SSE-S3 or SSE-KMS: {_HOW}",
        )


def _lifecycle(given: Mapping[str, Any]) -> Iterator[Precondition]:
    rules = [rule for rule in given.get("Rules", []) if rule.get("Status") == "Enabled"]
    aborts = [rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] for rule in rules if _aborts(rule)]
    if aborts:
        yield _BUCKET.ok("lifecycle", f"unfinished uploads are aborted after {min(aborts)} days")
    else:
        yield _BUCKET.warning(
            "lifecycle",
            "no rule aborts unfinished uploads: those of a host that is gone are paid for without end",
            f"add one: {_HOW}",
        )
    for rule in rules:
        if does := _does(rule):
            yield _BUCKET.warning(
                "lifecycle",
                f"the rule {rule.get('ID', '?')} {does}, whatever the policy promises",
                "take it out: `desbuquei prune` deletes what is too old, and the policy says each tier's class",
            )


def _aborts(rule: Mapping[str, Any]) -> bool:
    """Whether it aborts the uploads of all keys."""
    return "AbortIncompleteMultipartUpload" in rule and not _prefix(rule)


def _does(rule: Mapping[str, Any]) -> str:
    """What a rule does to backups by itself; nothing to what is under `probe/` alone, or to delete markers."""
    expires = rule.get("Expiration", {})
    if _prefix(rule).strip("/").rpartition("/")[2] == "probe":
        return ""
    if expires.get("Days") or expires.get("Date"):
        return "deletes objects"
    if rule.get("NoncurrentVersionExpiration"):
        return "deletes versions"
    return "moves objects to another class" if rule.get("Transitions") else ""


def _prefix(rule: Mapping[str, Any]) -> str:
    filtered = rule.get("Filter", {})
    return str(filtered.get("Prefix") or filtered.get("And", {}).get("Prefix") or rule.get("Prefix") or "")


def _public_access(given: Mapping[str, Any]) -> Iterator[Precondition]:
    found = given.get("PublicAccessBlockConfiguration", {})
    if missing := [name for name in _PUBLIC if not found.get(name)]:
        yield _BUCKET.warning("public access", f"not blocked: {', '.join(missing)}", f"block all of it: {_HOW}")
    else:
        yield _BUCKET.ok("public access", "blocked")


def _plain_http(is_here: bool, given: Mapping[str, Any]) -> Iterator[Precondition]:
    statements = json.loads(given.get("Policy", "{}")).get("Statement", [])
    if any(_refuses(each) for each in ([statements] if isinstance(statements, dict) else statements)):
        yield _BUCKET.ok("plain HTTP", "the bucket's policy refuses it")
    elif is_here:
        yield _BUCKET.not_applicable("plain HTTP", "not refused, and all there is on this machine")
    else:
        yield _BUCKET.warning("plain HTTP", "the bucket's policy does not refuse it", f"add that: {_HOW}")


def _refuses(statement: Mapping[str, Any]) -> bool:
    asked = statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")
    return statement.get("Effect") == "Deny" and str(asked).lower() == "false"
