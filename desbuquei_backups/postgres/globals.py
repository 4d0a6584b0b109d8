"""Roles as pg_dumpall writes them: the statements, and which of them concern a role."""

import re
from collections.abc import Collection, Iterator

_IDENTIFIER = r'("(?:[^"]|"")+"|[^\s;"]+)'
_ABOUT = (
    re.compile(rf"(?:CREATE|ALTER) ROLE {_IDENTIFIER}"),
    re.compile(rf"COMMENT ON ROLE {_IDENTIFIER}"),
)
_IN_DATABASE = re.compile(rf"ALTER ROLE {_IDENTIFIER} IN DATABASE ")
_GRANTED = re.compile(rf"GRANT {_IDENTIFIER} TO {_IDENTIFIER}")
_SUPERUSER = re.compile(rf"ALTER ROLE {_IDENTIFIER} WITH SUPERUSER ")
_CREATED = re.compile(rf"CREATE ROLE {_IDENTIFIER};")


def statements(script: str) -> Iterator[str]:
    """The SQL statements of a script, whole: semicolons in quotes end none; comments and psql's own lines go."""
    begun = position = 0
    quote = ""
    while position < len(script):
        at = script[position]
        if quote:
            if at == quote:
                quote = ""
        elif at in "'\"":
            quote = at
        elif script.startswith("--", position) or (at == "\\" and not script[begun:position].strip()):
            end = script.find("\n", position)
            position = begun = len(script) if end < 0 else end + 1
            continue
        elif at == ";":
            yield script[begun : position + 1].strip()
            begun = position + 1
        position += 1


def created_roles(script: str) -> list[str]:
    """The names of the roles that the script creates, as they are, unquoted."""
    return [_unquoted(found[1]) for statement in statements(script) if (found := _CREATED.fullmatch(statement))]


def superusers(script: str) -> set[str]:
    """The names of the roles that the script makes superusers."""
    found = (_SUPERUSER.match(statement) for statement in statements(script))
    return {_unquoted(role[1]) for role in found if role}


def concerning(script: str, missing: Collection[str]) -> list[str]:
    """The statements that make the `missing` roles what they were; an existing role stays as it is."""
    wanted = []
    for statement in statements(script):
        if granted := _GRANTED.match(statement):
            role = _unquoted(granted[2])
        elif about := next((found for pattern in _ABOUT if (found := pattern.match(statement))), None):
            role = _unquoted(about[1])
        else:
            continue
        # A setting of a role in a database belongs to the database's own file.
        if role in missing and not _IN_DATABASE.match(statement):
            wanted.append(statement)
    return wanted


def _unquoted(identifier: str) -> str:
    return identifier[1:-1].replace('""', '"') if identifier.startswith('"') else identifier
