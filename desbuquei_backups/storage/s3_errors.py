"""What the store's and boto3's own errors mean, and what to do about each."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from desbuquei_backups.core.errors import (
    BackupError,
    ConfigurationError,
    Frozen,
    NotFound,
    StoreRefused,
    StoreUnreachable,
)
from desbuquei_backups.storage.permissions import lacking

_GRANT = "grant {} on the bucket and what is in it: docs/aws.md has the roles"
THAW = (
    "it is in a class that must be thawed first, which takes hours: `desbuquei thaw ID` asks for it, and says when it "
    "can be read; or restore another tier's backup, `desbuquei list --remote` shows them"
)
CREATE_BUCKET = "create the bucket, or correct DESBUQUEI_S3_URL"
_REMEDIES = {
    "NoSuchBucket": CREATE_BUCKET,
    "AccessDenied": _GRANT,
    "InvalidAccessKeyId": "correct AWS_ACCESS_KEY_ID, or the profile",
    "SignatureDoesNotMatch": "correct AWS_SECRET_ACCESS_KEY",
    "ExpiredToken": "renew the credentials",
    "InvalidToken": "renew the credentials",
    "RequestTimeTooSkewed": "set this host's clock: let it take its time from NTP",
    # A HEAD has no body to say which of them it is.
    "400": "see that the credentials have not expired, and that AWS_REGION is the bucket's",
    "403": f"correct the credentials, or {_GRANT}; see that this host's clock is right",
}
_PASSING = {
    "RequestTimeout",
    "SlowDown",
    "InternalError",
    "ServiceUnavailable",
    "Throttling",
    "ConditionalRequestConflict",  # another request for this key was under way
    "OperationAborted",
}
_ENDPOINT = "write AWS_ENDPOINT_URL_S3 (or AWS_ENDPOINT_URL) like https://host or http://host:port, or leave it out"


class Taken(StoreRefused):
    """The key has an object already."""


class Forbidden(StoreRefused):
    """These credentials may not do that."""


class NoSuchRange(StoreRefused):
    """The object has no such bytes: it is empty."""


class Locked(StoreRefused):
    """The object is under Object Lock or a legal hold: it cannot be deleted yet."""


class UploadGone(StoreRefused):
    """The multipart upload is not there (any more): it was completed, or aborted."""


def malformed_endpoint() -> ConfigurationError:
    """An endpoint that is no URL; it is not repeated, for people put credentials there."""
    return ConfigurationError("the S3 endpoint that is set is not a URL", remedy=_ENDPOINT)


@contextmanager
def store_errors(doing: str) -> Iterator[None]:
    """Turn what boto3 raises into a StoreError, NotFound or ConfigurationError that says what to do."""
    from botocore.exceptions import BotoCoreError, ClientError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ClientError as error:
        raise _answered(error, doing) from None
    except BotoCoreError as error:
        raise _unsent(error, doing) from None
    except (HTTPError, OSError) as error:
        raise _unreachable(error, doing) from None


def _answered(error: Any, doing: str) -> BackupError:
    """The meaning of an answer that the store gave."""
    details = error.response.get("Error", {})
    code, status = str(details.get("Code", "")), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    text = f"{doing}: {code} {details.get('Message', '')}".strip()
    if code in ("404", "NoSuchKey", "NotFound"):
        return NotFound(text, remedy="`desbuquei list --remote` shows what is there")
    if code == "PreconditionFailed" or status == 412:  # an answer that was cut short bears no code
        return Taken(text, remedy="another run stored it first; run again to compare")
    if code == "NoSuchUpload":
        return UploadGone(
            text,
            remedy="the upload was aborted meanwhile, by a lifecycle rule of the bucket or from another machine with "
            "the same prefix: see which, then run again",
        )
    if code == "InvalidRange" or status == 416:
        return NoSuchRange(text, remedy="it is shorter than it was: see what else writes to the bucket")
    if code in ("InvalidObjectState", "ObjectNotInActiveTierError"):
        return Frozen(text, remedy=THAW)
    if code == "NotImplemented" or status in (405, 501):
        return StoreRefused(text, remedy="the store has no such call: do without what needs it, or use another store")
    if status >= 500 or status == 429 or code in _PASSING:
        return StoreUnreachable(text, remedy="the store is in trouble; what is missing is archived by running again")
    remedy = _REMEDIES.get(code, "look the code up in the store's documentation")
    kind = Forbidden if code in ("AccessDenied", "403") else StoreRefused
    return kind(text, remedy=remedy.format(lacking(error.operation_name)))


def _unsent(error: Any, doing: str) -> BackupError:
    """The meaning of what boto3 says of itself, before or instead of an answer: settings first."""
    from botocore import exceptions as boto

    if isinstance(error, boto.EndpointProviderError):
        return malformed_endpoint()
    settings: tuple[tuple[type[Exception], str], ...] = (
        (boto.NoCredentialsError, "set AWS_ACCESS_KEY_ID and its secret"),
        (boto.PartialCredentialsError, "set AWS_ACCESS_KEY_ID and its secret"),
        (boto.ProfileNotFound, "correct AWS_PROFILE, or add that profile to ~/.aws/config"),
        (boto.ConfigParseError, "mend that file, or point AWS_CONFIG_FILE elsewhere"),
        (boto.InvalidRegionError, "correct AWS_REGION"),
        (boto.ParamValidationError, "correct the bucket's name in DESBUQUEI_S3_URL: s3://bucket/prefix"),
    )
    for kind, remedy in settings:
        if isinstance(error, kind):
            return ConfigurationError(f"{doing}: {' '.join(str(error).split())}", remedy=remedy)
    return _unreachable(error, doing)


def _unreachable(error: Exception, doing: str) -> StoreUnreachable:
    return StoreUnreachable(
        f"{doing}: {error}", remedy="see that the store answers; what is missing is archived by running again"
    )
