"""What docs/terraform makes: a bucket that keeps what it is given, and roles that cannot undo that."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import hcl2
import pytest

from desbuquei_backups_tests.roles import ROLES, TERRAFORM, granted, policy

_BUCKET = "arn:aws:s3:::b"


@cache
def parsed() -> dict[str, list[Any]]:
    """All .tf files as one, as Terraform reads them: the blocks by their kind."""
    options = hcl2.SerializationOptions(strip_string_quotes=True, explicit_blocks=False, with_comments=False)
    found: dict[str, list[Any]] = {}
    for path in sorted(TERRAFORM.glob("*.tf")):
        for kind, blocks in hcl2.loads(path.read_text(), serialization_options=options).items():
            found.setdefault(kind, []).extend(blocks)
    return found


def resource(kind: str) -> Mapping[str, Any]:
    (found,) = [blocks[kind] for blocks in parsed()["resource"] if kind in blocks]
    return dict(found["vault"])


def rules() -> list[Mapping[str, Any]]:
    """The lifecycle's rules, those that are made for each probe's prefix included."""
    found = resource("aws_s3_bucket_lifecycle_configuration")
    return [*found["rule"], *(each["rule"]["content"][0] for each in found["dynamic"])]


def test_the_bucket_keeps_versions_has_object_lock_and_is_not_removed_with_the_rest() -> None:
    bucket = resource("aws_s3_bucket")
    assert (bucket["object_lock_enabled"], bucket["force_destroy"]) == (True, False)
    assert bucket["lifecycle"] == [{"prevent_destroy": True}]
    assert resource("aws_s3_bucket_versioning")["versioning_configuration"] == [{"status": "Enabled"}]
    # A default retention would lock hourlies and probes.
    assert not [blocks for blocks in parsed()["resource"] if "aws_s3_bucket_object_lock_configuration" in blocks]


def test_the_bucket_is_closed_to_the_public_and_its_owner_owns_what_is_in_it() -> None:
    block = resource("aws_s3_bucket_public_access_block")
    names = {"block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets"}
    assert {name for name in names if block[name] is True} == names
    owner = resource("aws_s3_bucket_ownership_controls")["rule"]
    assert owner == [{"object_ownership": "BucketOwnerEnforced"}]


def test_the_bucket_encrypts_with_the_key_that_is_given_or_with_its_own() -> None:
    (rule,) = resource("aws_s3_bucket_server_side_encryption_configuration")["rule"]
    (default,) = rule["apply_server_side_encryption_by_default"]
    assert default["sse_algorithm"] == '${var.kms_key_arn == null ? "AES256" : "aws:kms"}'
    assert default["kms_master_key_id"] == "${var.kms_key_arn}"


def test_no_lifecycle_rule_deletes_a_backup_or_moves_it_to_another_class() -> None:
    for rule in rules():
        assert rule["status"] == "Enabled"
        assert "transition" not in rule
        if rule["filter"] != [{"prefix": "${rule.value}"}]:  # of probe_prefixes, which must end in probe/
            assert "noncurrent_version_expiration" not in rule
            assert rule.get("expiration", [{}]) in ([{}], [{"expired_object_delete_marker": True}])
    (prefixes,) = [each["probe_prefixes"] for each in parsed()["variable"] if "probe_prefixes" in each]
    assert prefixes["default"] == ["probe/"]
    assert '"/probe/")' in prefixes["validation"][0]["condition"]


def test_uploads_that_were_never_finished_are_aborted_but_none_that_would_be_gone_on_with() -> None:
    (rule,) = [each for each in rules() if "abort_incomplete_multipart_upload" in each]
    assert rule["filter"] == [{}]
    assert rule["abort_incomplete_multipart_upload"] == [{"days_after_initiation": "${var.abort_uploads_after_days}"}]
    (days,) = [each["abort_uploads_after_days"] for each in parsed()["variable"] if "abort_uploads_after_days" in each]
    assert days["default"] == 7
    assert days["validation"][0]["condition"] == "${var.abort_uploads_after_days >= 2}"


def test_the_buckets_policy_refuses_plain_http_and_writing_over() -> None:
    assert 'templatefile("${path.module}/policies/bucket.json"' in resource("aws_s3_bucket_policy")["policy"]
    statements = {each["Sid"]: each for each in policy("bucket", bucket=_BUCKET)["Statement"]}  # type: ignore[attr-defined]
    assert {each["Effect"] for each in statements.values()} == {"Deny"}
    http, over = statements["NoPlainHttp"], statements["NothingIsWrittenOver"]
    assert (http["Principal"], http["Action"], http["Resource"]) == ("*", "s3:*", [_BUCKET, f"{_BUCKET}/*"])
    assert http["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert (over["Principal"], over["Action"], over["Resource"]) == ("*", "s3:PutObject", f"{_BUCKET}/*")
    # Parts have no If-None-Match; what completes them has.
    assert over["Condition"] == {
        "Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}
    }  # fmt: skip


def test_the_adding_role_can_delete_nothing_and_neither_can_go_round_a_lock_or_change_the_bucket() -> None:
    (local,) = parsed()["locals"]
    assert local["granted"] == ROLES
    changes = {role: {each for each in granted(role) if not each.startswith(("s3:Get", "s3:List"))} for role in ROLES}
    assert changes["adding"] == {
        "s3:PutObject", "s3:PutObjectTagging", "s3:PutObjectRetention", "s3:AbortMultipartUpload", "s3:RestoreObject"
    }  # fmt: skip
    more = changes["pruning"] - changes["adding"]
    assert more == {"s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutObjectLegalHold"}
    denied = {
        each["Resource"]: each["Action"]
        for each in policy("never", bucket=_BUCKET)["Statement"]  # type: ignore[attr-defined]
    }
    assert denied[f"{_BUCKET}/*"] == "s3:BypassGovernanceRetention"
    assert {"s3:PutBucket*", "s3:DeleteBucket*", "s3:PutLifecycleConfiguration"} <= set(denied[_BUCKET])


def test_every_policy_is_a_file_and_every_file_is_a_policy() -> None:
    (local,) = parsed()["locals"]
    named = set(re.findall(r'"(\w+)"', str(local["documents"]))) | {name for names in ROLES.values() for name in names}
    assert named | {"bucket"} == {path.stem for path in (TERRAFORM / "policies").glob("*.json")}
    assert policy("key", key="arn:aws:kms:::key/k", bucket=_BUCKET)["Statement"] == [
        {
            "Sid": "EncryptAndDecrypt",
            "Effect": "Allow",
            "Action": ["kms:GenerateDataKey", "kms:Decrypt"],
            "Resource": "arn:aws:kms:::key/k",
        }
    ]


def test_whatever_is_named_is_there() -> None:
    text = "\n".join(path.read_text() for path in TERRAFORM.glob("*.tf"))
    there = {
        "var": {name for each in parsed()["variable"] for name in each},
        "local": {name for each in parsed()["locals"] for name in each},
    }
    for kind, names in there.items():
        assert set(re.findall(rf"\b{kind}\.(\w+)", text)) == names
    resources = {f"{kind}.{name}" for each in parsed()["resource"] for kind, names in each.items() for name in names}
    assert set(re.findall(r"\b(aws_\w+\.\w+)", text)) <= resources


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TERRAFORM, tmp_path / "terraform", ignore=shutil.ignore_patterns(".terraform*")))


def terraform(folder: Path, *arguments: str, given: str = "") -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": os.environ["PATH"], "CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull}
    return subprocess.run(
        ["terraform", *arguments], cwd=folder, env=environment, input=given, capture_output=True, text=True, check=False
    )


def test_terraform_where_it_is_installed_finds_nothing_wrong(copy: Path) -> None:
    """Its format everywhere; the rest needs the provider, and is done where that is in TF_PLUGIN_CACHE_DIR.

    Nothing is fetched. Where there is no terraform, it is parsed all the same.
    """
    assert len(parsed()["resource"]) == 10
    if shutil.which("terraform") is None:
        return
    done = terraform(copy, "fmt", "-check", "-diff")
    assert (done.returncode, done.stdout) == (0, "")
    assert "hashicorp/aws" in terraform(copy, "providers").stdout
    provider = os.environ.get("TF_PLUGIN_CACHE_DIR", str(copy / "none"))
    Path(provider).mkdir(exist_ok=True)
    if terraform(copy, "init", "-backend=false", "-input=false", f"-plugin-dir={provider}").returncode == 0:
        done = terraform(copy, "validate", "-no-color")
        assert done.returncode == 0, done.stdout + done.stderr
