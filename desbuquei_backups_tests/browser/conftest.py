"""Debian's Chromium before a stack that runs; pictures of what the tests see."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from desbuquei_backups_tests.browser.stack import Stack, running

_CHROMIUM = "/usr/bin/chromium"
_PICTURES = Path(__file__).parents[2] / "docs" / "screenshots"
_SIZE = {"width": 1280, "height": 800}
_MOST_BYTES = 200_000
# A busy machine is no failure.
_PATIENCE = 60_000  # milliseconds

expect.set_options(timeout=_PATIENCE)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-screenshots", action="store_true", help="Keep the pictures, in docs/screenshots.")


@pytest.fixture(scope="session")
def stack(home: Path) -> Iterator[Stack]:
    """One for all tests: none of them may take away what another one looks at."""
    with running(home) as stack:
        yield stack


@pytest.fixture(scope="session")
def chromium(stack: Stack) -> Iterator[Browser]:
    """Started after the stack: Playwright's event loop would be in the way of Dagster's runs in this process."""
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=_CHROMIUM, args=as_root) as browser,
    ):
        yield browser


@pytest.fixture
def page(chromium: Browser, stack: Stack) -> Iterator[Page]:
    """An empty page of a browser that has seen nothing yet; nothing may be asked for beyond this machine."""
    asked: list[str] = []
    with chromium.new_context(base_url=stack.url, viewport=_SIZE, timezone_id="UTC", locale="en-GB") as context:
        context.set_default_timeout(_PATIENCE)
        context.on("request", lambda request: asked.append(request.url))
        yield context.new_page()
    assert [url for url in asked if not url.startswith((stack.url, "file:", "data:", "blob:"))] == []


@pytest.fixture
def picture(page: Page, request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], None]:
    """A function that takes a picture of the page; it is kept among the documents if that is asked for."""
    folder = _PICTURES if request.config.getoption("--write-screenshots") else tmp_path

    def take(name: str) -> None:
        page.wait_for_load_state("networkidle")  # Dagster shows what it knows, and asks for the rest
        taken = page.screenshot(path=folder / f"{name}.png", animations="disabled", caret="hide")
        assert len(taken) < _MOST_BYTES

    return take
