"""`desbuquei prove` as the shell of a host without Dagster sees it."""

import json
from datetime import UTC, datetime
from urllib.parse import urlsplit

import psycopg

from desbuquei_backups.core.comparison import Verdict
from desbuquei_backups.operations import proofs
from desbuquei_backups_tests.cli.test_commands import Run, narrow, run
from desbuquei_backups_tests.invariants import written
from desbuquei_backups_tests.left_behind import clearing
from desbuquei_backups_tests.operations import vault
from desbuquei_backups_tests.operations.tiers import WEEKLY, back_up

__all__ = ["run"]  # a fixture

_SHOP = """
[invariants.orders_have_customers]
sql = "select i from pedidos where i > 2"
expect = "0 rows"

[invariants.orders_are_numbered]
sql = "select i from pedidos"
expectation = "expect_column_values_to_be_unique"
kwargs = { column = "i" }
"""


def test_an_invariant_that_does_not_hold_fails_a_script_and_says_which_rows(run: Run, site, slot, source, tmp_path):
    source.execute("create table pedidos as select i from generate_series(1, 3) i")
    back_up(site, slot)
    assert run("prove", slot.backup_id).returncode == 0
    asking = {"DESBUQUEI_INVARIANTS": str(written(tmp_path, _SHOP))}
    done = run("prove", slot.backup_id, **asking)
    assert (done.returncode, narrow(done.stdout)) == (1, True), done.stderr
    assert f"{slot.backup_id}: matches\n" in done.stdout
    assert "  invariants  1 match, 1 differ\n  orders_have_customers: 0 rows: +1 rows:\ni=3\n" in done.stdout
    found = json.loads(run("prove", slot.backup_id, "--json", **asking).stdout)["invariants"]
    assert [(each["name"], each["findings"][0]["verdict"]) for each in found] == [
        ("orders_have_customers", "does not match"),
        ("orders_are_numbered", "matches"),
    ]


def test_a_bad_file_of_invariants_is_refused_before_anything_is_done(run: Run, tmp_path) -> None:
    bad = run("prove", "daily-2026-02-02-020000", DESBUQUEI_INVARIANTS=str(written(tmp_path, "[invariants.a]\n")))
    assert (bad.returncode, "line 1, invariants.a" in bad.stderr) == (2, True)


def test_a_restored_copy_that_is_kept_says_its_url_and_how_to_drop_it(
    run: Run, site, slot, source, scratch, restore_url
) -> None:
    source.execute("create table pedidos as select i from generate_series(1, 3) i")
    back_up(site, slot)
    with clearing(scratch):
        done = run("prove", slot.backup_id, "--keep")
        assert done.returncode == 0, done.stderr
        drop = done.stdout.splitlines()[-1].strip()
        assert drop.startswith('DROP DATABASE "desbuquei_kept_daily_2026_02_02_020000_')
        (kept,) = [line for line in done.stdout.splitlines() if line.startswith("kept at ")]
        url, password = kept.removeprefix("kept at "), urlsplit(restore_url).password
        assert password not in done.stdout
        with psycopg.connect(url, password=password) as copy:
            assert copy.execute("select count(*) from pedidos").fetchone() == (3,)
        scratch.execute(drop)
    nothing = run("prove", "--due")
    assert (nothing.returncode, "Nothing is due" in nothing.stdout) == (0, True)
    nobody = {"proven": [], "thawing": {}, "failed": {}, "still_not_the_source": {}}
    assert json.loads(run("prove", "--due", "--json").stdout) == nobody
    vault.stored(site.bucket, WEEKLY.backup_id)
    lost, _ = vault.proven(site.bucket, WEEKLY.backup_id, verdict=Verdict.DIFFERS, restore=1.0)
    proofs.keep(site.bucket, lost.model_copy(update={"proven_at": datetime.now(UTC)}), {})
    still = run("prove", "--due")
    assert still.returncode == 1
    assert f"✗ {WEEKLY.backup_id}: when it was last restored" in still.stdout
    for wrong in ((), ("--due", slot.backup_id), ("--due", "--keep")):
        assert run("prove", *wrong).returncode == 2
