"""The proof of a promoted copy, and classes that nobody may read before they are thawed."""

from collections.abc import Iterator

import psycopg
import pytest

from desbuquei_backups.core.comparison import Finding, Verdict
from desbuquei_backups.core.errors import Frozen
from desbuquei_backups.operations import proofs
from desbuquei_backups.operations.copies import Place, find_copy
from desbuquei_backups.operations.equal_copy import CHECKSUM
from desbuquei_backups.operations.restored_copy import prove
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.verification import verify_backup
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups_tests.conftest import Clock, Endpoints, MakeSite
from desbuquei_backups_tests.frozen import FrozenStore
from desbuquei_backups_tests.operations.losses import line_of
from desbuquei_backups_tests.operations.tiers import DAILY, MONTHLY, QUARTERLY, WEEKLY, back_up, counted_dumps

pytestmark = pytest.mark.usefixtures("together")


@pytest.fixture
def glacier(endpoints: Endpoints, bucket: Bucket) -> Iterator[FrozenStore]:
    with FrozenStore(endpoints.aws["AWS_ENDPOINT_URL_S3"], bucket) as store:
        yield store


@pytest.fixture
def frozen_site(make_site: MakeSite, source_url: str, shop: psycopg.Connection, glacier: FrozenStore) -> Site:
    """A site whose store refuses to read what is frozen."""
    return make_site(source_url, aws={"AWS_ENDPOINT_URL_S3": glacier.url})


def restored(proof: object) -> bool:
    """Whether a database was restored for it."""
    return bool(getattr(proof, "seconds", None))


def test_a_promoted_copy_is_proven_by_the_dailys_restored_copy_and_its_own_checksum(
    site: Site, shop: psycopg.Connection
) -> None:
    back_up(site, DAILY, WEEKLY)
    daily = prove(site, DAILY)
    weekly = prove(site, WEEKLY)
    assert restored(daily)
    assert not restored(weekly)
    assert weekly.restored == DAILY.backup_id
    assert weekly.verdict is Verdict.MATCHES
    assert [finding.subject for finding in weekly.row_counts] == [finding.subject for finding in daily.row_counts]
    assert CHECKSUM in {finding.subject for finding in weekly.contents}
    assert line_of(site, WEEKLY)["recovery_tested"] is True


def test_a_copy_that_is_proven_first_is_restored_itself_and_the_daily_too(site: Site, shop: psycopg.Connection) -> None:
    back_up(site, DAILY, WEEKLY)
    assert restored(prove(site, WEEKLY))
    assert restored(prove(site, DAILY))


def test_a_copy_that_is_proven_once_more_is_read_and_restored(site: Site, shop: psycopg.Connection) -> None:
    back_up(site, DAILY, WEEKLY)
    prove(site, DAILY)
    prove(site, WEEKLY)
    again = prove(site, WEEKLY)
    assert restored(again)
    assert again.restored == WEEKLY.backup_id


def test_a_copy_whose_object_was_replaced_is_not_proven_by_the_daily(
    site: Site, shop: psycopg.Connection, bucket: Bucket
) -> None:
    back_up(site, DAILY, WEEKLY)
    prove(site, DAILY)
    key = f"weekly/{WEEKLY.backup_id}.sql.gz"
    sha256 = str(line_of(site, WEEKLY)["checksum_sha256"])
    size = len(b"".join(bucket.read(key)))
    bucket.delete(key)
    bucket.client.put_object(
        Bucket=bucket.name,
        Key=bucket._key(key),
        Body=b"x" * size,
        Metadata={"sha256": sha256},
        ChecksumAlgorithm="SHA256",
    )
    proof = prove(site, WEEKLY)
    assert proof.verdict is Verdict.DIFFERS
    assert line_of(site, WEEKLY)["recovery_tested"] is False
    assert line_of(site, WEEKLY)["status"] == "failed"


def test_where_the_store_tells_no_checksum_nothing_is_claimed(
    site: Site, shop: psycopg.Connection, bucket: Bucket
) -> None:
    back_up(site, DAILY, WEEKLY)
    prove(site, DAILY)
    key = f"weekly/{WEEKLY.backup_id}.sql.gz"
    whole = b"".join(bucket.read(key))
    bucket.delete(key)
    bucket.client.put_object(
        Bucket=bucket.name,
        Key=bucket._key(key),
        Body=whole,
        Metadata={"sha256": str(line_of(site, WEEKLY)["checksum_sha256"])},
    )
    proof = prove(site, WEEKLY)
    (finding,) = [finding for finding in proof.contents if finding.subject == CHECKSUM]
    assert finding.verdict is Verdict.UNCOMPARED


def test_what_was_proven_is_kept_in_s3_in_standard(site: Site, shop: psycopg.Connection, bucket: Bucket) -> None:
    back_up(site, DAILY, QUARTERLY)
    prove(site, DAILY)
    prove(site, QUARTERLY)
    for key in bucket.keys("quarterly/"):
        head = bucket.client.head_object(Bucket=bucket.name, Key=bucket._key(key))
        small = not key.endswith(f"{QUARTERLY.backup_id}.sql.gz")
        assert head.get("StorageClass", "STANDARD") == ("STANDARD" if small else "DEEP_ARCHIVE")
    sha256 = str(line_of(site, QUARTERLY)["checksum_sha256"])
    found = proofs.newest(bucket, QUARTERLY.backup_id, dump_sha256=sha256)
    assert found is not None
    assert found.restored == DAILY.backup_id
    assert len([key for key in bucket.keys("quarterly/") if ".proof-" in key]) == 1


