"""The controls of who can read, change or lose the backups: encryption, immutability, the off-site copy."""

from desbuquei_backups.audit.facts import Question, Source
from desbuquei_backups.audit.judging import (
    ARCHIVE_IS_ENCRYPTED,
    CONNECTION_OF_ARCHIVE,
    CONNECTION_OF_DUMP,
    SECOND_MATCHES,
    Judging,
    Part,
    named,
    together,
)
from desbuquei_backups.audit.model import Control, Verdict

_NO_BUCKET = "the bucket could not be asked"


def in_transit(judging: Judging) -> Control:
    """From the database to this host, and from here to S3."""
    found = together(
        [
            judging.checked(CONNECTION_OF_DUMP, judging.archived, "from the database to the backup host"),
            judging.checked(CONNECTION_OF_ARCHIVE, judging.archived, "from the backup host to S3"),
        ]
    )
    return Control(
        "encryption_in_transit",
        "Encryption in transit",
        "What leaves the database, and what is sent to S3, is encrypted on its way, or does not leave the machine.",
        found.verdict,
        found.why,
        exceptions=found.exceptions,
    )


def at_rest(judging: Judging) -> Control:
    """As the store says of each object."""
    found = judging.checked(ARCHIVE_IS_ENCRYPTED, judging.archived, "every object encrypted, as the store says")
    key = judging.facts.policy.kms_key
    return Control(
        "encryption_at_rest",
        "Encryption at rest",
        "Every object in S3 is encrypted by the store.",
        found.verdict,
        found.why,
        evidence=[f"encrypted with the KMS key {key}" if key else "the store keeps the keys (SSE-S3)"],
        exceptions=found.exceptions,
    )


def client_side(judging: Judging) -> Control:
    """With age, before anything is written: promised only where there are recipients."""
    backups, promised = judging.archived, judging.facts.recipients
    told = [each for each in backups if each.source is not Source.RECORDS]
    plain = [each.backup_id for each in told if not each.encrypted]
    if not promised and len(plain) == len(backups):
        why = "backups are not encrypted before they leave the host: whoever can read the bucket can read them"
        part = Part(Verdict.NOT_PROMISED, why)
    elif not backups:
        part = Part(Verdict.NOT_KNOWN, "there is no backup in the period")
    elif plain:
        part = Part(Verdict.FAILS, f"{len(plain):,} of {len(backups):,} backups are not encrypted: {named(plain)}")
    elif len(told) < len(backups):
        part = Part(Verdict.NOT_KNOWN, f"of {len(backups) - len(told):,} backups no manifest tells")
    else:
        part = Part(Verdict.HOLDS, f"all {len(backups):,} backups were encrypted with age before they were written")
    return Control(
        "encryption_client_side",
        "Encryption before upload",
        "Backups are encrypted to public keys before they are written: the host that takes them cannot read them.",
        part.verdict,
        part.why,
        evidence=["The secret keys are not in any backup: see what is not backed up."] if promised else [],
    )


def immutability(judging: Judging) -> Control:
    """Object Lock, as the bucket has it."""
    facts = judging.facts
    store, tiers = facts.store, facts.policy.tiers
    locked = [f"{name} ({tier.object_lock})" for name, tier in tiers.items() if tier.object_lock]
    locked.append(f"the chain of evidence ({facts.policy.evidence.object_lock})")
    evidence = [
        "Nothing is ever overwritten: every object is written on condition that its key is free.",
        f"Locked by the policy: {', '.join(locked)}.",
    ]
    if store is None:
        part = Part(Verdict.NOT_KNOWN, facts.unknown.get(Question.BUCKET, _NO_BUCKET))
    elif store.has_lock is None:
        part = Part(Verdict.NOT_KNOWN, "these credentials may not ask whether the bucket has Object Lock")
    elif not store.has_lock:
        why = "the bucket has no Object Lock: whoever may delete there can delete backups and their evidence"
        part = Part(Verdict.FAILS, why)
    else:
        wrong = [f"{what}: {until}" for what, until in store.locks.items() if not until.startswith("locked")]
        evidence += [f"{what}: {until}" for what, until in store.locks.items()]
        if wrong:
            part = Part(Verdict.FAILS, "something that the policy locks is not locked", wrong)
        elif not store.locks:
            part = Part(Verdict.NOT_KNOWN, "there is nothing yet that the policy locks")
        else:
            part = Part(Verdict.HOLDS, "what the policy locks is locked, as the newest of each shows")
    unlocked = [name for name, tier in tiers.items() if not tier.object_lock]
    return Control(
        "immutability",
        "Immutability",
        "What the policy locks can be neither changed nor deleted before its time, the evidence included.",
        part.verdict,
        part.why,
        evidence=evidence,
        exceptions=[*part.exceptions, *([f"not locked by the policy: {', '.join(unlocked)}"] if unlocked else [])],
    )


def off_site(judging: Judging) -> Control:
    """Where the copies are: on another machine, and where there is a second place, in both."""
    facts = judging.facts
    store = facts.store
    if store is None:
        parts = [Part(Verdict.NOT_KNOWN, facts.unknown.get(Question.BUCKET, _NO_BUCKET))]
    else:
        region = store.region or f"a region that is not known: {store.region_unknown}"
        if store.is_here:
            parts = [Part(Verdict.FAILS, f"the bucket {store.uri} is on this machine: one fire takes both")]
        else:
            verdict = Verdict.HOLDS if store.region else Verdict.NOT_KNOWN
            parts = [Part(verdict, f"the bucket {store.uri} is in {region}")]
        if store.second is None:
            parts[0] = Part(parts[0].verdict, parts[0].why, ["there is no second place: one provider has all copies"])
        elif store.second_trouble is not None:
            why = f"the second place could not be asked: {store.second_trouble}"
            parts.append(Part(Verdict.NOT_KNOWN, why))
        else:
            if store.behind:
                why = f"the second place, {store.second}, lacks {named(store.behind)}"
                parts.append(Part(Verdict.FAILS, why))
            parts.append(judging.checked(SECOND_MATCHES, judging.archived, f"in the second place, {store.second}, too"))
    found = together(parts)
    return Control(
        "off_site",
        "Off-site copy",
        "Every backup is kept away from the machine that it is taken on, and from the database.",
        found.verdict,
        found.why,
        exceptions=found.exceptions,
    )
