"""What it costs to prove a restored copy, of what restoring costs: counts, fingerprints, schema; pg_amcheck apart."""

import os
from typing import Any

from bench.place import Place
from bench.procedures import child, folder

COMPARED = ("counts and fingerprints", "schema")


def measured(place: Place, database: str, *, rounds: int = 3) -> dict[str, Any]:
    """Each round dumps, archives, restores from S3 and compares, in a process and on a restore server of its own.

    BENCH_RESTORE_URL names another server than the embedded one; it must be none that the source is on.
    """
    told = []
    for number in range(1, rounds + 1):
        with folder(place) as files:
            settings = {"DESBUQUEI_RESTORE_URL": os.environ.get("BENCH_RESTORE_URL", "embedded")}
            _, said = child(place, database, files, f"proof-{number}", "proof", settings=settings)
            told.append(said)
    return {"rounds": told}
