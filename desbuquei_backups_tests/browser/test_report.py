"""The page that an auditor opens from a disk, on a machine with no way out."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from desbuquei_backups_tests.browser.stack import DESBUQUEI, Stack


def test_the_report_is_one_file_that_asks_nobody_for_anything(
    page: Page, stack: Stack, tmp_path: Path, picture: Callable[[str], None]
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    since = f"{stack.proven.due:%Y-%m-%d}"
    done = subprocess.run(
        [DESBUQUEI, "report", "--from", since, "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    assert done.returncode == 1, done.stderr  # rows were lost, and a slot missed
    (written,) = tmp_path.glob("*.html")
    page.goto(written.as_uri())
    verdict = page.get_by_role("row").filter(has=page.get_by_role("link", name="Restorability", exact=True))
    expect(verdict.get_by_role("cell").nth(1)).to_have_text("does not hold")
    expect(verdict).to_contain_text(stack.lossy.backup_id)
    picture("report")
    page.get_by_role("link", name="Restorability", exact=True).click()
    assert asked == [written.as_uri()]
