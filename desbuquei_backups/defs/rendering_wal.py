"""The WAL as Dagster shows it, a quarter of an hour after the other: figures, of which it draws trends."""

from collections.abc import Mapping
from typing import Any

from desbuquei_backups.operations.wal_state import WalState


def wal_metadata(state: WalState) -> Mapping[str, Any]:
    """What is not known is left out: a trend has a gap there."""
    age = {"recovery point, age (seconds)": state.age.total_seconds()} if state.age is not None else {}
    return {
        **age,
        "segments in S3": state.segments,
        "waiting to be sent": state.waiting,
        "waiting to be sent (bytes)": state.waiting_bytes,
        "gaps": len(state.gaps),
    }
