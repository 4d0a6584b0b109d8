"""The one place where a command gets its site: settings, bucket, clock, and bars on stderr."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from desbuquei_backups.embedded.settings import with_embedded_servers
from desbuquei_backups.operations.settings import from_environment
from desbuquei_backups.operations.site import Site


@contextmanager
def open_site(*, bars: bool = True) -> Iterator[Site]:
    """The site of this environment; ConfigurationError if the policy is bad. `bars=False`: nothing is drawn."""
    with with_embedded_servers(from_environment(os.environ)) as settings:
        if not bars:
            yield Site(settings)
            return
        from desbuquei_backups.cli.progress import Bars

        with Bars() as progress:
            yield Site(settings, progress=progress)
