"""The chain of evidence as an auditor's shell sees it: exit status, one JSON document on stdout, 80 columns."""

import json
from dataclasses import replace

import pytest

from desbuquei_backups.core.evidence import link_key
from desbuquei_backups.operations.chain_audit import audit
from desbuquei_backups_tests.cli.test_commands import Run, narrow, run
from desbuquei_backups_tests.keys import new_signing_pair
from desbuquei_backups_tests.operations.chains import manifest_of, told

__all__ = ["run"]  # a fixture

ALONE = {"DESBUQUEI_DATABASE_URL": None, "DESBUQUEI_RESTORE_URL": None, "DESBUQUEI_BACKUP_DIR": "/nowhere"}


@pytest.fixture
def chain(site) -> None:
    """Two links, of one backup."""
    told(site, 1)


@pytest.mark.usefixtures("chain")
def test_an_auditor_needs_nothing_but_the_bucket(run: Run) -> None:
    done = run("audit", "verify", **ALONE)
    assert done.returncode == 0, done.stderr
    assert "2 links" in done.stdout
    assert "unbroken; compared with 1 manifest\n" in done.stdout
    assert narrow(done.stdout)
    found = json.loads(run("audit", "verify", "--json", **ALONE).stdout)
    assert (found["unbroken"], found["links"], found["manifests"], found["breaks"]) == (True, 2, 1, [])


@pytest.mark.usefixtures("chain")
def test_a_link_that_is_lost_fails_a_script_and_is_named(run: Run, bucket) -> None:
    bucket.delete(link_key(1))
    done = run("audit", "verify")
    assert (done.returncode, "✗ link 1: missing: it is not in the bucket" in done.stdout) == (1, True)


@pytest.mark.usefixtures("chain")
def test_an_anchor_is_one_line_that_finds_an_end_that_was_cut_off(run: Run, bucket, tmp_path) -> None:
    line = run("audit", "anchor", **ALONE).stdout
    assert len(line.splitlines()) == 1
    assert set(json.loads(line)) == {"database", "sequence", "sha256", "at"}
    anchors = tmp_path / "anchors"
    anchors.write_text(line)
    assert run("audit", "anchor", "--to", str(anchors)).stdout == ""
    assert len(anchors.read_text().splitlines()) == 2
    bucket.delete(link_key(2))
    done = run("audit", "verify", "--anchor", str(anchors))
    assert (done.returncode, "link 2: cut off: it was anchored at" in done.stdout) == (1, True)
    anchors.write_text("Subject: anchor\n")
    bad = run("audit", "verify", "--anchor", str(anchors))
    assert (bad.returncode, "is no anchor" in bad.stderr) == (2, True)


@pytest.mark.usefixtures("chain")
def test_the_second_place_carries_the_chain_away(run: Run, bucket_url: str) -> None:
    second = {"DESBUQUEI_SECOND_S3_URL": f"{bucket_url}-second"}
    told_to = json.loads(run("audit", "anchor", "--run", "--json", **second).stdout)
    assert (told_to["sequence"], told_to["copied"], told_to["told"]) == (2, 2, [f"{bucket_url}-second/"])
    done = run("audit", "verify", "--anchor", "second", **second)
    assert (done.returncode, "of the second place" in done.stdout) == (0, True)


@pytest.mark.usefixtures("chain")
def test_a_backup_that_the_chain_does_not_know_is_adopted_with_a_reason(run: Run, site) -> None:
    unknown = "daily-2026-01-09-020000"
    site.bucket.put_bytes(f"daily/{unknown}.manifest.json", manifest_of(unknown).to_bytes(), tags={})
    assert run("audit", "adopt").returncode == 2
    assert not audit(site).whole
    done = run("audit", "adopt", "--reason", "antes da cadeia", "--operator", "ana")
    assert (done.returncode, done.stdout) == (0, f"{unknown} is adopted\n")
    assert audit(site).whole


def test_with_a_public_key_an_end_that_is_not_signed_fails_a_script_and_is_named(run: Run, site, tmp_path) -> None:
    pair = new_signing_pair(tmp_path)
    signing = replace(site, settings=replace(site.settings, signing_key=pair.secret))
    told(signing, 1)
    given = ("audit", "verify", "--public-key", str(pair.public))
    done = run(*given, **ALONE)
    assert (done.returncode, narrow(done.stdout)) == (0, True), done.stderr
    assert "2 links signed, from link 1 on; 1 key may sign\n" in done.stdout
    told(site, 2)
    done = run(*given, **ALONE)
    assert (done.returncode, "✗ link 3 (daily-2026-01-02-020000): unsigned: " in done.stdout) == (1, True)
    found = json.loads(run("audit", "verify", "--json", DESBUQUEI_PUBLIC_KEYS=str(pair.public), **ALONE).stdout)
    assert (found["signed"], found["signed_since"], [each["fault"] for each in found["breaks"]]) == (2, 1, ["unsigned"])
    refused = run("audit", "verify", "--public-key", str(pair.secret), **ALONE)
    assert (refused.returncode, "no Ed25519 public key" in refused.stderr) == (2, True)
