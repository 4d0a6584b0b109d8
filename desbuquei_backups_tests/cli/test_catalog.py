"""`catalog rebuild`, `verify --budget` and `prune` as a shell sees them."""

import json

import pytest

from desbuquei_backups_tests.cli.test_commands import Run, archived, narrow, run
from desbuquei_backups_tests.operations.vault import proven, stored

__all__ = ["archived", "run"]


@pytest.fixture
def bad(bucket) -> str:
    """The key of a manifest that breaks off."""
    return stored(bucket, "daily-2026-01-30-020000", content=b"{")


def test_the_catalog_is_made_again_on_a_new_machine_with_nothing_but_the_bucket(run: Run, archived, tmp_path):
    new = {"DESBUQUEI_BACKUP_DIR": str(tmp_path / "new"), "DESBUQUEI_DATABASE_URL": None, "DESBUQUEI_RESTORE_URL": None}
    done = run("catalog", "rebuild", "--json", **new)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["archived"], said["old_file"], said["faults"]) == (1, None, [])
    assert "DESBUQUEI_DATABASE_URL" in said["backup_logs_behind"]
    assert [each["backup_id"] for each in json.loads(run("list", "--json", **new).stdout)["backups"]] == [archived]
    again = run("catalog", "rebuild", **new)
    assert again.stdout.startswith("from the bucket: 1 backups, 0 of them proven\n")
    assert run("catalog", "--help").stdout.count("rebuild") == 1


def test_the_catalog_is_rebuilt_but_for_what_cannot_be_read_and_a_script_fails(run: Run, archived, bad, bucket):
    done = run("catalog", "rebuild")
    assert done.returncode == 1
    assert bucket.uri(bad) in done.stderr.replace("\n", "")
    assert "from the bucket: 1 backups" in done.stdout
    listed = run("list", "--remote")
    assert listed.returncode == 1
    assert bucket.uri(bad) in listed.stderr.replace("\n", "")


def test_verify_reads_within_its_budget_and_says_what_is_left(run: Run, archived, bad):
    first = json.loads(run("verify", "--all", "--remote", "--budget", "1B", "--json").stdout)
    assert [each["backup_id"] for each in first["backups"]] == ["daily-2026-01-30-020000", archived]
    assert (first["left"], first["last_verified"]["never"]) == (0, 1)
    done = run("verify", "--all", "--remote", "--budget", "50GB")
    assert done.returncode == 1
    assert f"last verified: 1 of 2 never, the longest ago {archived} on " in done.stdout
    assert json.loads(run("status", "--json").stdout)["last_verified"]["never"] == 1


@pytest.mark.parametrize(
    "given",
    [
        ["--all", "--budget", "1GB"],
        ["--latest", "daily", "--remote", "--budget", "1GB"],
        ["--all", "--remote", "--budget", "1"],
    ],
)
def test_a_budget_that_means_nothing_is_a_usage_error(run: Run, given):
    done = run("verify", *given)
    assert done.returncode == 2
    assert "budget" in done.stderr


def test_status_says_how_long_a_recovery_takes_by_what_was_measured(run: Run, archived, bucket, site):
    said = f"recovery time: not known for {archived}: nothing was restored yet; promised: 15 min"
    assert said in " ".join(run("status").stdout.split())
    stored(
        bucket,
        "daily-2026-01-30-020000",
        server={"database": site.settings.database_url.rpartition("/")[2].partition("?")[0]},
    )
    proven(bucket, "daily-2026-01-30-020000", restore=61.5, analyze=2.5)
    assert run("catalog", "rebuild").returncode == 0
    said = (
        f"recovery time: about 1 min 4 s from {archived} (measured by the restored copy of "
        "daily-2026-01-30-020000 on 2026-01-30); promised: 15 min"
    )
    done = run("status")
    assert said in " ".join(done.stdout.split())
    assert narrow(done.stdout.rpartition("disk:")[0].partition("\n")[2])
    (time,) = json.loads(run("status", "--json").stdout)["recovery_times"]
    assert (time["restore_seconds"], time["thaw_seconds"], time["exceeds_objective"]) == (64.0, 0, False)


def test_help_fits_a_terminal(run: Run):
    for command in (["verify"], ["catalog"], ["catalog", "rebuild"], ["list"], ["prune"]):
        assert narrow(run(*command, "--help").stdout)
