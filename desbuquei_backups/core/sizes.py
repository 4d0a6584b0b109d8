"""Sizes as people write them: `50GB`, `1.5 TB`; in powers of ten."""

import re

_UNITS = {"B": 1, "kB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000, "TB": 1_000_000_000_000}


def parse_size(text: str) -> int:
    """The bytes in `50GB` or `50 GB`; ValueError if it is no size, or nothing."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?(B|kB|MB|GB|TB)", text, flags=re.ASCII)
    size = int(float(match[1]) * _UNITS[match[2]]) if match is not None else 0
    if not size:
        raise ValueError('write a number and a unit, like "50GB"')
    return size
