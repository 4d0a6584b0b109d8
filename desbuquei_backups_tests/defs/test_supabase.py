"""A Supabase-shaped source: what the platform keeps is named, the rest is proven, nothing is painted green."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

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

    rows = {row["what"]: row["verdict"] for row in made["restored_copy"]["row counts"]}
    assert rows["public.documentos"] == "could not be compared"
    assert rows["auth.users"] == "matches"
    assert rows["public.comentarios"] == "matches"
    assert unquote(urlsplit(project_url).password or "") not in "".join(
        path.read_text() for path in folder.glob("*.json*")
    )
