"""The bucket's URL, and boto3's client, made from the AWS_* settings; a setting that cannot be used is named."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from desbuquei_backups.core.errors import ConfigurationError
from desbuquei_backups.storage.listing import read_quickly
from desbuquei_backups.storage.s3_errors import malformed_endpoint, store_errors

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_ATTEMPTS = "AWS_MAX_ATTEMPTS"
_READ_TIMEOUT = 120  # seconds without a byte


def bucket_and_prefix(url: str, setting: str) -> tuple[str, str]:
    """The bucket's name and the prefix, "" for none, of an `s3://bucket/prefix`; ConfigurationError names `setting`."""
    try:
        parts = urlsplit(url)
    except ValueError:  # a bracket that does not close
        parts = urlsplit("")
    if parts.scheme != "s3" or not parts.netloc or "@" in parts.netloc or parts.query:
        raise ConfigurationError(
            f"{setting} is not an S3 URL",
            remedy="write it like s3://bucket or s3://bucket/prefix; credentials belong in AWS_* variables",
        )
    return parts.netloc, parts.path.strip("/")


def make_client(environment: Mapping[str, str], *, connections: int) -> "S3Client":
    """A client with what `environment` says, else the process's own AWS_* variables, else boto3's files.

    ConfigurationError if a setting cannot be used. Nothing is sent yet.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    config = Config(
        connect_timeout=10,
        read_timeout=_READ_TIMEOUT,
        retries={"mode": "standard", "total_max_attempts": _attempts(environment)},
        # Every part carries its own SHA-256; hashing it again for the signature would halve the rate.
        s3={"payload_signing_enabled": False},
        request_checksum_calculation="when_required",
        max_pool_connections=connections,
    )
    with store_errors("reaching the bucket"):
        try:
            # A session of its own: the default one keeps the credentials that it was first asked with.
            client = boto3.session.Session().client(
                "s3",
                config=config,
                aws_access_key_id=environment.get("AWS_ACCESS_KEY_ID"),
                aws_secret_access_key=environment.get("AWS_SECRET_ACCESS_KEY"),
                aws_session_token=environment.get("AWS_SESSION_TOKEN"),
                endpoint_url=environment.get("AWS_ENDPOINT_URL_S3"),
                region_name=environment.get("AWS_REGION"),
            )
            read_quickly(client)
            return client
        except BotoCoreError:
            raise  # some of them are ValueErrors too
        except ValueError:
            raise malformed_endpoint() from None


def _attempts(environment: Mapping[str, str]) -> int:
    given = environment.get(_ATTEMPTS) or os.environ.get(_ATTEMPTS, "6")
    if given.isascii() and given.isdecimal() and int(given) > 0:
        return int(given)
    raise ConfigurationError(
        f"{_ATTEMPTS} is {given!r}, which is not a number of attempts", remedy="write a whole number from 1 on, like 6"
    )
