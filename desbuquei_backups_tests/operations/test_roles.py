"""The roles of docs/terraform: each can do its work and no more, by the calls that the code really makes."""

import ast
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

import desbuquei_backups
from desbuquei_backups.core.comparison import Verdict
from desbuquei_backups.core.errors import ConfigurationError, StoreRefused
from desbuquei_backups.core.retention import Place
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.tiers import Policy
from desbuquei_backups.operations import holds, inventory
from desbuquei_backups.operations.archive import archive
from desbuquei_backups.operations.asked import Asked
from desbuquei_backups.operations.doctor import Outcome
from desbuquei_backups.operations.honoured import honoured
from desbuquei_backups.operations.prune import prune
from desbuquei_backups.operations.pruning import plan
from desbuquei_backups.operations.restored_copy import prove
from desbuquei_backups.operations.seal import seal
from desbuquei_backups.operations.settings import S3_URL, from_environment
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.verification import verify_backup
from desbuquei_backups.storage import permissions, s3, s3_reading
from desbuquei_backups_tests.conftest import Endpoints
from desbuquei_backups_tests.faults import FaultyStore, parts
from desbuquei_backups_tests.operations.losses import Losses
from desbuquei_backups_tests.operations.test_doctor import examined
from desbuquei_backups_tests.operations.tiers import back_up, fill
from desbuquei_backups_tests.policies import due_together, with_crons
from desbuquei_backups_tests.roles import granted, only, refusing

pytestmark = pytest.mark.usefixtures("shop")
# What doctor tries, and is glad to be refused.
_TRIED = {
    "s3:BypassGovernanceRetention", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:ListBucketVersions",
    "s3:PutBucketVersioning",
}  # fmt: skip
_DOCTORS = {"GetBucketVersioning", "GetBucketEncryption", "GetBucketLifecycleConfiguration", "GetPublicAccessBlock",
            "GetBucketPolicy", "GetBucketLocation", "PutBucketVersioning", "GetObjectRetention"}  # fmt: skip


@dataclass
class Calls:
    """The calls that were made to the store, whatever came of them."""

    made: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    def needed(self) -> set[str]:
        return {action for name, given in self.made for action in permissions.needed(name, given)}


@pytest.fixture
def owner(vault_url: str, endpoints: Endpoints) -> s3.Bucket:
    """The bucket as its owner has it."""
    owner = s3.Bucket(vault_url, endpoints.aws)
    owner.check()
    return owner


@pytest.fixture
def calls(owner: s3.Bucket, monkeypatch: pytest.MonkeyPatch) -> Calls:
    """The calls of every client that is made from now on, which the owner's is not."""
    found, original = Calls(), s3_reading.make_client

    def recording(*given: Any, **named: Any) -> Any:
        client = original(*given, **named)
        client.meta.events.register(
            "provide-client-params.s3", lambda params, model, **_: found.made.append((model.name, dict(params)))
        )
        return client

    monkeypatch.setattr(s3_reading, "make_client", recording)
    return found


@pytest.fixture
def site(make_site, source_url: str, vault_url: str) -> Site:
    """A site in a bucket with Object Lock, which is pruned from elsewhere."""
    site = make_site(source_url, urls={S3_URL: vault_url})
    return replace(site, settings=replace(site.settings, prunes_s3=False))


