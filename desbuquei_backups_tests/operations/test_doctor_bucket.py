"""What doctor says of the bucket: what it lacks, what these credentials lack, and what they may do that they need not.

On the embedded server, which keeps versions, locks and policies; on moto's where that one has none (public access, and
a bucket that has all of it at once); before the fault proxy where neither tells a right from another.
"""

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from desbuquei_backups.core.errors import StoreRefused
from desbuquei_backups.operations.doctor import Outcome, Precondition
from desbuquei_backups.operations.doctor_bucket import bucket as examine_bucket
from desbuquei_backups.operations.settings import S3_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups.storage.versions import versions
from desbuquei_backups_tests.conftest import Endpoints, MakeSite
from desbuquei_backups_tests.faults import FaultyStore, Matches, _Handler
from desbuquei_backups_tests.moto_server import moto_server
from desbuquei_backups_tests.roles import policy, refusing

OK, WARNING, FAILURE, NOT_APPLICABLE = Outcome.OK, Outcome.WARNING, Outcome.FAILURE, Outcome.NOT_APPLICABLE


class ByHeader(FaultyStore):
    """Refuses what bears a header: rights of their own on AWS, which neither server here tells from the call."""

    header = ""

    def refusal(self, handler: _Handler) -> bytes | None:
        if self.header and self.header in handler.headers:
            return b"<Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>"
        return None


@pytest.fixture
def store(endpoints: Endpoints) -> Iterator[ByHeader]:
    with ByHeader(endpoints.aws["AWS_ENDPOINT_URL_S3"]) as faulty:
        yield faulty


@pytest.fixture
def plain_url(endpoints: Endpoints) -> Iterator[str]:
    """A bucket of the test's own, of which nothing is set."""
    name = f"plain-{uuid.uuid4().hex[:12]}"
    client = Bucket(f"s3://{name}", endpoints.aws).client
    client.create_bucket(Bucket=name)
    yield f"s3://{name}"
    for found in client.list_objects_v2(Bucket=name).get("Contents", ()):
        client.delete_object(Bucket=name, Key=found["Key"])
    client.delete_bucket(Bucket=name)


@pytest.fixture
def plain(make_site: MakeSite, plain_url: str, store: ByHeader) -> Site:
    """A site in that bucket, through `store`."""
    return make_site(None, urls={S3_URL: plain_url}, aws={"AWS_ENDPOINT_URL_S3": store.url})


@pytest.fixture
def vault(make_site: MakeSite, vault_url: str, store: ByHeader) -> Site:
    """A site in a bucket with Object Lock, through `store`."""
    return make_site(None, urls={S3_URL: vault_url}, aws={"AWS_ENDPOINT_URL_S3": store.url})


def elsewhere(site: Site) -> Site:
    """The same, with S3 being pruned from another machine."""
    return replace(site, settings=replace(site.settings, prunes_s3=False))


def examined(site: Site, *, read_only: bool = False) -> dict[str, Precondition]:
    found = {each.name: each for each in examine_bucket(site, read_only=read_only)}
    assert all(each.remedy for each in found.values() if each.outcome in (WARNING, FAILURE))
    return found


def asks(parameter: str) -> Matches:
    return lambda method, path: method == "GET" and parameter in path


# What the bucket is set to


def test_a_bucket_without_lock_versioning_or_encryption_is_told(plain: Site) -> None:
    found = examined(plain)
    assert (found["Object Lock"].outcome, found["versioning"].outcome) == (WARNING, WARNING)
    assert "THE LOCKS THAT THE POLICY PROMISES ARE NOT THERE (quarterly: governance)" in found["Object Lock"].said
    assert found["default encryption"].outcome is WARNING
    assert found["lifecycle"].outcome is WARNING
    assert found["encryption"].outcome is OK  # what is archived asks for it by itself
    assert list(plain.bucket.keys("")) == []


def test_where_the_policy_locks_nothing_a_bucket_without_locks_will_do(plain: Site) -> None:
    tiers = {name: tier.model_copy(update={"object_lock": None}) for name, tier in plain.policy.tiers.items()}
    settings = replace(plain.settings, policy=plain.policy.model_copy(update={"tiers": tiers}))
    assert examined(replace(plain, settings=settings), read_only=True)["Object Lock"].outcome is NOT_APPLICABLE


def test_locks_that_may_not_be_asked_for_are_not_set_and_that_is_a_failure(vault: Site, store: ByHeader) -> None:
    store.refuse(asks("?object-lock"))
    found = examined(vault, read_only=True)["Object Lock"]
    assert (found.outcome, found.remedy) == (FAILURE, "grant s3:GetBucketObjectLockConfiguration")
    assert "is not archived" in found.said


