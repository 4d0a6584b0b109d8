"""Alerts end to end: real sinks, real servers that are down, and a ledger that outlives everything."""

import contextlib
import logging
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from desbuquei_backups.core.alerting import Look
from desbuquei_backups.core.conditions import Condition, Severity
from desbuquei_backups.core.errors import ConfigurationError, SourceRefused, SourceUnreachable
from desbuquei_backups.operations import alert_ledger, conditions, disk_use, in_time, notifying
from desbuquei_backups.operations.alerts import alert, alert_now, alert_of, wrong_now
from desbuquei_backups.operations.conditions import SOURCES, Source
from desbuquei_backups.operations.notifying import Mood, NotifyError, send, sinks
from desbuquei_backups.operations.pinging import ping
from desbuquei_backups.operations.settings import DATABASE_URL, S3_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups_tests.fakes import free_port
from desbuquei_backups_tests.sinks import HttpSink, http_sink

# What Apprise's own plugins import is its own affair.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def sink() -> Iterator[HttpSink]:
    with http_sink() as running:
        yield running


@pytest.fixture
def told(make_site, source_url, sink) -> Site:
    """A site whose alerts go to `sink`."""
    return telling(make_site(source_url), sink.url)


def telling(site: Site, *urls: str) -> Site:
    site.settings.folder.mkdir(exist_ok=True)
    return replace(site, settings=replace(site.settings, notify_urls=urls))


def of_disk() -> list[Source]:
    return [source for source in SOURCES if source.name == "disk"]


def full(monkeypatch: pytest.MonkeyPatch, percent: int) -> None:
    """Let the disk of every folder be that full."""
    usage = shutil._ntuple_diskusage(1000 * 10**9, percent * 10**10, (100 - percent) * 10**10)
    monkeypatch.setattr(disk_use.shutil, "disk_usage", lambda path: usage)


def names(site: Site, sources: list[Source] | None = None) -> set[str]:
    return {each.name for each in wrong_now(site, sources=sources or SOURCES)}


def test_a_disk_that_fills_is_told_once_however_often_it_is_looked_at_and_once_when_it_has_room(
    told, sink, clock, monkeypatch
) -> None:
    full(monkeypatch, 83)
    for _ in range(30):
        alert(told, sources=of_disk())
        clock.pass_by(minutes=1)
    (message,) = sink.take()
    assert message["type"] == "warning"
    assert "is 83 % full (threshold 80 %), 170.0 GB free" in message["title"]
    assert "to do: desbuquei prune --dry-run" in message["message"]
    full(monkeypatch, 70)
    for _ in range(10):
        alert(told, sources=of_disk())
        clock.pass_by(minutes=1)
    (message,) = sink.take()
    assert message["type"] == "success"
    assert "OVER: the disk of" in message["message"]
    assert "(30 min)" in message["message"]


def test_what_a_sink_that_is_down_missed_it_is_told_after_a_restart(told, sink, clock, monkeypatch) -> None:
    full(monkeypatch, 96)
    with http_sink() as other:
        both = telling(told, sink.url, other.url)
        sink.status = 503
        assert list(alert_now(both, sources=of_disk()).failed) == ["1: json"]
        assert len(other.take()) == 1
        alert_ledger._UNWRITTEN.clear()  # another process knows what is on disk
        sink.status = 200
        clock.pass_by(minutes=10)
        done = alert_now(both, sources=of_disk())
        assert (list(done.told), done.failed) == (["1: json"], {})
        assert [each["type"] for each in sink.take()] == ["failure"]
        assert other.take() == []


