"""What is on the source's server beside the database that is backed up: no dump holds it."""

from desbuquei_backups.operations.settings import DATABASE_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.postgres import connection as pg

_OTHERS = "select datname::text from pg_database where not datistemplate and datname <> current_database() order by 1"


def other_databases(site: Site) -> list[str]:
    """Their names; SourceError if the server cannot be asked, ConfigurationError if none is named."""
    with pg.connect(site.settings.database_url, setting=DATABASE_URL) as connection, pg.explained("asking the server"):
        return [name for (name,) in connection.execute(_OTHERS).fetchall()]
