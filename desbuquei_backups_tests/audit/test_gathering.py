"""What a report is made of, from a real bucket: what was edited is not believed; a new machine needs nothing else."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from desbuquei_backups.audit.document import document, to_json
from desbuquei_backups.audit.facts import Facts, Question, Source
from desbuquei_backups.audit.gathering import gather
from desbuquei_backups.audit.html import as_html
from desbuquei_backups.audit.judging import RESTORED
from desbuquei_backups.audit.model import Period, Verdict
from desbuquei_backups.audit.report import make, period_of
from desbuquei_backups.audit.sign_off import sign_off
from desbuquei_backups.core.anchors import anchor_of
from desbuquei_backups.core.errors import ConfigurationError, NotFound
from desbuquei_backups.core.evidence import Kind, link_key
from desbuquei_backups.core.looks import look
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import drill_record, said, standing
from desbuquei_backups.operations.chain_since import first_since
from desbuquei_backups.operations.evidence_head import find
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups_tests.conftest import Clock
from desbuquei_backups_tests.operations.chains import content_of, links, overwrite, told
from desbuquei_backups_tests.validation.test_recovery_time import recorded

JANUARY = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 2, tzinfo=UTC))
STEPS = {
    "dump": ["dump_is_complete", "checksums_match", "connection_is_encrypted"],
    "s3_archive": ["archive_matches_manifest", "archive_is_encrypted", "connection_is_encrypted"],
    "restored_copy": [name for _, name in RESTORED],
}


def checked(site: Site, backup_ids: Sequence[str], verdict: str = "matches") -> None:
    """Say that every check of those backups came out so."""
    for backup_id in backup_ids:
        for step, names in STEPS.items():
            results = [{"check": name, "verdict": verdict, "summary": "3 match"} for name in names]
            said.checks(site, backup_id, step, results)


@pytest.fixture
def site(site: Site, clock: Clock) -> Site:
    """A site with three dailies of January, each said when it was taken, checked, and said so."""
    for day in (1, 2, 3):
        clock.now = datetime(2026, 1, day, 2, 5, tzinfo=UTC)
        checked(site, told(site, day))
    clock.now = datetime(2026, 2, 2, 2, 10, tzinfo=UTC)
    return site


def facts_of(site: Site, period: Period = JANUARY) -> Facts:
    return gather(site, period, ask_source=False)


def elsewhere(site: Site, tmp_path: Path) -> Site:
    """The same bucket, from a machine that has nothing."""
    return replace(site, settings=replace(site.settings, backup_dir=tmp_path / "nowhere", urls={
        "DESBUQUEI_S3_URL": site.settings.s3_url}))  # fmt: skip


def test_what_the_chain_says_is_what_was_done(site: Site) -> None:
    facts = facts_of(site)
    assert [each.backup_id for each in facts.in_period()] == [f"daily-2026-01-0{day}-020000" for day in (1, 2, 3)]
    assert {each.source for each in facts.in_period()} == {Source.CHAIN}
    first = facts.in_period()[0]
    assert (first.archived_at, first.rows, first.tables) == (datetime(2026, 1, 1, 2, 5, tzinfo=UTC), 12, 2)
    assert len(facts.checks) == 3 * sum(map(len, STEPS.values()))
    assert (facts.chain.breaks, facts.chain.links, facts.chain.anchors) == ([], 15, 1)
    assert facts.listed == {each.slot for each in facts.in_period()}


def test_a_check_result_edited_afterwards_is_named_and_not_believed(site: Site) -> None:
    """Somebody who turns a bad result into a good one must not turn the report green."""
    bucket = site.bucket
    checked(site, ["daily-2026-01-03-020000"], "does not match")
    bad = next(each for each in links(bucket) if each.kind is Kind.CHECKS and "does not" in str(each.body))
    edited = content_of(bucket, link_key(bad.sequence)).replace(b"does not match", b"matches")
    overwrite(bucket, link_key(bad.sequence), edited)
    report = make(site, JANUARY, ask_source=False)
    evidence = report.control("evidence")
    assert evidence.verdict is Verdict.FAILS
    assert f"link {bad.sequence} (daily-2026-01-03-020000): altered" in evidence.why
    assert bad.sequence in facts_of(site).chain.broken
    assert bad.sequence not in {each.link for each in facts_of(site).checks}
    assert Verdict.HOLDS not in {report.control(name).verdict for name in ("changes", "incidents")}


def test_a_drill_is_told_as_the_chain_vouches_for_it_and_one_that_was_edited_is_not_told(site: Site) -> None:
    said_of, unsaid = (recorded(drilled_at=datetime(2026, 1, day, 5, tzinfo=UTC)) for day in (4, 5))
    stored = drill_record.keep(site, said_of)
    said.drilled(site, said_of, stored)
    other = drill_record.keep(site, unsaid)
    facts = facts_of(site)
    assert list(facts.drills) == [said_of]
    assert [each.partition(" ")[0] for each in facts.unvouched] == [other.key]
    overwrite(
        site.bucket, stored.key, content_of(site.bucket, stored.key).replace(b'"faults":[]', b'"faults": []') + b" "
    )
    facts = facts_of(site)
    assert list(facts.drills) == []
    assert facts.unvouched[0] == f"{stored.key} is not what the chain of evidence speaks of: it is left out"
    judged = make(site, JANUARY, ask_source=False).control("restorability")
    assert (judged.verdict, "the chain of evidence vouches for none" in judged.why) == (Verdict.NOT_KNOWN, True)
    assert set(facts.unvouched) <= set(judged.exceptions)


def test_a_drill_from_before_the_period_that_was_edited_is_not_told_either(site: Site) -> None:
    record = recorded(drilled_at=datetime(2026, 1, 4, 5, tzinfo=UTC))
    stored = drill_record.keep(site, record)
    said.drilled(site, record, stored)
    later = Period(datetime(2026, 1, 5, tzinfo=UTC), JANUARY.end)
    assert gather(site, later, ask_source=False).drill_before == record
    overwrite(site.bucket, stored.key, content_of(site.bucket, stored.key) + b" ")
    facts = gather(site, later, ask_source=False)
    assert (facts.drill_before, facts.unvouched) == (
        None,
        [f"{stored.key} is not what the chain of evidence speaks of: it is left out"],
    )


def test_looks_at_the_wal_are_told_as_the_chain_says_and_the_last_ones_as_this_host_remembers(
    site: Site, clock: Clock, tmp_path: Path
) -> None:
    clock.now = datetime(2026, 1, 4, 12, tzinfo=UTC)
    for _ in range(60):
        results = [{"check": "wal_is_continuous", "verdict": "matches", "summary": "no gap"}]
        age = timedelta(minutes=1)
        standing.checks(site, standing.WAL, results, looked=lambda before, age=age: look(before, clock.now, age))
        clock.now += timedelta(minutes=15)
    facts = facts_of(site)
    assert [each.looks for each in facts.looks] == [0, 48]
    assert facts.looks_here.looks == 11
    assert facts_of(elsewhere(site, tmp_path)).looks_here is None
    assert facts.checks[-1].backup_id is None


def test_an_end_that_was_cut_off_shows_on_a_new_machine_by_an_anchor_alone(site: Site, tmp_path: Path) -> None:
    anchor = anchor_of(find(site.bucket), site.policy.database, site.now())
    new = elsewhere(site, tmp_path)
    assert make(new, JANUARY).control("evidence").verdict is Verdict.NOT_KNOWN
    assert make(new, JANUARY, anchors=[anchor]).control("evidence").verdict is Verdict.HOLDS
    old = anchor.model_copy(update={"sequence": 1})
    after = Period(datetime(2026, 1, 20, tzinfo=UTC), JANUARY.end)
    assert make(new, after, anchors=[old]).control("evidence").verdict is Verdict.NOT_KNOWN
    site.bucket.delete(link_key(anchor.sequence))
    assert make(new, JANUARY).control("evidence").verdict is Verdict.NOT_KNOWN
    cut = make(new, JANUARY, anchors=[anchor]).control("evidence")
    assert cut.verdict is Verdict.FAILS
    assert "cut off" in cut.why


def test_a_new_machine_tells_of_the_backups_what_the_old_one_told_and_writes_nothing(
    site: Site, tmp_path: Path
) -> None:
    there, here = facts_of(elsewhere(site, tmp_path)), facts_of(site)
    assert there.in_period() == here.in_period()
    assert list(there.checks) == list(here.checks)
    assert there.recorded is None
    assert there.unknown[Question.RECORDS] == "there are no records on this machine"
    assert there.since == here.in_period()[0].taken_at
    assert not (tmp_path / "nowhere").exists()


def test_a_backup_that_the_chain_does_not_have_is_known_by_its_manifest(site: Site) -> None:
    manifest = content_of(site.bucket, "daily/daily-2026-01-03-020000.manifest.json")
    slot = Slot.of_id("daily-2026-01-04-020000")
    content = manifest.replace(b"2026-01-03", b"2026-01-04")
    site.bucket.put_bytes(f"daily/{slot.backup_id}.manifest.json", content, tags={})
    found = facts_of(site).backups[slot]
    assert (found.source, found.archived, found.link) == (Source.BUCKET, True, None)
    assert slot.backup_id in make(site, JANUARY, ask_source=False).control("evidence").exceptions[-1]


def test_what_was_archived_and_vanished_is_lost(site: Site) -> None:
    gone = "daily-2026-01-03-020000"
    late = replace(site, now=lambda: datetime(2026, 1, 20, 5, tzinfo=UTC))
    site.bucket.delete(f"daily/{gone}.manifest.json")
    report = make(late, Period(JANUARY.start, late.now()), ask_source=False)
    assert report.control("retention").verdict is Verdict.FAILS
    assert any(gone in line for line in report.control("retention").exceptions)


def test_of_a_bucket_that_does_not_answer_nothing_is_known_and_the_report_is_made(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    down = replace(
        site, settings=replace(site.settings, aws={**site.settings.aws, "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"})
    )
    report = make(down, JANUARY, ask_source=False)
    assert report.counted(Verdict.HOLDS) == 0
    assert any(name.startswith("not answered") for name in report.facts)


def test_a_policy_that_was_changed_is_named_with_what_it_was(site: Site, clock: Clock) -> None:
    said.policy(site)
    clock.pass_by(hours=1)
    said.policy(site)
    daily = site.policy.tiers["daily"]
    week = daily.model_copy(update={"never_fewer_than": 1})
    less = site.policy.model_copy(update={"tiers": {**site.policy.tiers, "daily": week}})
    clock.pass_by(hours=1)
    said.policy(replace(site, settings=replace(site.settings, policy=less)))
    facts = facts_of(site, Period(JANUARY.start, site.now() + timedelta(seconds=1)))
    what = [each.what for each in facts.events if each.kind is Kind.POLICY]
    assert what == ["the policy is known from here on: 6 tiers", "tiers.daily.never_fewer_than: 7 → 1"]


def test_a_reviewers_name_is_in_the_chain_and_in_the_next_report(site: Site, tmp_path: Path) -> None:
    report = make(site, JANUARY, ask_source=False)
    path = tmp_path / "report.json"
    path.write_bytes(to_json(report))
    sign_off(site, " Ana Lima ", path, "duas perguntas")
    again = make(site, JANUARY, ask_source=False)
    (signed,) = again.signed_off
    assert (signed.reviewer, signed.note, signed.start) == ("Ana Lima", "duas perguntas", JANUARY.start)
    assert signed.report_sha256 == links(site.bucket)[-1].body["report_sha256"]
    assert "Ana Lima" in as_html(again)
    other = Period(datetime(2025, 6, 1, tzinfo=UTC), datetime(2025, 7, 1, tzinfo=UTC))
    assert make(site, other, ask_source=False).signed_off == []


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        (" ", None, "nobody is named"),
        ("Ana", {"kind": "something else"}, "is not the JSON of a report"),
        ("Ana", {"database": "loja"}, "a report of the database loja"),
    ],
)
def test_what_is_no_report_of_this_database_is_not_signed(
    site: Site, tmp_path: Path, name: str, content: dict[str, str] | None, why: str
) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps({**document(make(site, JANUARY, ask_source=False)), **(content or {})}))
    before = len(links(site.bucket))
    with pytest.raises(ConfigurationError, match=why):
        sign_off(site, name, path, None)
    assert len(links(site.bucket)) == before


def test_a_period_that_is_none_is_refused() -> None:
    now = datetime(2026, 2, 2, tzinfo=UTC)
    with pytest.raises(ConfigurationError, match="there is nothing between"):
        period_of(now, now - timedelta(days=1), now)
    assert period_of(None, None, now) == Period(now - timedelta(days=30), now)
    assert period_of(None, now + timedelta(days=5), now).end == now


def test_the_first_link_of_a_moment_is_found_also_where_links_are_lost(site: Site) -> None:
    bucket = site.bucket
    head = find(bucket)
    moments = [(datetime(2026, 1, day, tzinfo=UTC), 5 * day - 4) for day in (1, 2, 3)]
    for instant, first in moments:
        assert first_since(bucket, instant, head) == first
    assert first_since(bucket, datetime(2027, 1, 1, tzinfo=UTC), head) == head.sequence
    bucket.delete(link_key(8))
    overwrite(bucket, link_key(9), b"{}")
    assert first_since(bucket, datetime(2026, 1, 2, tzinfo=UTC), head) == 6


def test_an_empty_chain_begins_at_its_beginning(bucket: Bucket) -> None:
    assert first_since(bucket, datetime(2026, 1, 2, tzinfo=UTC), find(bucket)) == 1
    with pytest.raises(NotFound):
        content_of(bucket, link_key(1))
