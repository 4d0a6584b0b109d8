"""Settings whose URLs say `embedded`: the servers for them are started, and stop with their last user."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from desbuquei_backups.operations import settings as names
from desbuquei_backups.operations.settings import EMBEDDED, Settings


@contextmanager
def with_embedded_servers(settings: Settings) -> Iterator[Settings]:
    """The same settings with the URLs of running servers; those that name none are returned as they are."""
    asked = {name for name, url in settings.urls.items() if url == EMBEDDED}
    if not asked:
        yield settings
        return
    from desbuquei_backups.embedded import Server, servers

    which = {names.DATABASE_URL: Server.SOURCE, names.RESTORE_URL: Server.SCRATCH, names.S3_URL: Server.S3}
    with servers(settings.home, *(which[name] for name in sorted(asked))) as endpoints:
        urls = dict(settings.urls)
        for name in asked - {names.S3_URL}:
            urls[name] = endpoints.postgres[which[name]].url
        if names.S3_URL not in asked or endpoints.s3 is None:
            yield replace(settings, urls=urls)
        else:
            urls[names.S3_URL] = f"s3://{endpoints.s3.bucket}"
            yield replace(settings, urls=urls, aws=endpoints.s3.environment())