def test_an_outage_of_database_and_store_is_told_with_what_to_do_and_no_password(
    make_site, sink, clock, endpoints, caplog
) -> None:
    there = f"postgresql://backup:t0ps3cret@127.0.0.1:{free_port()}/app"
    aws = {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{free_port()}"}
    down = telling(make_site(there, aws=aws), sink.url)
    for _ in range(7):
        alert(down)
        clock.pass_by(minutes=1)
    (message,) = sink.take()
    assert message["message"].count("CRITICAL: ") == 2
    assert "the database cannot be used: cannot connect to backup@127.0.0.1" in message["message"]
    assert "S3 cannot be used" in message["message"]
    assert "t0ps3cret" not in message["message"] + caplog.text
    assert endpoints.aws["AWS_SECRET_ACCESS_KEY"] not in message["message"] + caplog.text


def test_what_is_to_be_done_for_a_further_database_is_not_done_to_the_first(told, sink) -> None:
    variables = {DATABASE_URL: "DESBUQUEI_SHOP_DATABASE_URL"}
    further = replace(told, settings=replace(told.settings, below="shop", variables=variables))
    further.settings.folder.mkdir()
    refused = SourceRefused("cannot connect", remedy=f"correct {DATABASE_URL}")
    command = f"desbuquei backup daily --slot 2026-02-02-020000  # first: {refused.remedy}"
    lacks = Condition("slot", "shop", Severity.CRITICAL, "it lacks a dump", "daily", told.now(), "", command)
    shown = (
        "desbuquei --database shop backup daily --slot 2026-02-02-020000  # first: correct DESBUQUEI_SHOP_DATABASE_URL"
    )
    (known,) = wrong_now(further, sources=[Source("slots", lambda _: [lacks])])
    assert known.command == shown
    alert_of(further, Look("slots", [lacks]))
    (message,) = sink.take()
    assert f"to do: {shown}\n" in f"{message['message']}\n"


def test_a_restart_of_the_database_wakes_nobody(make_site, source_url, sink, clock) -> None:
    reach = [source for source in SOURCES if source.name == "reach"]
    down = telling(make_site(f"postgresql://backup@127.0.0.1:{free_port()}/app"), sink.url)
    alert(down, sources=reach)
    clock.pass_by(minutes=3)
    done = alert(telling(make_site(source_url), sink.url), sources=reach)
    assert (done.lasting, sink.take()) == ([], [])


@pytest.mark.parametrize("content", [b"", b"{", b'{"episodes": {"a": 1}}', b"\xff\xfe", b"[]"])
def test_a_damaged_ledger_is_set_aside_and_what_is_wrong_is_told_again(told, sink, monkeypatch, content) -> None:
    full(monkeypatch, 96)
    alert_now(told, sources=of_disk())
    (told.settings.folder / alert_ledger.FILE).write_bytes(content)
    alert_now(told, sources=of_disk())
    assert len(sink.take()) == 2
    assert len(list((told.settings.folder / "rejected").iterdir())) == 1
    alert_now(told, sources=of_disk())
    assert sink.take() == []


def test_a_folder_that_is_gone_is_told_once_though_nothing_can_be_written_down(told, sink, clock) -> None:
    told.settings.folder.rmdir()
    for _ in range(8):
        alert(told, sources=of_disk())
        clock.pass_by(minutes=1)
    (message,) = sink.take()
    assert "is not there, or may not be written to" in message["title"]
    assert not told.settings.folder.exists()
    told.settings.folder.mkdir()
    for _ in range(7):
        alert(told, sources=of_disk())
        clock.pass_by(minutes=1)
    assert [each["type"] for each in sink.take()] == ["success"]


def test_a_source_that_fails_keeps_no_other_from_looking_and_ends_nothing(told, sink, clock) -> None:
    wrong = Condition("slot_missed/x", "app", Severity.WARNING, "missed", "x", clock.now, "", "desbuquei status")
    found: list[object] = [wrong]

    def look(site: Site) -> Iterator[Condition]:
        for each in found:
            if isinstance(each, Exception):
                raise each
            assert isinstance(each, Condition)
            yield each

    sources = [Source("slots", look), *of_disk()]
    alert(told, sources=sources)
    for error in (SourceUnreachable("it is down", remedy="wait"), ZeroDivisionError("of s3cret")):
        found[:] = [error]
        assert "slot_missed/x" in {each.name for each in alert(told, sources=sources).lasting}
    clock.pass_by(minutes=20)
    alert(told, sources=sources)
    assert [each["title"].partition("] ")[2].partition(":")[0] for each in sink.take()] == ["WARNING", "WARNING"]
    found[:] = []
    assert alert(told, sources=sources).lasting == []


def test_a_look_that_never_ends_silences_no_other_and_is_not_begun_again(told, sink, clock, monkeypatch) -> None:
    """A server whose disk hangs takes the question, and never answers."""
    monkeypatch.setattr(conditions, "_SECONDS", 0.1)
    begun, answers = [], threading.Event()

    def look(site: Site) -> Iterator[Condition]:
        begun.append(site)
        answers.wait()
        yield from ()

    sources = [Source("recovery", look), *of_disk()]
    full(monkeypatch, 83)
    for _ in range(16):
        clock.pass_by(minutes=1)
        lasting = {each.name for each in alert(told, sources=sources).lasting}
    assert lasting == {"not_looked_at/recovery", "disk_filling"}
    assert len(begun) == 1
    assert [each["title"].partition("WARNING: ")[2][:13] for each in sink.take()] == ["the disk of /", "recovery cann"]
    answers.set()
    for hanging in list(in_time._UNDER_WAY.values()):
        hanging.join()
    assert {each.name for each in alert(told, sources=sources).lasting} == {"disk_filling"}


def test_the_servers_are_asked_every_few_minutes_and_the_disk_every_time(told, clock, monkeypatch) -> None:
    asked: list[str] = []

    def counted(name: str) -> Source:
        source = next(each for each in SOURCES if each.name == name)
        return replace(source, look=lambda site: asked.append(name) or [])  # type: ignore[func-returns-value]

    sources = [counted(each.name) for each in SOURCES]
    for _ in range(60):
        alert(told, sources=sources)
        clock.pass_by(minutes=1)
    assert {name: asked.count(name) for name in set(asked)} == {
        "disk": 60,
        "checks": 60,
        "slots": 60,
        "reach": 30,
        "recovery": 12,
        "drill": 1,
        "second place": 4,
    }


def test_while_the_database_is_down_nothing_that_needs_it_is_over(told, clock, monkeypatch) -> None:
    stale = Condition("recovery_point_stale", "app", Severity.CRITICAL, "old", "x", clock.now, "", "c")
    found = {"reach": [], "recovery": [stale]}
    sources = [replace(each, look=lambda site, name=each.name: found.get(name, [])) for each in SOURCES]
    alert(told, sources=sources)
    found["reach"] = [replace(stale, name="database_unreachable")]
    found["recovery"] = []
    clock.pass_by(minutes=10)
    assert len(alert(told, sources=sources).lasting) == 2
    found["reach"] = []
    clock.pass_by(minutes=10)
    assert alert(told, sources=sources).lasting == []


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("nonsense://s3cret-token/x", ConfigurationError),
        ("s3cret-token", ConfigurationError),
        ("slack://s3cret", ConfigurationError),
        ("json://user:s3cret-token@127.0.0.1:{port}/s3cret-path", NotifyError),
    ],
)
def test_no_part_of_a_sinks_url_is_ever_seen(told, caplog, capfd, url, error) -> None:
    caplog.set_level(logging.DEBUG)
    (sink,) = sinks(telling(told, url.format(port=free_port())).settings)
    with pytest.raises(error) as raised:
        send(sink, "title", "body", Mood.INFO)
    shown = capfd.readouterr()
    assert "s3cret" not in f"{raised.value} {sink!r} {caplog.text} {shown.out} {shown.err}"


