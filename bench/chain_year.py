"""What it costs to verify the chain of evidence of a year of hourlies from S3: link by link, and by packs of links."""

import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from bench.audit_year import HOURS, links_of
from bench.catalog import ran
from bench.place import Place
from desbuquei_backups.core.evidence import Kind
from desbuquei_backups.core.slots import Slot, due_before
from desbuquei_backups.core.tiers import load_policy
from desbuquei_backups.operations.evidence_head import find
from desbuquei_backups.operations.evidence_packs import pack
from desbuquei_backups.storage.s3 import Bucket

_AT_ONCE = 16


def measured(place: Place, *, rounds: int = 3) -> dict[str, Any]:
    """`desbuquei audit verify` in processes of their own: each backup sealed, pruned and checked, a link each."""
    command = [str(Path(sys.executable).with_name("desbuquei")), "audit", "verify", "--json"]
    with _chain(place) as (environment, bucket, links):
        singly = ran(command, environment)
        pack(bucket, find(bucket))
        packed = [ran(command, environment) for _ in range(rounds)]
    return {
        "links": links,
        "singly": {"wall": singly.wall, "peak_bytes": singly.peak_bytes},
        "packed": [{"wall": each.wall, "peak_bytes": each.peak_bytes} for each in packed],
    }


@contextmanager
def _chain(place: Place) -> Iterator[tuple[Mapping[str, str], Bucket, int]]:
    with tempfile.TemporaryDirectory(prefix="chain-", dir=place.home) as folder:
        environment = place.environment("postgres", Path(folder), "chain")
        bucket = Bucket(environment["DESBUQUEI_S3_URL"], place.aws)
        now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        slots = [Slot("hourly", due) for due in islice(due_before(load_policy().scheduled["hourly"], now), HOURS)][::-1]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            put = pool.map(lambda link: bucket.put_if_absent(*link), links_of(slots, Kind.PRUNED))
            links = sum(1 for _ in put)
        yield environment, bucket, links
