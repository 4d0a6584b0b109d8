"""Where the embedded servers answer: values that travel from the supervisor to its users."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

__all__ = ["Endpoints", "PostgresServer", "S3Server", "Server"]


class Server(StrEnum):
    """A server and the one purpose it has."""

    SOURCE = "source"
    """The demo's database: what is backed up."""
    SUPABASE = "supabase"
    """A database shaped like a managed one: TLS only, no replication, the superuser under another name."""
    PLATFORM = "platform"
    """Dagster's storage."""
    SCRATCH = "scratch"
    """Restored copies: fast, and not to be trusted with anything worth keeping."""
    S3 = "s3"
    """The bucket."""


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A PostgreSQL server, with its superuser's credentials.

    `data_dir` belongs to the operating system's user that runs the server, which as root is an unprivileged one;
    `bin_dir` holds the programs it runs from, readable by that user. `sslrootcert` is the certificate to trust, where
    the server wants TLS.
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    sslmode: str
    sslrootcert: Path | None
    data_dir: Path
    bin_dir: Path

    @property
    def url(self) -> str:
        """The libpq URI, password included: never log it."""
        return self.url_of(self.database)

    def url_of(self, database: str) -> str:
        """The libpq URI of another database on this server, password included."""
        from urllib.parse import quote, urlencode

        options = {"sslmode": self.sslmode} | ({"sslrootcert": str(self.sslrootcert)} if self.sslrootcert else {})
        name = quote(database, safe="")
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        return f"postgresql://{login}@{self.host}:{self.port}/{name}?{urlencode(options, quote_via=quote)}"


@dataclass(frozen=True, slots=True)
class S3Server:
    """An S3 server with one bucket, without versioning until somebody turns it on."""

    endpoint_url: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str
    bucket: str

    def environment(self) -> dict[str, str]:
        """The variables by which boto3, the AWS tools and this project find the server."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_ENDPOINT_URL_S3": self.endpoint_url,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
        }


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The servers that were asked for, and no others."""

    postgres: Mapping[Server, PostgresServer]
    s3: S3Server | None


def to_json(endpoints: Endpoints) -> dict[str, Any]:
    document = {name.value: asdict(server) for name, server in endpoints.postgres.items()}
    for server in document.values():
        for key in ("data_dir", "bin_dir", "sslrootcert"):
            server[key] = None if server[key] is None else str(server[key])
    return {"postgres": document, "s3": asdict(endpoints.s3) if endpoints.s3 else None}


def from_json(document: Mapping[str, Any]) -> Endpoints:
    def postgres(values: Mapping[str, Any]) -> PostgresServer:
        root = values["sslrootcert"]
        paths = {"data_dir": Path(values["data_dir"]), "bin_dir": Path(values["bin_dir"])}
        return PostgresServer(**{**values, **paths, "sslrootcert": Path(root) if root else None})

    return Endpoints(
        postgres={Server(name): postgres(values) for name, values in document["postgres"].items()},
        s3=S3Server(**document["s3"]) if document["s3"] else None,
    )
