"""Messages to people through Apprise: each sink of DESBUQUEI_NOTIFY_URLS by itself, its URL never shown."""

import hashlib
import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from desbuquei_backups.core.errors import BackupError, ConfigurationError
from desbuquei_backups.operations.settings import NOTIFY_URLS, Settings

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_CHANGING = threading.Lock()
# What they log has the URLs in it, whole or in part.
_TALKATIVE = ("apprise", "urllib3.connectionpool", "urllib3.util.retry", "requests")


class NotifyError(BackupError):
    """A sink did not take a message; it may later."""

    permanent = False


class Mood(StrEnum):
    """How a sink shows a message, by Apprise's own words."""

    FAILURE = "failure"
    WARNING = "warning"
    SUCCESS = "success"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Sink:
    """Somewhere that messages go. `fingerprint` tells it from others, and `name` is how it may be called aloud."""

    name: str
    fingerprint: str
    url: str = field(repr=False)


def sinks(settings: Settings) -> list[Sink]:
    """Each sink once, in order."""
    found: dict[str, Sink] = {}
    for url in settings.notify_urls:
        fingerprint = hashlib.sha256(url.encode()).hexdigest()[:16]
        scheme = _SCHEME.match(url)
        kind = scheme[1].lower() if scheme else "not a URL"
        if fingerprint not in found:
            found[fingerprint] = Sink(f"{len(found) + 1}: {kind}", fingerprint, url)
    return list(found.values())


def understood(sink: Sink) -> bool:
    """Whether Apprise can make anything of its URL; nothing is sent."""
    with _silent():
        import apprise

        return apprise.Apprise.instantiate(sink.url) is not None


def send(sink: Sink, title: str, body: str, mood: Mood) -> None:
    """Hand a message to one sink.

    ConfigurationError if Apprise cannot make anything of its URL; NotifyError if it was not taken. Neither says more
    of it than its name: what Apprise itself would say has secrets in it.
    """
    with _silent():
        import apprise

        service = apprise.Apprise(asset=apprise.AppriseAsset(app_id="desbuquei", async_mode=False))
        try:
            usable = service.add(sink.url)
            taken = usable and service.notify(
                body=body,
                title=title,
                notify_type=apprise.NotifyType(mood.value),
                body_format=apprise.NotifyFormat.TEXT,
            )
        except Exception as error:  # noqa: BLE001 - one of a hundred services, and no alert may end the others
            raise NotifyError(
                f"the sink {sink.name} failed: {type(error).__name__}", remedy="desbuquei notify --test"
            ) from None
    if not usable:
        raise ConfigurationError(
            f"the sink {sink.name} of {NOTIFY_URLS} is no URL that Apprise understands",
            remedy="write it as https://appriseit.com/services/ says, odd characters percent-encoded",
        )
    if not taken:
        raise NotifyError(
            f"the sink {sink.name} did not take the message: it was not reached, or refused it",
            remedy="desbuquei notify --test tries it again; see that its token is still good",
        )


@contextmanager
def _silent() -> Iterator[None]:
    """Nothing is logged meanwhile by this thread, nor by Apprise and what it sends with in threads of their own."""
    here = threading.get_ident()

    def ours(record: logging.LogRecord) -> bool:
        return record.thread != here and record.name not in _TALKATIVE

    filtered: list[logging.Filterer] = [*map(logging.getLogger, _TALKATIVE), *logging.root.handlers]
    # Several databases are told of at once: a list that a filter was taken out of while another thread went through it
    # would have that one pass by the next filter, and show what that was to hide.
    with _CHANGING:
        for each in filtered:
            each.filters = [*each.filters, ours]
    try:
        yield
    finally:
        with _CHANGING:
            for each in filtered:
                each.filters = [other for other in each.filters if other is not ours]
