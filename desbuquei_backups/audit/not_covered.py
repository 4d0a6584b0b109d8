"""What no backup holds, where erasure duties meet copies that stay, and what the chain proves and what not."""

from collections.abc import Iterator

from desbuquei_backups.audit.facts import Backup, Facts, Question
from desbuquei_backups.audit.judging import named
from desbuquei_backups.audit.model import NotCovered
from desbuquei_backups.core.evidence import Kind

_MOST = 200
_ALWAYS = (
    NotCovered(
        "the backup host itself",
        "its settings, the policy file, the records and scheduler.log are on its disk alone; the records can be made "
        "again from the bucket (`desbuquei catalog rebuild`)",
    ),
    NotCovered("Dagster's own database", "run and check history; what was proven is in the chain of evidence as well"),
    NotCovered(
        "keys and credentials",
        "those of S3, of the database role and of KMS, and the secret age keys that open encrypted backups: without "
        "the latter no encrypted backup can ever be read",
    ),
    NotCovered("the server's configuration files", "a dump has none; a base backup has those in the data directory"),
    NotCovered("what was committed after the newest recovery point", "see the control of the recovery point"),
)

PROVES = (
    "Each link of the chain holds the SHA-256 of the link before it: a link that was changed, removed, added between "
    "or reordered since it was written shows, and is named in this report.",
    "The manifests, check results, proofs and records of drills in the bucket are compared with what the chain says of "
    "them: what was edited shows, and so does what was removed; of check results that are gone, their links have the "
    "verdicts.",
    "A link's signature, where the public keys were given to this report, shows that who wrote it had the signing key.",
    "Compared with an anchor (its head, carried away earlier) or the second place's copy, it shows that no end was cut "
    "off.",
)
PROVES_NOT = (
    "It does not show that the host was honest when it wrote a link: who controls the backup host can write what is "
    "false.",
    "Who may write to the bucket and rewrites the chain up to its end has a chain that is unbroken in itself: only "
    "signatures, an anchor, the second place or the bucket's own lock tell. Whoever has the signing key signs it, too.",
    "It does not show that what was never said did not happen.",
    "Times are those of the host that wrote; they are compared with the store's clock only before something is "
    "deleted.",
    "No person confirms the figures here by making this report: that is what the sign-off is for.",
)


def not_covered(facts: Facts) -> list[NotCovered]:
    """What always is, what the newest dumps left out, and what else is on the server."""
    found = [*_ALWAYS, *_left_out(facts)]
    if facts.other_databases:
        found.append(NotCovered(f"other databases of the server: {named(facts.other_databases)}", _OTHERS))
    elif facts.other_databases is None:
        why = facts.unknown.get(Question.SERVER, "it was not asked")
        found.append(NotCovered("other databases of the server", f"not known whether there are any: {why}"))
    return found


_OTHERS = "no dump here holds them; a base backup is of the whole server, and holds them as they were"


def _left_out(facts: Facts) -> Iterator[NotCovered]:
    """By the newest dump of the period; of roles' password hashes it is said either way."""
    dumps = [each for each in facts.in_period() if not each.wal and each.tables is not None]
    newest: Backup | None = max(dumps, key=lambda each: each.taken_at, default=None)
    if newest is None:
        yield NotCovered("exclusions", "not known: no manifest of a dump of the period could be read")
        return
    if not any(kind == "passwords" for kind, _, _ in newest.left_out):
        yield NotCovered("role passwords in plain", f"their hashes are in the globals of {newest.backup_id}")
    for kind, name, reason in newest.left_out[:_MOST]:
        what = f"role passwords, of {name}" if kind == "passwords" else f"{kind} {name}"
        yield NotCovered(what, f"{reason} (by {newest.backup_id})")
    if (more := len(newest.left_out) - _MOST) > 0:
        yield NotCovered(f"{more:,} more", f"the manifest of {newest.backup_id} names each")


def erasure(facts: Facts) -> list[str]:
    """Until when what is erased in the database today is in the copies of each tier, and in which for longer."""
    found = []
    for name, tier in facts.policy.tiers.items():
        last = f"{name}: until {tier.kept_in_s3.after(facts.now):%Y-%m-%d}"
        if tier.object_lock is None:
            found.append(f"{last}; not locked, they can be deleted before")
        elif facts.store is not None and facts.store.has_lock:
            found.append(f"{last}, locked ({tier.object_lock}): they cannot simply be deleted before")
        else:
            found.append(f"{last}; the policy locks them ({tier.object_lock}) where the bucket has Object Lock")
    holds = {each.backup_id for each in facts.events if each.kind is Kind.HELD}
    holds -= {each.backup_id for each in facts.events if each.kind is Kind.RELEASED}
    if holds:
        found.append(f"held until somebody releases them, whatever their age: {named(sorted(map(str, holds)))}")
    return found
