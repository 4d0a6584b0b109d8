"""The chain must tell when a check that is run all day turned, and must not drown in what did not change."""

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from desbuquei_backups.core.looks import look, parse
from desbuquei_backups.operations import standing
from desbuquei_backups.operations.site import Site
from desbuquei_backups_tests.conftest import Clock, MakeSite
from desbuquei_backups_tests.operations.chains import links

QUARTER = timedelta(minutes=15)


@pytest.fixture
def host(make_site: MakeSite) -> Site:
    """A site that needs no database."""
    return make_site(None)


def result(verdict: str) -> list[dict[str, Any]]:
    return [{"check": "wal_is_continuous", "verdict": verdict, "summary": "…"}]


def test_a_day_of_looks_is_one_link_and_a_verdict_that_turns_is_said_at_once(host: Site, clock: Clock) -> None:
    begun = clock.now
    for number in range(2 * 96):
        bad = 100 <= number < 104
        standing.checks(
            host,
            standing.WAL,
            result("does not match" if bad else "matches"),
            looked=lambda before, bad=bad: look(before, clock.now, None if bad else timedelta(minutes=1)),
        )
        clock.now += QUARTER
    said = links(host.bucket)
    days = (clock.now - QUARTER).date() - begun.date()
    assert len(said) == 1 + days.days + 2
    verdicts = [each.body["checks"][0]["verdict"] for each in said]
    assert verdicts.count("does not match") == 1
    turned = verdicts.index("does not match")
    assert said[turned].at == begun + QUARTER * 100
    assert said[turned + 1].at == begun + QUARTER * 104
    covered = [parse(each.body["looks"]) for each in said]
    assert all(one.until == other.since for one, other in pairwise(covered))
    assert max(each.at_most for each in covered) == timedelta(minutes=16) + QUARTER * 4
    here = standing.looks_since(host)
    assert (here.since, here.until) == (covered[-1].until, clock.now - QUARTER)


def test_a_disk_that_is_full_keeps_no_check_from_being_judged_and_it_is_said_later(
    host: Site, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = host.settings.folder / ".said-disk.json"
    blocked.mkdir(parents=True)
    standing.checks(host, "disk", result("matches"))
    assert "is not in the chain of evidence" in caplog.text
    blocked.rmdir()
    standing.checks(host, "disk", result("matches"))
    assert len(links(host.bucket)) == 1


def test_where_what_was_said_is_lost_or_was_of_another_bucket_it_is_said_again(host: Site, make_site: MakeSite) -> None:
    for _ in range(2):
        standing.checks(host, "disk", result("matches"))
    assert len(links(host.bucket)) == 1
    path = host.settings.folder / ".said-disk.json"
    for content in ("nonsense", path.read_text().replace('"place":"s3', '"place":"S3')):
        path.write_text(content)
        standing.checks(host, "disk", result("matches"))
    assert len(links(host.bucket)) == 3
    assert standing.looks_since(host) is None
