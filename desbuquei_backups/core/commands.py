"""Commands and settings as messages tell them: of a further database they name it, since ids are the same in each."""

import re
from collections.abc import Mapping

_COMMAND = re.compile(
    r"\bdesbuquei (?=(?:audit|backup|catalog|doctor|drill|hold|list|prove|prune|recover|release|report|restore|status"
    r"|thaw|verify|wal)\b)"
)
_NONE: Mapping[str, str] = {}


def of_database(text: str, database: str, variables: Mapping[str, str] = _NONE) -> str:
    """`text` with its commands working on that database of the policy; with none, on the first, as they stand.

    `variables`: what the settings that it names are called for this database.
    """
    for usual, own in variables.items():
        text = re.sub(rf"\b{usual}\b", own, text)
    return _COMMAND.sub(f"desbuquei --database {database} ", text) if database else text
