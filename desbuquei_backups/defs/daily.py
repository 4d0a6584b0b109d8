"""What the assets that are made once a day have in common: what may pass by itself is tried again."""

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

import dagster as dg

from desbuquei_backups.defs.assets import OWNERS


def daily(
    database: str,
    name: str,
    *,
    group: str,
    kinds: Set[str],
    after: Sequence[Sequence[str]],
    description: str,
    retry_delay: float,
    checks: Mapping[str, str] | None = None,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Make a function such an asset. `after`: the assets before it; `checks`: what each says, by its name."""
    specs = [dg.AssetCheckSpec(each, asset=[database, name], description=says) for each, says in (checks or {}).items()]
    return dg.asset(
        key=[database, name],
        group_name=group,
        owners=OWNERS,
        kinds=set(kinds),
        deps=[[database, *path] for path in after],
        retry_policy=dg.RetryPolicy(max_retries=2, delay=retry_delay, backoff=dg.Backoff.EXPONENTIAL),
        check_specs=specs,
        description=description,
    )
