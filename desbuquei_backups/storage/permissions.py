"""What each call to the store needs of IAM: what docs/terraform grants, and what a refusal says to grant."""

from collections.abc import Mapping
from typing import Any

# By the name of the operation in S3's API:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
_ACTIONS: Mapping[str, tuple[str, ...]] = {
    "HeadBucket": ("s3:ListBucket",),
    "ListObjectsV2": ("s3:ListBucket",),
    "HeadObject": ("s3:GetObject",),
    "GetObject": ("s3:GetObject",),
    "PutObject": ("s3:PutObject",),
    "CreateMultipartUpload": ("s3:PutObject",),
    "UploadPart": ("s3:PutObject",),
    "UploadPartCopy": ("s3:PutObject", "s3:GetObject"),
    "CompleteMultipartUpload": ("s3:PutObject",),
    "AbortMultipartUpload": ("s3:AbortMultipartUpload",),
    "ListParts": ("s3:ListMultipartUploadParts",),
    "ListMultipartUploads": ("s3:ListBucketMultipartUploads",),
    "RestoreObject": ("s3:RestoreObject",),
    "PutObjectLegalHold": ("s3:PutObjectLegalHold",),
    "GetObjectRetention": ("s3:GetObjectRetention",),
    "ListObjectVersions": ("s3:ListBucketVersions",),
    "DeleteObject": ("s3:DeleteObject",),
    "GetBucketVersioning": ("s3:GetBucketVersioning",),
    "PutBucketVersioning": ("s3:PutBucketVersioning",),
    "GetObjectLockConfiguration": ("s3:GetBucketObjectLockConfiguration",),
    "GetBucketEncryption": ("s3:GetEncryptionConfiguration",),
    "GetBucketLifecycleConfiguration": ("s3:GetLifecycleConfiguration",),
    "GetPublicAccessBlock": ("s3:GetBucketPublicAccessBlock",),
    "GetBucketPolicy": ("s3:GetBucketPolicy",),
    "GetBucketLocation": ("s3:GetBucketLocation",),
}
# Without these the store answers all the same, and leaves out what it knows of locks and holds.
_LEFT_OUT: Mapping[str, tuple[str, ...]] = {"HeadObject": ("s3:GetObjectRetention", "s3:GetObjectLegalHold")}
_WITH: Mapping[str, str] = {
    "Tagging": "s3:PutObjectTagging",
    "ObjectLockMode": "s3:PutObjectRetention",
    "BypassGovernanceRetention": "s3:BypassGovernanceRetention",
}
_OF_A_VERSION: Mapping[str, str] = {
    "s3:GetObject": "s3:GetObjectVersion",
    "s3:DeleteObject": "s3:DeleteObjectVersion",
}
_STORED_WITH = ("s3:PutObjectTagging", "s3:PutObjectRetention")
_MAY_NEED: Mapping[str, tuple[str, ...]] = {
    "PutObject": _STORED_WITH,
    "CreateMultipartUpload": _STORED_WITH,
    "DeleteObject": ("s3:DeleteObjectVersion",),
}


def needed(operation: str, given: Mapping[str, Any]) -> set[str]:
    """The IAM actions without which that call fails, or is not answered in full; KeyError if it is not known."""
    actions = {*_ACTIONS[operation], *_LEFT_OUT.get(operation, ())}
    if "VersionId" in given:
        actions = {_OF_A_VERSION.get(action, action) for action in actions}
    return actions | {action for parameter, action in _WITH.items() if given.get(parameter)}


def lacking(operation: str) -> str:
    """What to grant if a call was refused, as text: all that such a call may need, whatever it was given."""
    actions = [*_ACTIONS.get(operation, ()), *_MAY_NEED.get(operation, ())]
    return ", ".join(actions) or f"what {operation} needs"
