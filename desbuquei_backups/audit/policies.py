"""Two policies beside each other: what was changed, key by key."""

from collections.abc import Iterator, Mapping
from typing import Any


def described(policy: Mapping[str, Any]) -> str:
    """The first that was said, in a few words."""
    return f"the policy is known from here on: {len(policy.get('tiers') or ())} tiers"


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """`tiers.daily.kept_in_s3: 30 days → 7 days`, for each that differs."""
    old, new = dict(_flat("", before)), dict(_flat("", after))
    return [
        f"{key}: {old.get(key, 'not set')} → {new.get(key, 'not set')}"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]


def _flat(start: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and set(value) == {"count", "unit"}:
        yield start, f"{value['count']} {value['unit']}{'' if value['count'] == 1 else 's'}"
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _flat(f"{start}.{key}" if start else str(key), each)
    elif value is not None:
        yield start, str(value)
