"""Copies that were proven by their equals are read once a year themselves, or nobody knows that they can be."""

import psycopg
import pytest

from desbuquei_backups.core.comparison import Finding, Verdict
from desbuquei_backups.core.errors import IntegrityError
from desbuquei_backups.core.evidence import Kind
from desbuquei_backups.core.reproof import Due
from desbuquei_backups.operations import proofs
from desbuquei_backups.operations.chain_audit import audit
from desbuquei_backups.operations.reproof import prove_due, what_is_due
from desbuquei_backups.operations.restored_copy import prove
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups.validation.kept_copies import kept_copies_match
from desbuquei_backups_tests.conftest import Clock
from desbuquei_backups_tests.left_behind import clearing
from desbuquei_backups_tests.operations import vault
from desbuquei_backups_tests.operations.chains import links, overwrite
from desbuquei_backups_tests.operations.tiers import DAILY, WEEKLY, back_up
from desbuquei_backups_tests.urls import with_database

# What Great Expectations imports warns.
pytestmark = [
    pytest.mark.usefixtures("together", "shop"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


def test_a_copy_that_was_only_taken_over_is_restored_itself_and_then_not_for_a_year(site: Site, clock: Clock) -> None:
    back_up(site, DAILY, WEEKLY)
    prove(site, DAILY)
    assert prove(site, WEEKLY).restored == DAILY.backup_id
    assert [(each.slot, each.last) for each in what_is_due(site)] == [(WEEKLY, None)]
    (done,) = prove_due(site)
    assert done.proof is not None
    assert (done.proof.restored, done.proof.verdict) == (WEEKLY.backup_id, Verdict.MATCHES)
    assert done.proof.seconds
    proofs = [(link.backup_id, link.body["restored"]) for link in links(site.bucket) if link.kind is Kind.PROVEN]
    assert proofs == [(DAILY.backup_id, DAILY.backup_id), (WEEKLY.backup_id, DAILY.backup_id), (WEEKLY.backup_id,) * 2]
    assert (audit(site).whole, audit(site).proofs) == (True, 3)
    assert what_is_due(site) == []
    at = clock.now
    clock.pass_by(days=364)
    assert what_is_due(site) == []
    clock.pass_by(days=2)
    assert [(each.slot, each.last) for each in what_is_due(site)] == [(WEEKLY, at)]


def test_a_copy_that_cannot_be_restored_any_more_is_said(site: Site, bucket: Bucket) -> None:
    back_up(site, DAILY, WEEKLY)
    overwrite(bucket, f"weekly/{WEEKLY.backup_id}.sql.gz", b"nothing")
    (done,) = prove_due(site)
    assert isinstance(done.error, IntegrityError)


def test_a_copy_that_was_not_the_source_stays_red_until_it_is_proven_though_it_is_not_restored_every_day(
    site: Site, bucket: Bucket, clock: Clock
) -> None:
    vault.stored(bucket, WEEKLY.backup_id)
    lost, _ = vault.proven(bucket, WEEKLY.backup_id, verdict=Verdict.DIFFERS, restore=1.0)
    for _ in range(2):
        clock.pass_by(days=1)
        (done,) = prove_due(site)
        assert (done.due, done.proof) == (Due(WEEKLY, lost.proven_at), None)
        assert done.still == "the restored copy is not the source: public.pedidos"
        assert kept_copies_match([done]).verdict is Verdict.DIFFERS
    whole = Finding("public.pedidos", "1", "1", Verdict.MATCHES)
    mended = {name: [whole] for name in ("row_counts", "contents", "schema_")}
    proofs.keep(bucket, lost.model_copy(update={"proven_at": clock.now, **mended}), {})
    assert list(prove_due(site)) == []


def test_a_database_that_is_kept_is_there_after_others_were_proven_and_is_what_the_source_was(
    site: Site, scratch: psycopg.Connection, restore_url: str
) -> None:
    back_up(site, DAILY)
    with clearing(scratch):
        proof = prove(site, DAILY, keep=True)
        assert proof.kept is not None
        assert prove(site, DAILY).kept is None
        with psycopg.connect(with_database(restore_url, proof.kept)) as kept:
            assert kept.execute("select count(*) from pedidos").fetchone() == (40,)