@pytest.fixture
def two_days(site: Site, shop: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> tuple[Site, Slot, Slot]:
    """A daily and the next day's, of which the policy keeps the newer one alone by now; the clocks agree."""
    daily = site.policy.tier("daily").model_copy(update={"never_fewer_than": 0})
    policy = site.policy.model_copy(update={"tiers": {**site.policy.tiers, "daily": daily}})
    site = replace(site, settings=replace(site.settings, policy=policy))
    first, last = (Slot("daily", datetime(2026, 1, day, 2, tzinfo=UTC)) for day in (1, 2))
    for slot in (first, last):
        shop.execute("insert into pedidos values (%s, 1, 1)", (1000 + slot.due.day,))
        back_up(replace(site, now=partial(_later, slot.due)), slot)
    monkeypatch.setattr("desbuquei_backups.operations.clocks.agree", lambda _: None)
    return replace(site, now=partial(_later, last.due + timedelta(days=40))), first, last


def _later(instant: datetime) -> datetime:
    return instant + timedelta(minutes=5)


def test_the_adding_role_backs_up_copies_locks_proves_and_reads_and_has_no_other_right(
    site: Site, owner: s3.Bucket, calls: Calls
) -> None:
    # Locks are kept by the store's clock, which is real: all tiers are due now.
    now = datetime.now(UTC)
    policy = Policy.model_validate(tomllib.loads(with_crons(due_together(now))))
    site = replace(site, settings=replace(site.settings, policy=policy), now=lambda: now)
    daily, quarterly = site.open_slot("daily"), site.open_slot("quarterly")
    with only(owner, "adding"):
        back_up(site, daily, quarterly)
        prove(site, daily)
        assert verify_backup(site, daily.backup_id, remote=True).whole
        assert {each.slot for each in inventory.remote(site).held} == {daily, quarterly}
        stored = site.bucket.head(f"quarterly/{quarterly.backup_id}.sql.gz")
        assert stored is not None
        assert stored.locked_until is not None
        with pytest.raises(StoreRefused):  # the embedded server cannot thaw; it was asked
            site.bucket.thaw(f"quarterly/{quarterly.backup_id}.sql.gz", days=1, speed="Standard")
        # The report asks for the region, where the store is on another machine.
        site.bucket.client.get_bucket_location(Bucket=site.bucket.name)
        found = [each for (area, _), each in examined(site).items() if area == "bucket"]
    assert [each for each in found if each.outcome is Outcome.FAILURE] == []
    assert calls.needed() - _TRIED == granted("adding")
    assert not granted("adding") & _TRIED


def test_the_adding_role_prunes_its_disk_and_leaves_s3_to_others(two_days, owner: s3.Bucket) -> None:
    site, first, last = two_days
    with only(owner, "adding"):
        done = prune(site)
        assert [(each.planned.verdict.slot, each.planned.place) for each in done if each.done] == [(first, Place.DISK)]
        assert [each.verdict for each in honoured(site, done) if each.verdict is not Verdict.MATCHES] == []
        refused = prune(replace(site, settings=replace(site.settings, prunes_s3=True)))
    (error,) = [each.error for each in refused if each.error]
    assert "AccessDenied" in error
    assert {each.slot for each in inventory.remote(site).held} == {first, last}
    (kept,) = [each for each in plan(site) if each.verdict.slot == first]
    assert (kept.keep, kept.verdict.reason) == (True, "older than 30 days; pruned from elsewhere")


def test_the_pruning_role_holds_releases_and_prunes_and_has_no_other_right(
    two_days, owner: s3.Bucket, calls: Calls
) -> None:
    site, first, last = two_days
    site = replace(site, settings=replace(site.settings, prunes_s3=True))
    calls.made.clear()
    with only(owner, "pruning"):
        assert holds.hold(site, first.backup_id, Asked("ana", "processo 123")).legal_holds == 4
        assert [each.planned.place for each in prune(site) if each.done] == [Place.DISK]
        holds.release(site, first.backup_id)
        assert [each.planned.place for each in prune(site) if each.done] == [Place.S3]
        assert [each.slot for each in inventory.remote(site).held] == [last]
        found = [each for (area, _), each in examined(site).items() if area == "bucket"]
    assert [each.name for each in found if each.outcome is Outcome.FAILURE or each.name == "deletable"] == ["deletable"]
    # A version is looked at only if it could not be deleted, to say until when it is locked.
    assert calls.needed() | {"s3:GetObjectVersion"} >= granted("pruning") - granted("adding")
    assert calls.needed() - granted("pruning") == {"s3:BypassGovernanceRetention", "s3:PutBucketVersioning"}


def test_credentials_that_expire_or_may_only_read_archive_nothing_and_lose_nothing(
    make_site, source_url: str, vault_url: str, slot: Slot, owner: s3.Bucket, endpoints: Endpoints, losses: Losses
) -> None:
    with FaultyStore(endpoints.aws["AWS_ENDPOINT_URL_S3"]) as store:
        site = make_site(source_url, urls={S3_URL: vault_url}, aws={"AWS_ENDPOINT_URL_S3": store.url})
        fill(site, slot)
        seal(site, slot)
        # Said by the proxy: the embedded server hands out no credentials that expire.
        store.say(400, "ExpiredToken", parts)
        error = losses.fails(site, slot, archive, StoreRefused, "ExpiredToken")
        assert "renew the credentials" in error.remedy
        store.heal()
        with refusing(owner, "s3:PutObject"):
            error = losses.fails(site, slot, archive, StoreRefused, "AccessDenied")
        assert "grant s3:PutObject" in error.remedy
        assert list(site.bucket.keys("daily/")) == []
        archive(site, slot)
        assert verify_backup(site, slot.backup_id, remote=True).whole


def test_the_table_of_permissions_knows_the_calls_that_the_code_makes_and_no_others(owner: s3.Bucket) -> None:
    names = owner.client.meta.method_to_api_mapping
    methods = set(_client_methods(Path(desbuquei_backups.__file__).parent))
    assert {names[method] for method in methods & names.keys()} == set(permissions._ACTIONS)


def test_no_call_but_doctors_needs_what_no_role_has() -> None:
    for name in set(permissions._ACTIONS) - _DOCTORS:
        assert permissions.needed(name, {"VersionId": "x"}) - {"s3:DeleteObject"} <= granted("pruning"), name


def test_where_s3_is_pruned_is_said_with_one_word_alone() -> None:
    assert from_environment({}).prunes_s3
    assert not from_environment({"DESBUQUEI_PRUNE_S3": "off"}).prunes_s3
    with pytest.raises(ConfigurationError, match="DESBUQUEI_PRUNE_S3 is 'no'"):
        from_environment({"DESBUQUEI_PRUNE_S3": "no"})


def _client_methods(folder: Path) -> Iterator[str]:
    """The methods of boto3's client that are used anywhere, by their names in the code."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and _is_client(node.value):
                if node.attr not in ("meta", "get_paginator"):
                    yield node.attr
            elif (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "get_paginator"
                and isinstance(node.args[0], ast.Constant)
            ):
                yield node.args[0].value


def _is_client(node: ast.expr) -> bool:
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return name in ("client", "_client")
