"""A Supabase-shaped source: what the platform keeps is named, the rest is proven, nothing is painted green."""

from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg
import pytest

from desbuquei_backups.core.slots import Slot, last_due
from desbuquei_backups.core.tiers import load_policy
from desbuquei_backups.embedded.samples import SUPABASE_UNREADABLE
from desbuquei_backups.operations.settings import DATABASE_URL
from desbuquei_backups_tests.defs.conftest import Run

_LACKING = {"pg_graphql", "postgis", "supabase_vault", "uuid-ossp", "vector"}


def test_a_project_is_proven_but_for_what_is_named(
    run: Run, environment: pytest.MonkeyPatch, project_url: str, folder: Path
) -> None:
    environment.setenv(DATABASE_URL, project_url)
    done = run()
    assert done.errors == []
    assert done.true
    made = {step.asset: step.metadata for step in done.steps}
    left_out = {row["what"]: row["why"] for row in made["dump"]["left out"]}
    assert set(SUPABASE_UNREADABLE) <= set(left_out)
    assert all("Supabase keeps it for itself" in left_out[name] for name in SUPABASE_UNREADABLE)
    assert {row["name"] for row in made["restored_copy"]["the server lacks"] if row["kind"] == "extension"} == _LACKING

    verdicts = {check.name: check for check in done.checks}
    for name in ("checksums_match", "archive_matches_manifest", "archive_is_encrypted"):
        assert verdicts[name].passed
    for name in ("dump_is_complete", "row_counts_match", "content_matches", "schema_matches"):
        assert not verdicts[name].passed, "what could not be compared must not be green"
        assert not verdicts[name].untrue, "what could not be compared must not be red"
        assert "differ" not in verdicts[name].description

    physical = verdicts["base_backup_verifies"]
    assert (physical.passed, physical.severity) == (False, "WARN")
    assert physical.description.startswith("not applicable: replication is refused")

    rows = {row["what"]: row["verdict"] for row in made["restored_copy"]["row counts"]}
    assert rows["public.documentos"] == "could not be compared"
    assert rows["auth.users"] == "matches"
    assert rows["public.comentarios"] == "matches"
    assert unquote(urlsplit(project_url).password or "") not in "".join(
        path.read_text() for path in folder.glob("*.json*")
    )


def test_without_replication_the_hourly_says_what_is_lost_and_nothing_is_made_for_wal(
    run: Run, environment: pytest.MonkeyPatch, project_url: str
) -> None:
    environment.setenv(DATABASE_URL, project_url)
    done = run(Slot("hourly", last_due(load_policy().tier("hourly").cron, datetime.now(UTC))))
    assert done.true
    (lost,) = (check for check in done.checks if check.name == "recovery_point_within_objective")
    assert (lost.passed, lost.severity) == (False, "WARN")
    assert "no point in time between logical dumps" in " ".join(lost.differences)
    with psycopg.connect(project_url) as connection:
        assert connection.execute("select count(*) from pg_replication_slots").fetchone() == (0,)
        assert connection.execute("select to_regclass('public.recovery_heartbeats')").fetchone() == (None,)
