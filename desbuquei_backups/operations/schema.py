"""A schema as comparable text: pg_dump's own DDL, entry by entry, less what varies without meaning."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable

from desbuquei_backups.postgres.plain_dump import Entry

# Their options may hold passwords, which no check result may show.
_SECRET = frozenset({"SERVER", "USER MAPPING", "SUBSCRIPTION"})
# A policy's roles are written in the order of their OIDs, which is another one on every server.
_POLICY_ROLES = re.compile(r'(?<= TO )(?:"(?:[^"]|"")+"|\w+)(?:, (?:"(?:[^"]|"")+"|\w+))+')


def label(entry: Entry) -> str:
    """How a person names an entry: `TABLE public.pedidos`."""
    name = entry.name if entry.schema in ("-", "") else f"{entry.schema}.{entry.name}"
    # Default privileges of several roles bear the same name.
    owner = f" (by {entry.owner})" if entry.kind == "DEFAULT ACL" else ""
    return f"{entry.kind} {name}{owner}"


def ddl_by_label(ddl: Iterable[tuple[Entry, str]]) -> dict[str, object]:
    """The DDL of each entry. Grants are sorted: their order has no meaning."""
    found: dict[str, list[str]] = defaultdict(list)
    for entry, text in ddl:
        if entry.name.startswith("LARGE OBJECT "):
            continue  # owners, grants and comments of large objects are in their fingerprint
        lines = text.splitlines()
        if entry.kind in ("ACL", "DEFAULT ACL"):
            lines.sort()
        if entry.kind in _SECRET:
            lines = [f"SHA-256 {hashlib.sha256(text.encode()).hexdigest()}, shown so because it may hold a password"]
        if entry.kind == "POLICY":
            lines = [_POLICY_ROLES.sub(_sorted_roles, line) for line in lines]
        found[label(entry)].append("\n".join(lines))
    return {name: "\n".join(sorted(texts)) for name, texts in found.items()}


def _sorted_roles(found: re.Match[str]) -> str:
    return ", ".join(sorted(re.findall(r'"(?:[^"]|"")+"|\w+', found[0])))