def test_a_default_retention_that_keeps_prune_from_its_work_is_told(vault: Site) -> None:
    client, name = vault.bucket.client, vault.bucket.name
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 30}}
    client.put_object_lock_configuration(
        Bucket=name, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    found = examined(vault)
    assert (found["default retention"].outcome, found["deletable"].outcome) == (WARNING, NOT_APPLICABLE)
    assert "governance, 30 days" in found["default retention"].said


def test_a_lifecycle_rule_that_deletes_behind_the_back_of_retention_is_told(plain: Site) -> None:
    rules = (
        ({"Expiration": {"Days": 400}, "Filter": {"Prefix": ""}}, ["the rule r deletes objects"]),
        ({"Expiration": {"Days": 1}, "Filter": {"Prefix": "backups/probe/"}}, []),
        ({"Expiration": {"ExpiredObjectDeleteMarker": True}, "Filter": {"Prefix": ""}}, []),
    )
    for rule, told in rules:
        plain.bucket.client.put_bucket_lifecycle_configuration(
            Bucket=plain.bucket.name, LifecycleConfiguration={"Rules": [{"ID": "r", "Status": "Enabled", **rule}]}
        )
        found = [each.said for each in examine_bucket(plain, read_only=True) if each.name == "lifecycle"]
        assert [each.partition(",")[0] for each in found if each.startswith("the rule")] == told


@pytest.mark.parametrize(("status", "code"), [(501, ""), (405, "MethodNotAllowed"), (400, "InvalidRequest")])
def test_what_a_store_does_not_know_is_not_applicable_and_never_a_failure(plain: Site, store, status, code) -> None:
    for parameter in ("versioning", "object-lock", "encryption", "lifecycle", "publicAccessBlock", "policy"):
        store.say(status, code, asks(f"?{parameter}"))
    found = examined(plain)
    assert [name for name, each in found.items() if each.outcome is FAILURE] == []
    for name in ("versioning", "Object Lock", "default encryption", "lifecycle", "public access", "plain HTTP"):
        assert found[name].outcome is NOT_APPLICABLE, name


def test_what_may_not_be_asked_for_is_not_known_and_says_what_to_grant(plain: Site, store: ByHeader) -> None:
    store.refuse(asks("?encryption"))
    found = examined(plain, read_only=True)["default encryption"]
    assert (found.outcome, found.remedy) == (NOT_APPLICABLE, "grant s3:GetEncryptionConfiguration to see it here")


@pytest.fixture
def moto() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture
def as_in_terraform(make_site: MakeSite, moto: str) -> Site:
    """A bucket that is set as docs/terraform sets it, on moto's server."""
    aws = {"AWS_ENDPOINT_URL_S3": moto, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}
    site = make_site(None, aws=aws, urls={S3_URL: "s3://vault/backups"})
    client = site.bucket.client
    client.create_bucket(Bucket="vault", ObjectLockEnabledForBucket=True)
    client.put_bucket_encryption(
        Bucket="vault",
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
        },
    )
    rule = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": ""}}
    client.put_bucket_lifecycle_configuration(
        Bucket="vault",
        LifecycleConfiguration={"Rules": [{**rule, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}]},
    )
    client.put_public_access_block(
        Bucket="vault",
        PublicAccessBlockConfiguration=dict.fromkeys(
            ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
        ),
    )
    client.put_bucket_policy(Bucket="vault", Policy=json.dumps(policy("bucket", bucket="arn:aws:s3:::vault")))
    return site


def test_a_bucket_as_the_docs_have_it_has_nothing_to_remedy_until_it_is_opened_to_the_public(as_in_terraform) -> None:
    found = examined(as_in_terraform, read_only=True)
    assert {name: each.said for name, each in found.items() if each.outcome is not OK} == {
        "writable": "not tried: nothing is written"
    }
    assert found["lifecycle"].said == "unfinished uploads are aborted after 7 days"
    as_in_terraform.bucket.client.put_public_access_block(
        Bucket="vault", PublicAccessBlockConfiguration={"BlockPublicAcls": True}
    )
    found = examined(as_in_terraform, read_only=True)
    assert found["public access"].outcome is WARNING
    assert "RestrictPublicBuckets" in found["public access"].said


@pytest.mark.parametrize(
    ("endpoint", "outcome"),
    [("http://10.0.0.7:8333", WARNING), ("http://localhost:8333", OK), ("https://minio.example", OK)],
)
def test_backups_that_would_cross_the_network_in_the_clear_are_told(make_site: MakeSite, endpoint, outcome) -> None:
    site = make_site(None, aws={"AWS_ENDPOINT_URL_S3": endpoint})
    first = next(iter(examine_bucket(site, read_only=True)))  # before anything is sent
    assert (first.name, first.outcome) == ("TLS", outcome)


# What these credentials may do


def test_credentials_that_may_do_everything_may_do_too_much(vault: Site) -> None:
    found = examined(elsewhere(vault))
    for name in ("locks", "deletable", "its settings"):
        assert found[name].outcome is WARNING, name
        assert found[name].said.startswith("TOO MUCH"), name
    assert list(versions(vault.bucket, "")) == []


