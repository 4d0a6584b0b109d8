"""The page is read years later, offline, by somebody who trusts what it shows: nothing is fetched, nothing injected."""

import json
import re
import sys
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser

import pytest

from desbuquei_backups.audit import pdf
from desbuquei_backups.audit.document import document, to_json
from desbuquei_backups.audit.facts import Event, Facts
from desbuquei_backups.audit.html import as_html
from desbuquei_backups.audit.model import Period, SignedOff
from desbuquei_backups.core.comparison import Verdict as Compared
from desbuquei_backups.core.errors import ToolMissing
from desbuquei_backups.core.evidence import Kind
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.defs.first_page import escaped, first_page
from desbuquei_backups_tests.audit.worlds import NOW, PERIOD, START, backup, reported, said, well, without

NASTY = """"><script>alert('x')</script><img src=http://elsewhere/x> & 'Ação' "Município" javascript:x"""
DAILY = Slot.of_id("daily-2026-02-10-020000")


def test_the_first_page_in_dagster_shows_names_as_they_are_and_nothing_in_them_is_markdown(facts: Facts) -> None:
    report = reported(facts)
    page = first_page(replace(report, facts={**report.facts, "bucket": "a | b\n# c"}))
    assert "<script>" not in page
    assert "\\<script\\>" in page
    assert "| bucket | a \\| b \\# c |" in page
    for line in (*report.erasure, *report.proves, *report.proves_not):
        assert f"- {escaped(line)}" in page.splitlines()
    assert sum(f"**{verdict}**" in line for line in page.splitlines() for verdict in ("holds", "does not hold")) > 3
    assert all(line.count(" | ") - line.count("\\ | ") in (1, 2) for line in page.splitlines() if line.startswith("| "))


class Page(HTMLParser):
    """What a browser makes of the page: its elements, what they refer to, its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes += attrs
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def facts() -> Facts:
    """Two weeks with nasty names wherever a name can come from: tables, people, reasons, errors, databases."""
    found = said(well(), "content_matches", DAILY.backup_id, Compared.DIFFERS, NASTY)
    asked = Slot.of_id("manual-2026-02-10-101010")
    manual = backup(asked, operator=NASTY, reason=NASTY, left_out=[("table", NASTY, NASTY)])
    newest = Slot("hourly", NOW.replace(minute=0))
    excluding = backup(newest, left_out=[("table", NASTY, NASTY)])
    signed = SignedOff(NASTY, NOW, PERIOD.start, PERIOD.end, "b" * 64, NASTY, 901)
    held = Event(800, NOW - timedelta(days=1), Kind.HELD, DAILY.backup_id, NASTY)
    return replace(
        found,
        backups={**found.backups, asked: manual, newest: excluding},
        events=[*found.events, held],
        signed_off=[signed],
        other_databases=[NASTY],
        store=replace(found.store, uri=f"s3://{NASTY}/", second=NASTY, second_trouble=NASTY),
    )


@pytest.fixture(scope="module")
def page(facts: Facts) -> str:
    return as_html(reported(facts))


def test_names_with_quotes_and_html_are_text_and_nothing_else(page: str) -> None:
    seen = Page(page)
    assert seen.open == []
    assert not seen.elements & {"script", "img", "iframe", "object", "link", "form", "embed", "base"}
    assert {name for name, _ in seen.attributes if name.startswith("on")} == set()
    assert seen.text.count(NASTY) >= 8


def test_the_page_asks_nobody_for_anything(page: str) -> None:
    seen = Page(page)
    references = [value for name, value in seen.attributes if name in ("href", "src", "xlink:href", "action", "data")]
    assert references
    assert all(value is not None and value.startswith("#") for value in references)
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    assert "http" not in as_html(reported(well()))


def test_every_link_in_the_page_leads_somewhere(page: str) -> None:
    seen = Page(page)
    wanted = {value[1:] for name, value in seen.attributes if name == "href" and value}
    assert wanted <= {value for name, value in seen.attributes if name == "id"}


def test_the_first_page_says_what_an_auditor_asks_first(page: str, facts: Facts) -> None:
    text = Page(page).text
    for control in reported(facts).controls:
        assert control.title in text
    for wanted in ("What is not backed up", "Dagster's own database", "secret age keys", "the bucket's region"):
        assert wanted in text
    for wanted in ("SOC 2 A1.2", "ISO/IEC 27001:2022 A.8.13", "LGPD Art. 46", "It certifies nothing".lower()):
        assert wanted in text
    assert "quarterly: until 2033-02-15, locked (governance)" in text
    assert "It does not show that the host was honest" in text


def test_the_json_is_the_same_report_with_nothing_cut(facts: Facts) -> None:
    many = [Slot("hourly", START + timedelta(hours=2 * number)) for number in range(100)]
    report = reported(without(facts, *many))
    found = json.loads(to_json(report))
    assert {each["name"]: each["verdict"] for each in found["controls"]} == {
        each.name: each.verdict.value for each in report.controls
    }
    frequency = next(each for each in found["controls"] if each["name"] == "frequency")
    assert len([line for line in frequency["exceptions"] if line.startswith("missed: hourly")]) == 100
    shown = as_html(report)
    assert "more, in the JSON." in shown
    assert found["signed_off"][0]["reviewer"] == NASTY
    assert document(report)["not_covered"][0]["what"] == "the backup host itself"


def test_half_of_a_surrogate_pair_in_a_name_keeps_no_report_from_being_written() -> None:
    report = reported(said(well(), "content_matches", DAILY.backup_id, Compared.DIFFERS, "tabela \udce7"))
    assert b"udce7" in to_json(report)
    assert "tabela" in as_html(report).encode(errors="backslashreplace").decode()


def test_a_year_of_hourlies_is_a_page_that_can_be_mailed() -> None:
    period = Period(NOW - timedelta(days=365), NOW)
    page = as_html(reported(well(period)))
    assert len(page.encode()) < 5_000_000
    assert page.count("<path") < 50


def test_one_backup_and_one_instant_are_drawn() -> None:
    short = Period(NOW - timedelta(minutes=1), NOW)
    assert "<svg" in as_html(reported(well(short)))


def test_the_pdf_is_the_page_and_fetches_nothing(page: str) -> None:
    assert pdf.as_pdf(page).startswith(b"%PDF-")


def test_without_weasyprint_the_pdf_is_left_out_and_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    with pytest.raises(ToolMissing, match="left out") as caught:
        pdf.as_pdf("<p>x</p>")
    assert "desbuquei_backups[report]" in caught.value.remedy
    assert "libpango" in caught.value.remedy


def test_without_its_systems_libraries_the_pdf_is_left_out_likewise(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("weasyprint")
    (folder / "weasyprint.py").write_text("raise OSError('cannot load library libpango-1.0-0: no such file')\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "weasyprint", raising=False)
    with pytest.raises(ToolMissing, match="libpango"):
        pdf.as_pdf("<p>x</p>")
