"""The chain of evidence as an auditor's shell sees it: exit status, one JSON document on stdout, 80 columns."""

import json

import pytest

from desbuquei_backups.core.evidence import link_key
from desbuquei_backups_tests.cli.test_commands import Run, archived, narrow, run
from desbuquei_backups_tests.operations.chains import manifest_of

__all__ = ["archived", "run"]  # fixtures

ALONE = {"DESBUQUEI_DATABASE_URL": None, "DESBUQUEI_RESTORE_URL": None, "DESBUQUEI_BACKUP_DIR": "/nowhere"}


def test_an_auditor_needs_nothing_but_the_bucket(run: Run, archived: str) -> None:
    done = run("audit", "verify", **ALONE)
    assert done.returncode == 0, done.stderr
    assert "2 links" in done.stdout
    assert "unbroken; compared with 1 manifest\n" in done.stdout
    assert narrow(done.stdout)
    found = json.loads(run("audit", "verify", "--json", **ALONE).stdout)
    assert (found["unbroken"], found["links"], found["manifests"], found["breaks"]) == (True, 2, 1, [])


def test_a_link_that_is_lost_fails_a_script_and_is_named(run: Run, archived: str, bucket) -> None:
    bucket.delete(link_key(1))
    done = run("audit", "verify")
    assert (done.returncode, "✗ link 1: missing: it is not in the bucket" in done.stdout) == (1, True)
    (found,) = json.loads(run("audit", "verify", "--json").stdout)["breaks"]
    assert (found["fault"], found["sequence"]) == ("missing", 1)


def test_an_anchor_is_one_line_that_finds_an_end_that_was_cut_off(run: Run, archived: str, bucket, tmp_path) -> None:
    line = run("audit", "anchor", **ALONE).stdout
    assert len(line.splitlines()) == 1
    assert set(json.loads(line)) == {"database", "sequence", "sha256", "at"}
    anchors = tmp_path / "anchors"
    for _ in range(2):
        assert run("audit", "anchor", "--to", str(anchors)).stdout == ""
    assert len(anchors.read_text().splitlines()) == 2
    assert run("audit", "verify", "--anchor", str(anchors)).returncode == 0
    bucket.delete(link_key(2))
    assert run("audit", "verify").returncode == 0
    done = run("audit", "verify", "--anchor", str(anchors))
    assert (done.returncode, "link 2: cut off: it was anchored at" in done.stdout) == (1, True)
    (tmp_path / "no-anchors").write_text("Subject: anchor\n")
    bad = run("audit", "verify", "--anchor", str(tmp_path / "no-anchors"))
    assert (bad.returncode, "is no anchor" in bad.stderr) == (2, True)
    assert run("audit", "verify", "--anchor", "second").returncode == 2


@pytest.mark.parametrize("place", ["second"])
def test_the_second_place_and_the_policys_command_carry_the_head_away(
    run: Run, archived: str, bucket_url: str, place: str
) -> None:
    second = {"DESBUQUEI_SECOND_S3_URL": f"{bucket_url}-{place}"}
    told = json.loads(run("audit", "anchor", "--run", "--json", **second).stdout)
    assert (told["sequence"], told["copied"], told["told"]) == (2, 2, [f"{bucket_url}-{place}/"])
    done = run("audit", "verify", "--anchor", place, **second)
    assert (done.returncode, "the second place's chain" in done.stdout) == (0, True)


def test_a_backup_that_the_chain_does_not_know_is_adopted_with_a_reason(run: Run, archived: str, bucket) -> None:
    unknown = "daily-2026-01-09-020000"
    bucket.put_bytes(f"daily/{unknown}.manifest.json", manifest_of(unknown).to_bytes(), tags={})
    assert f"✗ {unknown}: manifest unknown" in run("audit", "verify").stdout
    assert run("audit", "adopt").returncode == 2
    done = run("audit", "adopt", "--reason", "antes da cadeia", "--operator", "ana")
    assert (done.returncode, done.stdout) == (0, f"{unknown} is adopted\n")
    assert run("audit", "verify").returncode == 0
