"""The roles of docs/terraform: what their policies grant, and a bucket on which whoever asks has no more than that."""

import json
import string
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from desbuquei_backups.storage import permissions
from desbuquei_backups.storage.s3 import Bucket

TERRAFORM = Path(__file__).parents[1] / "docs" / "terraform"
# As in roles.tf, which a test compares with this.
ROLES = {"adding": ["adding", "never"], "pruning": ["adding", "pruning", "never"]}


def policy(name: str, **given: str) -> dict[str, object]:
    """A policy as Terraform's templatefile() makes it; KeyError if it names what it is not given."""
    text = (TERRAFORM / "policies" / f"{name}.json").read_text()
    return dict(json.loads(string.Template(text).substitute(given)))


def granted(role: str) -> set[str]:
    """The actions that a role may do; each must be granted for the resource that it is of."""
    found = set()
    for name in ROLES[role]:
        for statement in policy(name, bucket="arn:aws:s3:::b")["Statement"]:  # type: ignore[attr-defined]
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            if statement["Effect"] == "Allow":
                for action in actions:
                    of_bucket = "Bucket" in action or (action.startswith("s3:Get") and "Configuration" in action)
                    assert statement["Resource"] == ("arn:aws:s3:::b" if of_bucket else "arn:aws:s3:::b/*"), action
                found |= set(actions)
    return found


def every_action() -> set[str]:
    """All actions that some call may need."""
    given: tuple[dict[str, object], ...] = (
        {},
        {"VersionId": "x", "Tagging": "a=b", "ObjectLockMode": "GOVERNANCE", "BypassGovernanceRetention": True},
    )
    return {action for name in permissions._ACTIONS for each in given for action in permissions.needed(name, each)}


@contextmanager
def refusing(bucket: Bucket, *actions: str) -> Iterator[None]:
    """The bucket's own policy refuses these, to its owner too.

    SeaweedFS does not tell PutObjectTagging, PutObjectRetention and BypassGovernanceRetention from the call that they
    are part of, and knows no NotAction.
    """
    arn = f"arn:aws:s3:::{bucket.name}"
    statement = {
        "Sid": "Refused",
        "Effect": "Deny",
        "Principal": "*",
        "Action": sorted(actions),
        "Resource": [arn, f"{arn}/*"],
    }
    bucket.client.put_bucket_policy(
        Bucket=bucket.name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    )
    try:
        yield
    finally:
        bucket.client.delete_bucket_policy(Bucket=bucket.name)


@contextmanager
def only(bucket: Bucket, role: str) -> Iterator[None]:
    """The bucket refuses what that role may not do."""
    with refusing(bucket, *(every_action() - granted(role))):
        yield
