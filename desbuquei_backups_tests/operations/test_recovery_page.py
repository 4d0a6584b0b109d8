"""docs/recovery.md: nobody finds out at three in the morning that the page is of another version."""

from pathlib import Path

import psycopg

from desbuquei_backups.operations.settings import RESTORE_URL, S3_URL, SECOND_S3_URL
from desbuquei_backups_tests.conftest import Endpoints
from desbuquei_backups_tests.docs.pages import examples, path_with_programs
from desbuquei_backups_tests.left_behind import clearing
from desbuquei_backups_tests.operations.story import Story
from desbuquei_backups_tests.urls import with_database


def test_each_way_back_does_what_the_page_says(
    story: Story, endpoints: Endpoints, scratch: psycopg.Connection, tmp_path: Path
) -> None:
    """With the bucket alone, on a machine that has never seen the source."""
    settings = story.site.settings
    whole = f"'{with_database(endpoints.scratch, 'back_whole')}'"
    replaced = {
        "'postgresql://postgres@new.example.com:5432/app?sslmode=verify-full'": whole,
        '"$DESBUQUEI_DATABASE_URL"': whole,
        "public.orders": "public.ledger",
        "orders_broken": "ledger_broken",
        "/srv/pg/recovered": str(story.free()),
        "env:RESTORE_INTO --from second": "env:ELSEWHERE --from second",
    }
    environment = {
        "PATH": path_with_programs(tmp_path / "bin"),
        "HOME": str(tmp_path),
        "DESBUQUEI_BACKUP_DIR": str(tmp_path / "backups"),
        "ELSEWHERE": with_database(endpoints.scratch, "back_second"),
        RESTORE_URL: endpoints.scratch,
        S3_URL: settings.s3_url,
        **settings.aws,
    }
    lost = {**environment, S3_URL: "s3://the-account-is-gone/backups", SECOND_S3_URL: settings.s3_url}
    found = list(examples("recovery.md", replaced))
    # A table is brought back into a database that is there.
    found.sort(key=lambda example: "--table" in example.script)
    with clearing(scratch):
        faults = [
            fault
            for example in found
            if (fault := example.fails(lost if "second" in example.script else environment, tmp_path)) is not None
        ]
    assert not faults, "\n\n".join(faults)
