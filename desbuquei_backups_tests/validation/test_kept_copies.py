"""A copy that is still frozen is neither proven nor lost, and must not be taken for either."""

from datetime import UTC, datetime

import pytest

from desbuquei_backups.core.comparison import Verdict
from desbuquei_backups.core.errors import BackupError, IdentityError, IntegrityError
from desbuquei_backups.core.reproof import Due
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.thawing import State, Thaw
from desbuquei_backups.operations.reproof import Done
from desbuquei_backups.validation.kept_copies import kept_copies_match

# What Great Expectations imports warns.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
DUE = Due(Slot("quarterly", datetime(2026, 1, 1, 2, tzinfo=UTC)), None)


def test_where_none_is_due_that_is_as_it_should_be() -> None:
    assert kept_copies_match([]).verdict is Verdict.MATCHES


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (IntegrityError("its object is another one", remedy="look"), Verdict.DIFFERS),
        (IdentityError("no identity opens it", remedy="prove it elsewhere"), Verdict.UNCOMPARED),
    ],
)
def test_one_that_cannot_be_restored_is_red_but_where_only_the_identity_is_missing(
    error: BackupError, verdict: Verdict
) -> None:
    judgement = kept_copies_match([Done(DUE, error=error)])
    assert (judgement.verdict, judgement.findings[0].why) == (verdict, error.what)


def test_one_that_is_being_thawed_is_proven_by_a_later_run() -> None:
    thaw = Thaw(DUE.slot.backup_id, State.THAWING, "DEEP_ARCHIVE")
    judgement = kept_copies_match([Done(DUE, thaw=thaw)])
    assert (judgement.verdict, judgement.findings[0].subject) == (Verdict.UNCOMPARED, DUE.slot.backup_id)
    assert "a later run restores it" in judgement.findings[0].why
