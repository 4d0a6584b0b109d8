"""An auditor with nothing but the bucket must be told of everything that was changed, lost or left out since."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from desbuquei_backups.core.anchors import anchor_of
from desbuquei_backups.core.errors import ConfigurationError, NotFound, ToolFailed
from desbuquei_backups.core.evidence import FOLDER, Head, head_of, link_key, sha256_of
from desbuquei_backups.core.evidence_walk import Fault
from desbuquei_backups.core.tiers import Evidence
from desbuquei_backups.operations import said
from desbuquei_backups.operations.adopting import adopt
from desbuquei_backups.operations.anchoring import anchor, head, run_command
from desbuquei_backups.operations.asked import Asked
from desbuquei_backups.operations.chain_audit import Audited, audit
from desbuquei_backups.operations.daily_audit import audit_today
from desbuquei_backups.operations.evidence import try_to_send
from desbuquei_backups.operations.settings import S3_URL, SECOND_S3_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups.storage.versions import versions
from desbuquei_backups_tests.conftest import Clock, MakeSite
from desbuquei_backups_tests.fakes import free_port
from desbuquei_backups_tests.faults import FaultyStore
from desbuquei_backups_tests.operations.chains import content_of, links, manifest_of, overwrite, swap, told

Named = list[tuple[str, int | None]]


@pytest.fixture
def vault(make_site: MakeSite, vault_url: str) -> Site:
    """A site in a bucket with Object Lock, and so with versioning; it needs no database."""
    return make_site(None, urls={S3_URL: vault_url})


@pytest.fixture
def host(make_site: MakeSite) -> Site:
    """The same in a plain bucket."""
    return make_site(None)


def named(done: Audited) -> Named:
    return [(each.fault.value, each.sequence) for each in done.breaks]


def anew(site: Site, folder: object) -> Site:
    """The same bucket from a machine that remembers nothing."""
    return replace(site, settings=replace(site.settings, backup_dir=folder))


def test_a_chain_that_nobody_touched_is_unbroken_for_a_machine_that_knows_nothing(vault, tmp_path) -> None:
    told(vault, 1, 2, 3)
    done = audit(anew(vault, tmp_path / "auditor"))
    assert (done.whole, done.links, done.manifests) == (True, 6, 3)
    assert done.head == head_of(6, content_of(vault.bucket, link_key(6)))
    assert not (tmp_path / "auditor").exists()


def _alter(bucket: Bucket) -> None:
    content = content_of(bucket, link_key(3))
    overwrite(bucket, link_key(3), content.replace(b'"desbuquei"', b'"desbuquei" ', 1))


_TAMPERED: dict[str, tuple[Callable[[Bucket], None], Named]] = {
    "altered": (_alter, [("altered", 3)]),
    "deleted": (lambda bucket: bucket.delete(link_key(3)), [("missing", 3)]),
    "cut out": (lambda bucket: [bucket.delete(link_key(n)) for n in (2, 3, 4)], [("missing", n) for n in (2, 3, 4)]),
    "swapped": (lambda bucket: swap(bucket, 2, 4), [("reordered", 2), ("reordered", 4)]),
}


@pytest.mark.parametrize("how", _TAMPERED)
def test_a_link_that_was_tampered_with_is_named_and_so_is_its_older_version_that_is_whole(vault, how) -> None:
    told(vault, 1, 2, 3)
    before = {link_key(n): next(iter(versions(vault.bucket, link_key(n)))).version_id for n in range(1, 7)}
    tamper, expected = _TAMPERED[how]
    tamper(vault.bucket)
    found = audit(vault).breaks
    of_links = [each for each in found if each.sequence is not None]
    assert set(expected) <= {(each.fault.value, each.sequence) for each in of_links}
    assert {each.sequence for each in of_links} == {number for _, number in expected}
    assert {each.whole_version for each in of_links} == {before[link_key(number or 0)] for _, number in expected}
    assert all(each.backup_id for each in of_links if each.fault in (Fault.MISSING, Fault.ALTERED))


def test_in_a_bucket_without_versions_the_link_is_named_all_the_same(host) -> None:
    told(host, 1, 2)
    _alter(host.bucket)
    (found,) = audit(host).breaks
    assert (found.fault, found.sequence, found.backup_id, found.whole_version) == (
        Fault.ALTERED,
        3,
        "daily-2026-01-02-020000",
        None,
    )
    assert "daily-2026-01-02-020000" in found.said()


def test_an_auditor_who_may_not_read_versions_is_told_the_breaks_all_the_same(host, make_site, endpoints) -> None:
    told(host, 1, 2)
    _alter(host.bucket)
    with FaultyStore(endpoints.aws["AWS_ENDPOINT_URL_S3"]) as store:
        store.refuse(lambda method, path: "versions" in path)
        assert named(audit(make_site(None, aws={"AWS_ENDPOINT_URL_S3": store.url}))) == [("altered", 3)]


def test_an_end_that_was_cut_off_is_found_by_an_anchor_and_by_nothing_else(vault, clock: Clock) -> None:
    told(vault, 1, 2)
    kept = head(vault)
    for number in (3, 4):
        vault.bucket.delete(link_key(number))
    assert [each.fault for each in audit(vault).breaks] == [Fault.MANIFEST_UNKNOWN]
    cut, *_ = audit(vault, anchors=[kept]).breaks
    assert (cut.fault, cut.sequence, "anchored at 2026-02-02 02:10 UTC" in cut.what) == (Fault.CUT_OFF, 4, True)
    assert cut.whole_version is not None


def test_an_end_that_was_written_anew_is_found_by_an_anchor(host, make_site, tmp_path) -> None:
    told(host, 1, 2)
    kept = head(host)
    for number in (3, 4):
        host.bucket.delete(link_key(number))
    host.bucket.delete("daily/daily-2026-01-02-020000.manifest.json")
    told(make_site(None, folder=tmp_path / "forger"), 3)
    assert audit(host).whole
    assert named(audit(host, anchors=[kept])) == [("rewritten", 4)]


def test_the_second_place_is_an_anchor(make_site, bucket_url) -> None:
    site = make_site(None, urls={SECOND_S3_URL: f"{bucket_url}-second"})
    told(site, 1, 2)
    assert (audit(site, second=True).whole, audit(site, second=True).copies) == (True, 4)
    _alter(site.at_second_place.bucket)
    assert named(audit(site, second=True)) == [("rewritten", 3)]
    for number in (3, 4):
        site.bucket.delete(link_key(number))
    assert ("cut off", 3) in named(audit(site, second=True))
    for key in list(site.at_second_place.bucket.keys(FOLDER)):
        site.at_second_place.bucket.delete(key)
    assert audit(site, second=True).copies == 0  # nothing there to agree with


def test_a_part_of_the_chain_may_be_walked(host) -> None:
    told(host, 1, 2, 3)
    host.bucket.delete(link_key(2))
    done = audit(host, start=4)
    assert (done.whole, done.links) == (True, 3)
    assert named(audit(host, start=2)) == [("missing", 2)]


def test_links_whose_time_is_over_may_be_gone(host, clock: Clock) -> None:
    told(host, 1, 2)
    host.bucket.delete(link_key(1))
    assert named(audit(host)) == [("missing", 1)]
    clock.pass_by(days=7 * 366)
    assert audit(host).whole


def manifest_key(day: int) -> str:
    return f"daily/daily-2026-01-{day:02}-020000.manifest.json"


def test_a_manifest_that_was_altered_deleted_or_added_is_named(host) -> None:
    told(host, 1, 2, 3)
    overwrite(host.bucket, manifest_key(1), content_of(host.bucket, manifest_key(1)) + b" ")
    host.bucket.delete(manifest_key(2))
    host.bucket.put_bytes(manifest_key(9), manifest_of("daily-2026-01-09-020000").to_bytes(), tags={})
    found = {(each.fault.value, each.backup_id) for each in audit(host).breaks}
    assert found == {
        ("manifest altered", "daily-2026-01-01-020000"),
        ("manifest gone", "daily-2026-01-02-020000"),
        ("manifest unknown", "daily-2026-01-09-020000"),
    }


def test_a_backup_that_was_pruned_is_to_be_gone(host) -> None:
    (backup_id,) = told(host, 1)
    said.pruned(host, said.Slot.of_id(backup_id), "older than 30 days", [], cut_off_since=None)
    assert [each.fault for each in audit(host).breaks] == [Fault.STILL_THERE]
    host.bucket.delete(manifest_key(1))
    assert audit(host).whole


def test_a_manifest_that_was_sealed_and_not_archived_yet_is_not_missed(host) -> None:
    said.sealed(host, manifest_of("daily-2026-01-01-020000"))
    said.sealed(host, manifest_of("daily-2026-01-01-020000").model_copy(update={"duration_seconds": 9.0}))
    try_to_send(host)
    assert audit(host).whole


def test_a_backup_that_is_older_than_the_chain_is_adopted_by_name_and_reason(host) -> None:
    told(host, 1)
    for day in (2, 3):
        host.bucket.put_bytes(manifest_key(day), manifest_of(f"daily-2026-01-{day:02}-020000").to_bytes(), tags={})
    with pytest.raises(NotFound, match="the chain knows it"):
        adopt(host, ["daily-2026-01-01-020000"], Asked("ana", "x"))
    assert adopt(host, ["daily-2026-01-02-020000"], Asked("ana", "antes da cadeia")) == ["daily-2026-01-02-020000"]
    assert adopt(host, [], Asked("ana", "antes da cadeia")) == ["daily-2026-01-03-020000"]
    assert audit(host).whole
    last = links(host.bucket)[-1]
    assert (last.body["operator"], last.body["reason"]) == ("ana", "antes da cadeia")


def test_an_empty_bucket_has_an_empty_chain(host) -> None:
    assert audit(host).whole
    assert audit_today(host).links == 0
    with pytest.raises(NotFound, match="is empty"):
        head(host)


def test_each_day_what_is_new_is_walked_and_each_month_all_of_it(host, clock: Clock) -> None:
    told(host, 1, 2)
    assert (audit_today(host).start, audit_today(host).start) == (1, 4)
    _alter(host.bucket)
    clock.pass_by(days=1)
    told(host, 3)
    done = audit_today(host)
    assert (done.whole, done.start, done.links) == (True, 4, 3)
    clock.pass_by(days=30)
    assert named(audit_today(host)) == [("altered", 3)]


def test_the_next_day_an_end_that_was_cut_off_meanwhile_is_found_without_an_anchor(host, clock: Clock) -> None:
    told(host, 1, 2)
    assert audit_today(host).whole
    host.bucket.delete(link_key(4))
    clock.pass_by(days=1)
    assert ("cut off", 4) in named(audit_today(host))


def test_a_second_place_that_does_not_answer_keeps_the_first_from_nothing(make_site, bucket_url) -> None:
    nobody = {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{free_port()}"}
    site = make_site(None, urls={SECOND_S3_URL: f"{bucket_url}-second"}, second_aws=nobody)
    told(site, 1)
    assert audit_today(site).links == 2


def test_the_head_is_told_to_the_policys_command_and_to_nobody_in_its_arguments(host, tmp_path) -> None:
    told(host, 1)
    file = tmp_path / "anchors"
    policy = host.policy.model_copy(update={"evidence": Evidence(anchor_command=("tee", str(file)))})
    done = anchor(replace(host, settings=replace(host.settings, policy=policy)))
    assert json.loads(file.read_text()) == done.anchor.model_dump(mode="json")
    assert (done.anchor, list(done.where)) == (
        anchor_of(Head(2, sha256_of(content_of(host.bucket, link_key(2)))), "desbuquei", host.now()),
        ["tee"],
    )
    assert audit(host, anchors=[done.anchor]).whole


def test_a_command_that_does_not_take_the_anchor_is_an_error_that_says_why() -> None:
    with pytest.raises(ConfigurationError, match=r"no-such-program, which .* cannot be run"):
        run_command(["no-such-program"], "{}")
    with pytest.raises(ToolFailed, match=r"exit status 3: smtp://\*\*\*@mail refused"):
        run_command(["sh", "-c", "echo hello >&2; echo smtp://ana:segredo@mail refused >&2; exit 3"], "{}")
    with pytest.raises(ToolFailed, match="took longer"):
        run_command(["sleep", "60"], "{}", seconds=0.01)


def test_no_backups_chain_hides_in_another_ones_folder(host) -> None:
    told(host, 1)
    other = replace(host, settings=replace(host.settings, policy=host.policy.model_copy(update={"database": "outra"})))
    assert {each.fault for each in audit(other).breaks} == {Fault.FOREIGN}
    assert list(host.bucket.keys(FOLDER)) == [link_key(1), link_key(2)]
