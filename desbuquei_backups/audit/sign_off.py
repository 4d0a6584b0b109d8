"""A reviewer's name under a report: kept in the chain of evidence, by the SHA-256 of the report's JSON."""

import json
from datetime import datetime
from pathlib import Path

from desbuquei_backups.audit.document import KIND
from desbuquei_backups.core.errors import ConfigurationError
from desbuquei_backups.operations import said
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage import disk


def sign_off(site: Site, reviewer: str, path: Path, note: str | None) -> None:
    """Say it. ConfigurationError if nobody is named, or the file is no report of this database; StoreError."""
    name = reviewer.strip()
    if not name:
        raise ConfigurationError("nobody is named", remedy='write --sign-off "NAME"')
    with disk.disk_errors(path):
        content = path.read_bytes()
    try:
        found = json.loads(content)
        kind, database = found["kind"], found["database"]
        start, end = (datetime.fromisoformat(found[name]) for name in ("from", "to"))
    except (ValueError, KeyError, TypeError):
        kind, database = None, None
    if kind != KIND:
        raise ConfigurationError(f"{path} is not the JSON of a report", remedy="name the .json file beside the page")
    if database != site.policy.database:
        raise ConfigurationError(
            f"{path} is a report of the database {database}, not of {site.policy.database}",
            remedy="name the report of this database",
        )
    said.signed_off(site, name, start, end, content, note)
