"""Whether the database and the bucket answer: one connection, and one request, with little patience."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from desbuquei_backups.core.conditions import Condition, Severity
from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.operations.noticing import noticed
from desbuquei_backups.operations.settings import DATABASE_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.postgres import connection as pg

DATABASE, BUCKET = "database_unreachable", "bucket_unreachable"
_CONNECT_SECONDS = "5"


def reach_conditions(site: Site) -> Iterator[Condition]:
    """What does not answer, or refuses us; the error says which, without a secret."""
    looks: tuple[tuple[str, str, Callable[[Site], None]], ...] = (
        (DATABASE, "the database", _database),
        (BUCKET, "S3", _bucket),
    )
    for name, what, look in looks:
        try:
            look(site)
        except BackupError as error:
            yield noticed(
                site,
                Severity.CRITICAL,
                name,
                f"{what} cannot be used: {' '.join(error.what.split())}",
                what,
                tried="it is tried again every two minutes; runs wait, and are run again",
                command=f"desbuquei doctor  # {error.remedy}",
            )


def impatient(site: Site) -> Site:
    """The same, with a bucket that is asked once: a look waits for nobody, the next one comes in a minute."""
    return replace(site, settings=replace(site.settings, aws={**site.settings.aws, "AWS_MAX_ATTEMPTS": "1"}))


def _database(site: Site) -> None:
    with (
        pg.connect(site.settings.database_url, setting=DATABASE_URL, connect_timeout=_CONNECT_SECONDS) as connection,
        pg.explained("asking whether it answers"),
    ):
        connection.execute("select 1")


def _bucket(site: Site) -> None:
    site.bucket.check()
