"""The report as an auditor's shell sees it: exit status, one JSON document on stdout, 80 columns, three files."""

import json

import pytest

from desbuquei_backups.core.evidence import Kind
from desbuquei_backups_tests.cli.test_commands import Run, narrow, run
from desbuquei_backups_tests.operations.chains import links, told

__all__ = ["run"]  # a fixture

ALONE = {"DESBUQUEI_DATABASE_URL": None, "DESBUQUEI_RESTORE_URL": None, "DESBUQUEI_BACKUP_DIR": "/nowhere"}
JANUARY = ("--from", "2026-01-01", "--to", "2026-02-01")


@pytest.fixture
def chain(site) -> None:
    """Two links, of one backup."""
    told(site, 1)


@pytest.mark.usefixtures("chain")
def test_an_auditor_needs_nothing_but_the_bucket(run: Run, tmp_path) -> None:
    done = run("report", *JANUARY, "--out", "out", **ALONE)
    assert done.returncode == 1, done.stderr  # the bucket is on this machine
    assert narrow(done.stdout)
    assert "Off-site copy           does not hold\n" in done.stdout
    assert "Restorability           not known\n" in done.stdout
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"desbuquei-audit-20260101-20260201.{kind}" for kind in ("html", "json", "pdf")]
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("chain")
def test_as_json_it_is_one_document(run: Run) -> None:
    done = run("report", *JANUARY, "--json", **ALONE)
    found = json.loads(done.stdout)
    assert (found["database"], found["from"]) == ("desbuquei", "2026-01-01T00:00:00+00:00")
    verdicts = {each["name"]: each["verdict"] for each in found["controls"]}
    assert len(verdicts) == 15
    assert verdicts["protected"] == "not known"  # no server could be asked


@pytest.mark.usefixtures("chain")
def test_the_daily_report_fits_a_terminal_and_names_what_is_not_known(run: Run) -> None:
    done = run("report", "--daily", *JANUARY)
    assert done.returncode == 0, done.stderr
    assert narrow(done.stdout)
    (row,) = [line.split() for line in done.stdout.splitlines() if line.startswith("daily")]
    assert row[:3] == ["daily", "2026-01-01", "02:00"]
    assert row[-5:] == ["?", "?", "?", "yes", "no"]
    found = json.loads(run("report", "--daily", *JANUARY, "--json").stdout)
    assert [each["tier"] for each in found["tiers"]][:2] == ["hourly", "daily"]


@pytest.mark.usefixtures("chain")
def test_a_reviewer_signs_what_he_read(run: Run, bucket, tmp_path) -> None:
    report = json.loads(run("report", *JANUARY, "--json").stdout)
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report))
    done = run("report", "--sign-off", "Ana Lima", "--of", "report.json", "--note", "sem ressalvas")
    assert (done.returncode, "Ana Lima reviewed report.json" in done.stdout) == (0, True), done.stderr
    last = links(bucket)[-1]
    assert (last.kind, last.body["reviewer"], last.body["note"]) == (Kind.SIGNED_OFF, "Ana Lima", "sem ressalvas")
    assert "Ana Lima" in run("report", *JANUARY, "--json").stdout


@pytest.mark.usefixtures("chain")
def test_the_check_history_is_exported(run: Run, tmp_path) -> None:
    done = run("report", "--export", "history", "--json", *JANUARY)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["rows"] == 0
    assert (tmp_path / "history" / "desbuquei-checks.csv").exists()
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--from", "2026-02-02", "--to", "2026-01-01"),
        ("--from", "yesterday"),
        ("--sign-off", "Ana"),
        ("--of", "report.json"),
        ("--daily", "--export", "x"),
    ],
)
def test_what_cannot_be_meant_is_bad_usage(run: Run, arguments) -> None:
    assert run("report", *arguments).returncode == 2
