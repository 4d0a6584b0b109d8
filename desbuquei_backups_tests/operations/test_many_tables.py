"""A database of 5,000 tables is backed up and proven like any other."""

import pytest

from desbuquei_backups.core.comparison import Verdict
from desbuquei_backups.operations.restored_copy import prove
from desbuquei_backups.validation.checks import restored_copy_matches
from desbuquei_backups_tests.operations.test_restored_copy import archived

_TABLES = 5000


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_a_database_of_5000_tables_is_proven_and_judged_whole(site, source, slot) -> None:
    # A thousand at a time: one transaction has not locks enough for all.
    for start in range(1, _TABLES, 1000):
        source.execute(
            f"do $$ begin for i in {start}..{start + 999} loop "
            "execute format('create table t%s (a int); insert into t%s values (%s)', i, i, i); end loop; end $$"
        )
    archived(site, slot)
    judged = restored_copy_matches(prove(site, slot))
    assert {each.verdict for each in judged} == {Verdict.MATCHES}
    assert [each.summary for each in judged[:4]] == [*3 * ["5,000 match"], "5,001 match"]
