"""What an operator sees in Dagster, and does there with a mouse."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from desbuquei_backups_tests.browser.stack import LOST, Stack

_CHAIN = ("source", "dump", "base_backup", "checksum_manifest", "s3_archive", "restored_copy")
_RUN_MILLISECONDS = 200_000


def test_the_lineage_leads_from_the_source_to_the_restored_copy(page: Page, picture: Callable[[str], None]) -> None:
    page.goto("/automation")
    page.get_by_role("button", name="Hide navigation").click()
    page.goto("/assets/desbuquei/daily/restored_copy?view=lineage&lineageScope=upstream&lineageDepth=9")
    graph = page.locator("svg")
    nodes = [graph.get_by_text(name, exact=True).last for name in _CHAIN]
    for node in nodes:
        expect(node).to_be_visible()
    boxes = [node.bounding_box() for node in nodes]
    assert None not in boxes
    assert boxes == sorted(boxes, key=lambda box: box["x"])
    picture("lineage")


def test_a_failed_check_names_what_was_lost(page: Page, stack: Stack, picture: Callable[[str], None]) -> None:
    page.goto("/assets/desbuquei/daily/restored_copy?view=checks")
    page.get_by_text("row_counts_match").filter(visible=True).first.click()
    expect(page.get_by_text(re.compile(r"^\d+ match, 1 differ"))).to_be_visible()
    expect(page.get_by_text(stack.lossy.key)).to_be_visible()
    row = page.get_by_role("row", name=f"does not match {LOST} 5 3 -2 rows", exact=True).first
    expect(row.get_by_role("cell").last).to_be_in_viewport(ratio=1)
    expect(page.get_by_role("row", name=re.compile(r"^matches … and \d+ more$"))).to_be_visible()
    picture("failed-check")


def test_the_open_slot_is_filled_by_a_click(page: Page, stack: Stack, picture: Callable[[str], None]) -> None:
    # From here on it is this slot whose checks are the newest: tests that look at the lossy one's stand before.
    page.goto("/locations/desbuquei_backups/jobs/desbuquei_daily")
    page.get_by_role("button", name="Materialize all").click()
    asked = page.get_by_role("dialog")
    asked.get_by_role("button", name="Latest").click()
    expect(asked.get_by_role("textbox")).to_have_value(stack.open.key)
    asked.get_by_role("button", name="Launch 1 run").click()
    page.get_by_role("link", name="View", exact=True).click()
    expect(page.get_by_text(f"partition: {stack.open.key}")).to_be_visible()
    expect(page.get_by_text("Success", exact=True)).to_be_visible(timeout=_RUN_MILLISECONDS)
    page.reload()  # without what was said when it began
    expect(page.get_by_text("RUN_SUCCESS")).to_be_visible()
    picture("run")


def test_a_missed_slot_stands_empty_in_the_bar(page: Page, stack: Stack, picture: Callable[[str], None]) -> None:
    page.goto("/assets/desbuquei/daily/restored_copy?view=partitions")
    expect(page.get_by_text("4 Partitions Selected")).to_be_visible()
    missed, lossy = (
        page.get_by_text(slot.key, exact=True).filter(visible=True) for slot in (stack.missed, stack.lossy)
    )
    filled = page.get_by_text(re.compile(r"^Materialized \(\d\)$"))
    filled.click()
    expect(lossy).to_have_count(0)
    expect(missed).to_be_visible()
    filled.click()
    lossy.click()
    expect(page.get_by_text("Materialized", exact=True)).to_be_visible()
    picture("missed-slot")
