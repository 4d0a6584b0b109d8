"""Whether this machine's clock may be believed: what is old by a wrong one is deleted too early."""

from datetime import timedelta

from desbuquei_backups.core.errors import ClockWrong
from desbuquei_backups.core.periods import in_words
from desbuquei_backups.operations.site import Site

# AWS itself refuses requests that are signed 15 minutes too early or too late.
_AT_MOST = timedelta(minutes=5)
_REMEDY = "let both take their time from NTP (`desbuquei doctor` says how far they are apart), then run again"


def agree(site: Site) -> None:
    """ClockWrong if this machine's clock is over 5 minutes from the store's, or the store tells no time; StoreError.

    Neither is known to be right: where they differ, nothing may be deleted for its age.
    """
    theirs = site.bucket.time()
    if theirs is None:
        raise ClockWrong(
            "the store tells no time to compare this machine's with: nothing was deleted",
            remedy="see that what is between sends on the Date of its answers",
        )
    apart = site.now() - theirs
    if abs(apart) > _AT_MOST:
        how = "ahead of" if apart > timedelta(0) else "behind"
        raise ClockWrong(
            f"this machine's clock is {in_words(abs(apart))} {how} the store's: nothing was deleted", remedy=_REMEDY
        )
