"""What it costs to keep a dump in a second tier: bytes that pass between us, the database and S3, and seconds."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from bench.counted import Counted
from bench.place import Place
from bench.procedures import child, folder

_ENDPOINT = "AWS_ENDPOINT_URL_S3"


def measured(place: Place, database: str) -> dict[str, Any]:
    """A daily, and the weekly of the same instant that takes it over, each in a process of its own."""
    with folder(place) as files, _relayed(place) as (relayed, postgres, s3):
        told = {}
        for tier in ("daily", "weekly"):
            before = postgres.taken, s3.taken, s3.given
            _, said = child(relayed, database, files, "promotion", "tier", tier)
            after = postgres.taken, s3.taken, s3.given
            moved = [later - earlier for earlier, later in zip(before, after, strict=True)]
            names = ("from_the_database", "from_s3", "to_s3")
            told[tier] = {**said, **dict(zip(names, moved, strict=True)), "wall": sum(said["stages"].values())}
    assert told["weekly"]["copy_of"], "the weekly was dumped again"
    return told


@contextmanager
def _relayed(place: Place) -> Iterator[tuple[Place, Counted, Counted]]:
    """The same servers, reached through relays that count."""
    source, endpoint = urlsplit(place.maintenance_url), urlsplit(place.aws[_ENDPOINT])
    with (
        Counted(str(source.hostname), source.port or 5432) as postgres,
        Counted(str(endpoint.hostname), endpoint.port or 80) as s3,
    ):
        user = source.netloc.rpartition("@")[0]
        url = urlunsplit(source._replace(netloc=f"{user}@127.0.0.1:{postgres.port}"))
        aws: Mapping[str, str] = {**place.aws, _ENDPOINT: f"http://127.0.0.1:{s3.port}"}
        yield replace(place, maintenance_url=url, aws=aws), postgres, s3