def test_a_sink_that_takes_a_message_says_nothing_of_its_url_either(told, sink, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    (there,) = sinks(telling(told, f"json://user:s3cret-token@127.0.0.1:{sink.port}/s3cret-path").settings)
    send(there, "title", "açúcar & <b>", Mood.INFO)
    assert sink.take()[0]["message"] == "açúcar & <b>"
    assert "s3cret" not in caplog.text


def test_a_message_that_ends_uncovers_no_other_that_is_on_its_way(caplog) -> None:
    with contextlib.ExitStack() as another:
        another.enter_context(notifying._silent())
        with notifying._silent():
            going_through = iter(caplog.handler.filters)
            first = next(going_through)
            another.close()
            left = list(going_through)
    assert first not in left
    assert len(left) == 1
    assert caplog.handler.filters == []


def test_a_good_backup_is_pinged_and_one_that_could_not_be_archived_is_not(
    make_site, sample_url, slot, sink, clock
) -> None:
    from desbuquei_backups.core.errors import StoreError
    from desbuquei_backups.operations.archive import archive
    from desbuquei_backups.operations.dump import take_dump
    from desbuquei_backups.operations.seal import seal

    site = make_site(sample_url)
    ours = {"DESBUQUEI_PING_URL_DESBUQUEI": f"http://127.0.0.1:{sink.port}/app", "DESBUQUEI_PING_URL": "https://x/"}
    site = replace(site, settings=replace(site.settings, ping_urls=ours))
    take_dump(site, slot)
    seal(site, slot)
    down = {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{free_port()}"}
    with pytest.raises(StoreError):
        archive(replace(site, settings=replace(site.settings, aws={**site.settings.aws, **down})), slot)
    assert sink.asked == []
    archive(site, slot)
    assert sink.asked == ["/app"]
    archive(site, slot)  # it was there: that is no new backup
    assert sink.asked == ["/app"]


@pytest.mark.parametrize(
    "url", ["http://example.com/s3cret", "ftp://x/s3cret", "s3cret", "https://127.0.0.1:{port}/s3cret"]
)
def test_a_ping_that_fails_ends_nothing_and_shows_no_url(site, caplog, url) -> None:
    settings = replace(site.settings, ping_urls={"DESBUQUEI_PING_URL": url.format(port=free_port())})
    assert not ping(replace(site, settings=settings))
    assert "was not pinged" in caplog.text
    assert "s3cret" not in caplog.text


def test_settings_that_are_lost_are_wrong_too(make_site, sink) -> None:
    lost = telling(make_site(None, urls={S3_URL: ""}), sink.url)
    assert {"database_unreachable", "bucket_unreachable"} <= names(lost)
    assert any(DATABASE_URL in each.what for each in wrong_now(lost))
