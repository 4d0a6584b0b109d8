"""Whether somebody is told of what is wrong; nothing is sent: `desbuquei notify --test` does that."""

from collections.abc import Iterator

from desbuquei_backups.operations.doctor import Area, Precondition
from desbuquei_backups.operations.notifying import sinks, understood
from desbuquei_backups.operations.pinging import may_be_asked
from desbuquei_backups.operations.settings import NOTIFY_URLS, PING_URL
from desbuquei_backups.operations.site import Site

_ALERTS = Area("alerts")


def alerts(site: Site) -> Iterator[Precondition]:
    """Each sink, by its name, and the dead-man's switch."""
    there = sinks(site.settings)
    if not there:
        yield _ALERTS.warning("sinks", "nobody is told of what is wrong", f"set {NOTIFY_URLS}: docs/monitoring.md")
    for sink in there:
        if understood(sink):
            yield _ALERTS.ok(f"sink {sink.name}", "is understood; `desbuquei notify --test` sends it a message")
        else:
            yield _ALERTS.failure(
                f"sink {sink.name}", "no URL that Apprise understands", f"correct it in {NOTIFY_URLS}"
            )
    url = site.settings.ping_url
    if url is None:
        why = "silence is noticed by nobody: no URL is asked for after a good backup"
        yield _ALERTS.not_applicable("dead-man's switch", why, f"set {PING_URL}: docs/monitoring.md")
    elif may_be_asked(url):
        yield _ALERTS.ok("dead-man's switch", "is asked for after each good backup")
    else:
        yield _ALERTS.failure("dead-man's switch", "no https URL", f"correct {PING_URL}")