def test_where_s3_is_pruned_from_here_deleting_is_needed(vault: Site) -> None:
    assert examined(vault)["deletable"].outcome is OK
    with refusing(vault.bucket, "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:ListBucketVersions"):
        found = examined(vault)
    assert (found["deletable"].outcome, found["versions"].outcome) == (WARNING, WARNING)
    assert "s3:DeleteObjectVersion" in found["deletable"].remedy
    assert "DESBUQUEI_PRUNE_S3=off" in found["versions"].remedy


def test_credentials_that_may_only_add_are_as_they_should_be_on_a_backup_host(vault: Site) -> None:
    refused = ("s3:DeleteObject", "s3:DeleteObjectVersion", "s3:ListBucketVersions", "s3:PutBucketVersioning")
    with refusing(vault.bucket, *refused):
        found = examined(elsewhere(vault))
    for name in ("writable", "readable", "locks", "deletable", "versions", "its settings"):
        assert found[name].outcome is OK, found[name]
    assert "is left" in found["deletable"].said


def test_credentials_that_may_only_read_are_told_what_to_ask_for(plain: Site) -> None:
    with refusing(plain.bucket, "s3:PutObject"):
        found = examined(plain)
    assert found["writable"].outcome is FAILURE
    assert "s3:PutObject, s3:PutObjectTagging" in found["writable"].remedy
    assert found["reachable"].outcome is OK


def test_credentials_that_may_only_write_are_told_what_to_ask_for(plain: Site) -> None:
    with refusing(plain.bucket, "s3:GetObject"):
        found = examined(plain)
    assert found["readable"].outcome is FAILURE
    assert "s3:GetObject" in found["readable"].remedy


def test_uploads_that_could_not_be_gone_on_with_are_told(plain: Site) -> None:
    with refusing(plain.bucket, "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"):
        found = examined(plain)["uploads in parts"]
    assert (found.outcome, found.remedy) == (FAILURE, "grant s3:ListMultipartUploadParts, s3:AbortMultipartUpload")
    (upload,) = plain.bucket.client.list_multipart_uploads(Bucket=plain.bucket.name)["Uploads"]
    plain.bucket.client.abort_multipart_upload(Bucket=plain.bucket.name, Key=upload["Key"], UploadId=upload["UploadId"])


def test_rights_that_hang_on_a_header_are_told_apart(vault: Site, store: ByHeader) -> None:
    store.header = "x-amz-tagging"
    tags = examined(vault)["tags"]
    assert (tags.outcome, "s3:PutObjectTagging" in tags.remedy) == (FAILURE, True)
    store.header = "x-amz-object-lock-mode"
    locks = examined(vault)["locks"]
    assert (locks.outcome, "s3:PutObjectRetention" in locks.remedy) == (FAILURE, True)
    store.header = "x-amz-bypass-governance-retention"
    assert examined(vault)["locks"].outcome is OK


def test_locks_that_may_not_be_read_are_told(vault: Site) -> None:
    with refusing(vault.bucket, "s3:GetObjectRetention"):
        found = examined(vault)["reading locks"]
    assert (found.outcome, found.remedy) == (WARNING, "grant s3:GetObjectRetention")


def test_a_store_whose_locks_do_not_hold_is_told(vault: Site, store: ByHeader) -> None:
    def deletes(method: str, path: str) -> bool:
        return method == "DELETE" and "-locked" in path

    store.say(204, "", deletes)
    assert examined(vault)["locks"].outcome is FAILURE


def test_probes_of_earlier_runs_are_removed_and_those_of_one_beside_this_are_not(vault: Site, store: ByHeader) -> None:
    vault.bucket.put_if_absent("probe/earlier", b"x")
    assert "earlier probes" not in examined(vault)
    assert [each.key for each in versions(vault.bucket, "")] == ["probe/earlier"]
    store.ahead = timedelta(minutes=6)
    assert examined(vault)["earlier probes"].said == "1 of 1 were removed"
    assert list(versions(vault.bucket, "")) == []


def test_read_only_changes_nothing_at_all(vault: Site, store: ByHeader) -> None:
    examined(vault, read_only=True)
    assert {method for method, _ in store.requests} <= {"GET", "HEAD"}


# Credentials that are none


@pytest.mark.parametrize(
    ("status", "code", "remedy"),
    [(400, "ExpiredToken", "renew the credentials"), (403, "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID")],
)
def test_credentials_that_have_expired_are_told(plain: Site, store: ByHeader, status, code, remedy) -> None:
    """Said by the proxy: neither server here hands out credentials that expire."""
    store.say(status, code)
    found = examined(plain)
    assert list(found) == ["TLS", "reachable"]
    assert found["reachable"].outcome is FAILURE
    assert code in found["reachable"].said
    assert remedy in found["reachable"].remedy
    with pytest.raises(StoreRefused) as refused:  # a HEAD does not say which it is
        plain.bucket.head("daily/x")
    assert "credentials" in refused.value.remedy
