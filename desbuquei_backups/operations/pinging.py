"""The dead-man's switch: a URL that is asked for after each good backup, so that silence is noticed from outside."""

import logging
import urllib.error
import urllib.request
from http.client import HTTPException
from urllib.parse import urlsplit

from desbuquei_backups.operations.settings import PING_URL
from desbuquei_backups.operations.site import Site

_SECONDS = 10.0
_LOG = logging.getLogger(__name__)
_HERE = ("127.0.0.1", "::1", "localhost")


def ping(site: Site) -> bool:
    """Ask for this database's URL, if it has one; whether that was answered well. A failure is only logged.

    The URL is as secret as a password, and is not shown.
    """
    url = site.settings.ping_url
    if url is None:
        return False
    if (why := _ask(url)) is not None:
        _LOG.warning("%s was not pinged: %s", PING_URL, why)
    return why is None


def may_be_asked(url: str) -> bool:
    """Whether it is an https URL, or one of this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _HERE)


def _ask(url: str) -> str | None:
    """Why it went wrong, without the URL; None if it did not."""
    if not may_be_asked(url):
        return "it is no https:// URL"
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "desbuquei"})  # noqa: S310 - looked at above
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
            answer.read(1024)
    except urllib.error.HTTPError as error:
        return f"it answered {error.code}"
    except (OSError, ValueError, HTTPException) as error:
        return f"it was not reached ({type(getattr(error, 'reason', error)).__name__})"
    return None
