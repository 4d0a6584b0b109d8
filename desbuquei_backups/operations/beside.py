"""What is on the source's server beside the databases that the policy names: no dump holds it."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from desbuquei_backups.core.errors import ConfigurationError
from desbuquei_backups.operations.settings import DATABASE_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.postgres import connection as pg

_OTHERS = "select datname::text from pg_database where not datistemplate and datname <> current_database() order by 1"
_PORT = 5432


def other_databases(site: Site) -> list[str]:
    """The names of those that this policy does not name; SourceError if the server cannot be asked, ConfigurationError.

    Another one of the policy is known to be there if its URL names the same host and port.
    """
    ours, named = pg.parse(site.settings.database_url, setting=DATABASE_URL), set()
    for url in site.settings.others:
        with suppress(ConfigurationError):  # its own runs say what is wrong with it
            theirs = pg.parse(url, setting=DATABASE_URL)
            if _server(theirs) == _server(ours):
                named.add(theirs.get("dbname"))
    with pg.connect(site.settings.database_url, setting=DATABASE_URL) as connection, pg.explained("asking the server"):
        return [name for (name,) in connection.execute(_OTHERS).fetchall() if name not in named]


def _server(parameters: Mapping[str, Any]) -> tuple[str, str]:
    return str(parameters.get("host") or parameters.get("hostaddr") or ""), str(parameters.get("port") or _PORT)