def test_what_is_frozen_is_proven_without_being_read(frozen_site: Site, glacier: FrozenStore) -> None:
    back_up(frozen_site, DAILY, QUARTERLY)
    prove(frozen_site, DAILY)
    for _ in range(2):  # nor when it is asked for once more
        proof = prove(frozen_site, QUARTERLY)
        assert proof.verdict is Verdict.MATCHES
        assert proof.restored == DAILY.backup_id
    assert glacier.refused == []


def test_what_is_frozen_and_proven_first_is_proven_by_restoring_the_daily(
    frozen_site: Site, glacier: FrozenStore
) -> None:
    back_up(frozen_site, DAILY, QUARTERLY)
    proof = prove(frozen_site, QUARTERLY)
    assert restored(proof)
    assert proof.restored == DAILY.backup_id
    assert proof.verdict is Verdict.MATCHES
    assert proof.manifest.backup_id == QUARTERLY.backup_id
    assert glacier.refused == []


def test_when_a_frozen_tier_dumped_first_the_others_are_sent_from_disk(frozen_site: Site, glacier: FrozenStore) -> None:
    back_up(frozen_site, QUARTERLY, DAILY, MONTHLY)
    assert glacier.refused == []
    assert prove(frozen_site, DAILY).verdict is Verdict.MATCHES
    assert prove(frozen_site, QUARTERLY).verdict is Verdict.MATCHES
    assert glacier.refused == []


def test_what_is_frozen_and_has_no_equal_is_proven_from_disk_before_it_leaves_it(
    frozen_site: Site, glacier: FrozenStore, clock: Clock
) -> None:
    clock.pass_by(days=40)  # all others of that instant were missed
    back_up(frozen_site, QUARTERLY)
    dump = frozen_site.settings.folder / f"{QUARTERLY.backup_id}.sql.gz"
    assert dump.exists()
    proof = prove(frozen_site, QUARTERLY)
    assert (proof.place, proof.verdict) == (Place.DISK, Verdict.MATCHES)
    assert CHECKSUM in {finding.subject for finding in proof.contents}
    assert not dump.exists()
    again = prove(frozen_site, QUARTERLY)  # what was shown still holds, and nothing is thawed for it
    assert not restored(again)
    assert again.verdict is Verdict.MATCHES
    assert glacier.refused == []


def test_what_is_frozen_and_whose_proof_failed_stays_on_disk(
    frozen_site: Site, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.pass_by(days=40)
    back_up(frozen_site, QUARTERLY)
    wrong = [Finding("public.pedidos", "40", "39", Verdict.DIFFERS, "-1 rows")]
    with monkeypatch.context() as patch:
        patch.setattr("desbuquei_backups.operations.restored_copy.compare_contents", lambda *_, **__: (wrong, wrong))
        assert prove(frozen_site, QUARTERLY).verdict is Verdict.DIFFERS
    assert (frozen_site.settings.folder / f"{QUARTERLY.backup_id}.sql.gz").exists()
    assert prove(frozen_site, QUARTERLY).verdict is Verdict.MATCHES


def test_a_proof_does_not_wait_for_another_run_that_holds_the_lock(site: Site, shop: psycopg.Connection) -> None:
    back_up(site, DAILY, WEEKLY)
    with site.locked(DAILY.backup_id, "something long"):
        assert prove(site, WEEKLY).verdict is Verdict.MATCHES
    assert line_of(site, WEEKLY)["error"] is None


def test_what_is_frozen_stays_on_disk_while_another_tier_may_still_take_it(
    frozen_site: Site, glacier: FrozenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(frozen_site, QUARTERLY)
    prove(frozen_site, QUARTERLY)
    with counted_dumps(monkeypatch) as dumps:
        back_up(frozen_site, DAILY, WEEKLY, MONTHLY)
    assert dumps == []
    assert glacier.refused == []


def test_what_is_frozen_and_lies_nowhere_else_says_that_it_must_be_thawed(
    frozen_site: Site, glacier: FrozenStore
) -> None:
    back_up(frozen_site, QUARTERLY)
    for path in frozen_site.settings.folder.glob("quarterly-*.gz"):
        path.unlink()
    with pytest.raises(Frozen, match="DEEP_ARCHIVE") as caught:
        prove(frozen_site, QUARTERLY)
    assert "thaw" in caught.value.remedy
    assert caught.value.backup_id == QUARTERLY.backup_id
    with pytest.raises(Frozen):
        find_copy(frozen_site, QUARTERLY.backup_id, Place.S3)
    assert glacier.refused == []


def test_verify_never_reads_what_is_frozen_and_says_so(frozen_site: Site, glacier: FrozenStore) -> None:
    back_up(frozen_site, DAILY, QUARTERLY)
    verified = verify_backup(frozen_site, QUARTERLY.backup_id, remote=True)
    assert verified.whole
    assert {file.name: "DEEP_ARCHIVE" in file.unread for file in verified.files} == {
        f"{QUARTERLY.backup_id}.sql.gz": True,
        f"{QUARTERLY.backup_id}.globals.sql.gz": False,
        f"{QUARTERLY.backup_id}.database.sql.gz": False,
    }
    assert glacier.refused == []


def test_a_store_that_refuses_to_read_what_is_frozen_is_understood(frozen_site: Site, glacier: FrozenStore) -> None:
    back_up(frozen_site, DAILY, QUARTERLY)
    with pytest.raises(Frozen, match="storage class"):
        b"".join(frozen_site.bucket.read(f"quarterly/{QUARTERLY.backup_id}.sql.gz"))
    assert len(glacier.refused) == 1
