"""What is on the source's server beside the databases that the policy names: no dump holds it."""

from contextlib import suppress

from desbuquei_backups.core.errors import ConfigurationError
from desbuquei_backups.operations.settings import DATABASE_URL, Settings
from desbuquei_backups.operations.site import Site
from desbuquei_backups.postgres import connection as pg

_OTHERS = "select datname::text from pg_database where not datistemplate and datname <> current_database() order by 1"
_PORT = 5432


def other_databases(site: Site) -> list[str]:
    """The names of those that this policy does not name; SourceError if the server cannot be asked, ConfigurationError.

    Another one of the policy is known to be there if its URL names the same host and port.
    """
    server, _ = _place(site.settings.database_url)
    named = {name for there, name in _others(site.settings) if there == server}
    with pg.connect(site.settings.database_url, setting=DATABASE_URL) as connection, pg.explained("asking the server"):
        return [name for (name,) in connection.execute(_OTHERS).fetchall() if name not in named]


def is_named_twice(settings: Settings) -> bool:
    """Whether the URL of another database of the policy leads to the same one; ConfigurationError if ours is none."""
    return _place(settings.database_url) in _others(settings)


def _others(settings: Settings) -> list[tuple[str, str]]:
    found = []
    for url in settings.others:
        with suppress(ConfigurationError):  # its own runs say what is wrong with it
            found.append(_place(url))
    return found


def _place(url: str) -> tuple[str, str]:
    """Server and database, as far as a URL tells."""
    given = pg.parse(url, setting=DATABASE_URL)
    server = f"{given.get('host') or given.get('hostaddr') or ''}:{given.get('port') or _PORT}"
    return server, str(given.get("dbname") or given.get("user") or "")
