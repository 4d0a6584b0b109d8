"""The chain's day: what is owed is sent, what is new since yesterday is walked, and all of it once a month."""

from desbuquei_backups.core.anchors import anchor_of
from desbuquei_backups.core.evidence import NOTHING
from desbuquei_backups.operations.chain_audit import Audited, audit
from desbuquei_backups.operations.evidence import send
from desbuquei_backups.operations.evidence_head import VERIFIED, WALKED_WHOLE, WRITTEN, recall, recalled_at, remember
from desbuquei_backups.operations.site import Site


def audit_today(site: Site) -> Audited:
    """Send, then walk from the last link that was found unbroken; the first time in a month, from the first link.

    What this machine remembers, the head that it found unbroken and the one that it wrote, must still be there: an end
    that was cut off since is found here without an anchor. StoreError, Busy.
    """
    send(site)
    verified = recall(site, VERIFIED)
    known = [
        anchor_of(head, site.policy.database, recalled_at(site, name) or site.now())
        for name in (VERIFIED, WRITTEN)
        if (head := recall(site, name)) is not None and head != NOTHING
    ]
    start = verified.sequence if verified is not None and _walked_this_month(site) else 1
    done = audit(site, anchors=known, second=site.second is not None, start=start)
    if done.whole and done.head is not None:
        for name in (VERIFIED, WALKED_WHOLE) if start == 1 else (VERIFIED,):
            remember(site, name, done.head)
    return done


def _walked_this_month(site: Site) -> bool:
    at, now = recalled_at(site, WALKED_WHOLE), site.now()
    return at is not None and (at.year, at.month) == (now.year, now.month)
