"""The report as PDF, by WeasyPrint, where that and the libraries that it needs are installed."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from desbuquei_backups.core.errors import ToolMissing

_INSTALL = "pip install 'desbuquei_backups[report]', and on Debian: apt install libpango-1.0-0 libpangoft2-1.0-0"


def as_pdf(html: str) -> bytes:
    """The page as PDF; ToolMissing says what to install. Nothing is fetched from anywhere."""
    with _quiet():
        try:
            from weasyprint import HTML
        except ImportError:
            raise ToolMissing("there is no WeasyPrint here: the PDF is left out", remedy=_INSTALL) from None
        except OSError as error:  # its libraries are loaded as it is imported
            first = (str(error).splitlines() or [""])[0]
            raise ToolMissing(
                f"WeasyPrint lacks a library of the system: the PDF is left out ({first})", remedy=_INSTALL
            ) from None
        made: bytes = HTML(string=html, url_fetcher=_refused).write_pdf()
        return made


def _refused(url: str, *_: object, **__: object) -> dict[str, object]:
    raise ValueError(f"the report refers to nothing outside of it, and not to {url:.80}")


@contextmanager
def _quiet() -> Iterator[None]:
    """What it says of style that it does not know is nothing for who waits for a report."""
    logger = logging.getLogger("weasyprint")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
