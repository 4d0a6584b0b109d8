"""From a trial, in which nothing starts by itself, to one that runs; the last file, since the stack is another then."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from desbuquei_backups_tests.browser.stack import Stack


def test_schedules_and_sensors_are_switched_on_together(
    page: Page, stack: Stack, picture: Callable[[str], None]
) -> None:
    page.goto("/automation")
    every = f"{len(stack.automations)} automations"
    page.get_by_text("Select all", exact=True).click()
    page.get_by_role("button", name="Actions").click()
    page.get_by_role("menuitem", name=f"Start {every}").click()
    page.get_by_role("button", name=f"Start {every}").click()
    expect(page.get_by_role("button", name="Done")).to_be_enabled()
    page.reload()
    picture("schedules")
    page.set_viewport_size({"width": 1280, "height": 100 * len(stack.automations)})  # rows out of sight are not there
    for name in stack.automations:
        expect(page.get_by_role("link", name=re.compile(rf"\b{name}\b"))).to_be_visible()
    # A row has another box, to select it, which is empty now.
    expect(page.get_by_role("checkbox", checked=True)).to_have_count(len(stack.automations))
    page.goto("/locations/desbuquei_backups/sensors/orphaned_runs")
    expect(page.get_by_text("0 runs requested").first).to_be_visible()
