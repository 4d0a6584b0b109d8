"""Questions that only `doctor` asks: what a bucket is set to, and what these credentials may do there."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from desbuquei_backups.storage.permissions import needed
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups.storage.s3_errors import store_errors

_DENIED = ("AccessDenied", "403", "AllAccessDisabled")
_NO_SUCH_CALL = ("NotImplemented", "MethodNotAllowed", "UnsupportedOperation")


class May(StrEnum):
    """Whether something may be done. NO_SUCH_CALL: the store does not know it, whoever asks."""

    YES = "yes"
    NO = "no"
    NO_SUCH_CALL = "no such call"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a store answered. `given` is empty if nothing is set, or it did not tell."""

    may: May
    given: Mapping[str, Any] = field(default_factory=dict)


class Setting(StrEnum):
    """What a bucket can be asked for, by the operation in S3's API."""

    VERSIONING = "GetBucketVersioning"
    OBJECT_LOCK = "GetObjectLockConfiguration"
    ENCRYPTION = "GetBucketEncryption"
    LIFECYCLE = "GetBucketLifecycleConfiguration"
    PUBLIC_ACCESS = "GetPublicAccessBlock"
    POLICY = "GetBucketPolicy"

    @property
    def action(self) -> str:
        """What it needs of IAM."""
        return min(needed(self, {}))


_UNSET = (
    "ObjectLockConfigurationNotFoundError",
    "ServerSideEncryptionConfigurationNotFoundError",
    "NoSuchLifecycleConfiguration",
    "NoSuchPublicAccessBlockConfiguration",
    "NoSuchBucketPolicy",
)


def setting(bucket: Bucket, wanted: Setting) -> Answer:
    """What the bucket is set to; nothing is changed."""
    client = bucket.client
    ask: Mapping[Setting, Callable[..., Any]] = {
        Setting.VERSIONING: client.get_bucket_versioning,
        Setting.OBJECT_LOCK: client.get_object_lock_configuration,
        Setting.ENCRYPTION: client.get_bucket_encryption,
        Setting.LIFECYCLE: client.get_bucket_lifecycle_configuration,
        Setting.PUBLIC_ACCESS: client.get_public_access_block,
        Setting.POLICY: client.get_bucket_policy,
    }
    return _asked(f"asking for {wanted}", lambda: ask[wanted](Bucket=bucket.name), unset=_UNSET)


def set_versioning_as_it_is(bucket: Bucket) -> Answer:
    """Whether the bucket's versioning may be set, by switching it on where it is on: see that it is, first."""
    on: Any = {"Status": "Enabled"}
    return _asked(
        "setting versioning",
        lambda: bucket.client.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration=on),
    )


def retention(bucket: Bucket, key: str) -> Answer:
    """Whether an object's lock may be read. The object must be locked."""
    name, whole = bucket.where(key)
    return _asked(f"reading the lock of {key}", lambda: bucket.client.get_object_retention(Bucket=name, Key=whole))


def list_versions(bucket: Bucket, key: str) -> Answer:
    """Whether versions may be listed."""
    name, whole = bucket.where(key)
    return _asked(
        f"listing the versions of {key}", lambda: bucket.client.list_object_versions(Bucket=name, Prefix=whole)
    )


def delete(bucket: Bucket, key: str, *, version_id: str | None = None, bypass: bool = False) -> Answer:
    """Delete an object, or one version of it; `bypass`: although it is locked, where the mode is governance."""
    name, whole = bucket.where(key)
    given: Any = {"VersionId": version_id} if version_id is not None else {}
    if bypass:
        given["BypassGovernanceRetention"] = True
    return _asked(f"deleting {key}", lambda: bucket.client.delete_object(Bucket=name, Key=whole, **given))


def begin_upload(bucket: Bucket, key: str) -> str:
    """Begin an upload in parts, and say its id; StoreRefused if that may not be done."""
    name, whole = bucket.where(key)
    with store_errors(f"storing {key} in parts"):
        return bucket.client.create_multipart_upload(Bucket=name, Key=whole)["UploadId"]


def list_uploads(bucket: Bucket, key: str) -> Answer:
    """Whether unfinished uploads may be listed."""
    name, whole = bucket.where(key)
    return _asked("listing unfinished uploads", lambda: bucket.client.list_multipart_uploads(Bucket=name, Prefix=whole))


def list_parts(bucket: Bucket, key: str, upload_id: str) -> Answer:
    """Whether the parts of an unfinished upload may be listed."""
    name, whole = bucket.where(key)
    return _asked("listing parts", lambda: bucket.client.list_parts(Bucket=name, Key=whole, UploadId=upload_id))


def abort_upload(bucket: Bucket, key: str, upload_id: str) -> Answer:
    """Whether an unfinished upload may be aborted; it is."""
    name, whole = bucket.where(key)
    return _asked(
        "aborting an upload",
        lambda: bucket.client.abort_multipart_upload(Bucket=name, Key=whole, UploadId=upload_id),
    )


def _asked(doing: str, call: Callable[[], Any], *, unset: Collection[str] = ()) -> Answer:
    """The answer to a call; whatever is neither an answer nor a refusal is raised, as a StoreError."""
    from botocore.exceptions import ClientError

    with store_errors(doing):
        try:
            return Answer(May.YES, call())
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if code in unset:
                return Answer(May.YES)
            if code in _DENIED:
                return Answer(May.NO)
            if code in _NO_SUCH_CALL or status in (405, 501):
                return Answer(May.NO_SUCH_CALL)
            raise
