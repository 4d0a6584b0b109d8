"""The chain's day: what is owed is sent, what is new since yesterday is walked, and all of it once a month."""

import logging

from desbuquei_backups.core.anchors import Anchor, anchor_of
from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.core.evidence import NOTHING, Head
from desbuquei_backups.operations import check_results
from desbuquei_backups.operations.chain_audit import Audited, audit
from desbuquei_backups.operations.evidence import send
from desbuquei_backups.operations.evidence_head import VERIFIED, WALKED_WHOLE, WRITTEN, recall, recalled_at, remember
from desbuquei_backups.operations.evidence_packs import pack
from desbuquei_backups.operations.site import Site

_LOG = logging.getLogger(__name__)


def audit_today(site: Site) -> Audited:
    """Send, then walk from the last link that was found unbroken; the first time in a month, from the first link.

    What this machine remembers, the head that it found unbroken and the one that it wrote, must still be there: an end
    that was cut off since is found here without an anchor. StoreError, Busy.
    """
    send(site)
    check_results.try_to_send(site)
    verified = recall(site, VERIFIED)
    start = verified.sequence if verified is not None and _walked_this_month(site) else 1
    done = audit(site, anchors=remembered(site), second=second_answers(site), start=start)
    if done.whole and done.head is not None:
        for name in (VERIFIED, WALKED_WHOLE) if start == 1 else (VERIFIED,):
            remember(site, name, done.head)
        _pack(site, done.head)
    return done


def _pack(site: Site, head: Head) -> None:
    """It makes later walks quick, and no more."""
    try:
        pack(site.bucket, head)
    except BackupError as error:
        _LOG.warning("links of the chain are packed later: %s", error.what)


def remembered(site: Site) -> list[Anchor]:
    """The heads that this machine found unbroken and that it wrote: they must still be there."""
    return [
        anchor_of(head, site.policy.database, recalled_at(site, name) or site.now())
        for name in (VERIFIED, WRITTEN)
        if (head := recall(site, name)) is not None and head != NOTHING
    ]


def second_answers(site: Site) -> bool:
    """Whether there is a second place to compare with; its outage must not keep the first from being walked."""
    try:
        if site.second is not None:
            site.second.bucket.check()
    except BackupError as error:
        _LOG.warning("the chain is not compared with the second place: %s", error.what)
        return False
    return site.second is not None


def _walked_this_month(site: Site) -> bool:
    at, now = recalled_at(site, WALKED_WHOLE), site.now()
    return at is not None and (at.year, at.month) == (now.year, now.month)
