"""Where in a TOML text a fault is: a person mends a line, not a path of keys."""

import re
from typing import Any


def place(text: str, location: tuple[Any, ...]) -> str:
    """`line 7, tiers.daily.cron` for a fault at that place in a TOML text, as near as its lines tell."""
    keys = [str(part) for part in location]
    table, line_of = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[([^\]]+)\]", line):
            table = header[1].strip()
            if table == ".".join(keys[: table.count(".") + 1]):
                line_of = number
        elif assigned := re.match(r"\s*([\w\"-]+)\s*=", line):
            name = f"{table}.{assigned[1]}" if table else assigned[1]
            if name == ".".join(keys[: name.count(".") + 1]):
                return f"line {number}, {'.'.join(keys)}"
    return f"line {line_of}, {'.'.join(keys)}" if line_of else ".".join(keys)
