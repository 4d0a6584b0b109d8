"""Commands as messages tell them: of a further database they name it, since ids are the same in each."""

import re

_COMMAND = re.compile(
    r"\bdesbuquei (?=(?:audit|backup|catalog|doctor|drill|hold|list|prove|prune|recover|release|report|restore|status"
    r"|thaw|verify|wal)\b)"
)


def of_database(text: str, database: str) -> str:
    """`text` with its commands working on that database of the policy; with none, on the first, as they stand."""
    return _COMMAND.sub(f"desbuquei --database {database} ", text) if database else text
