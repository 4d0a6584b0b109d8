"""An invariant whose failure nobody sees was asked in vain: each is a check of its own, in every tier."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from desbuquei_backups.core.invariants import load_invariants
from desbuquei_backups.core.tiers import load_policy
from desbuquei_backups.definitions import build
from desbuquei_backups.operations.settings import INVARIANTS
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups_tests.defs.conftest import Run
from desbuquei_backups_tests.invariants import written
from desbuquei_backups_tests.operations.chains import links

SHOP = """
[invariants.there_are_orders]
description = "Somebody buys"
sql = "select count(*) from public.clientes"
expect = ">= 1"

[invariants.nobody_ever_ordered]
sql = "select id from public.clientes order by id limit 1"
expect = "0 rows"

[invariants.orders_are_numbered]
sql = "select id from public.clientes"
expectation = "expect_column_values_to_be_unique"
kwargs = { column = "id" }

[invariants.typed_wrong]
sql = "select id from clientess"
expect = "0 rows"
"""


def test_each_invariant_is_a_check_of_every_tiers_restored_copy(tmp_path: Path) -> None:
    policy, invariants = load_policy(), load_invariants(written(tmp_path, SHOP))
    graph = build(policy, datetime(2026, 2, 3, 12, tzinfo=UTC), invariants=invariants).resolve_asset_graph()
    for tier in policy.tiers:
        key = dg.AssetKey(["desbuquei", tier, "restored_copy"])
        names = {check.name for check in graph.asset_check_keys if check.asset_key == key}
        assert names >= set(invariants)
        spec = graph.get_check_spec(dg.AssetCheckKey(key, "there_are_orders"))
        assert (spec.blocking, spec.description) == (False, "Somebody buys: >= 1")


def test_one_that_does_not_hold_is_red_and_said_in_the_chain_and_the_backup_is_archived_all_the_same(
    run: Run, environment: pytest.MonkeyPatch, tmp_path: Path, bucket: Bucket
) -> None:
    environment.setenv(INVARIANTS, str(written(tmp_path, SHOP)))
    done = run()
    assert done.success
    assert not done.true
    found = {check.name: check for check in done.checks}
    assert found["there_are_orders"].passed
    assert found["orders_are_numbered"].passed
    assert found["nobody_ever_ordered"].untrue
    assert found["nobody_ever_ordered"].differences == ("answer: +1 rows:\nid=10",)
    assert not found["typed_wrong"].passed
    assert not found["typed_wrong"].untrue
    assert "does not exist" in found["typed_wrong"].description
    assert found["content_matches"].passed
    told = [each for link in links(bucket) if link.body.get("step") == "restored_copy" for each in link.body["checks"]]
    assert {each["check"]: each["verdict"] for each in told if each["check"] in SHOP} == {
        "there_are_orders": "matches",
        "nobody_ever_ordered": "does not match",
        "orders_are_numbered": "matches",
        "typed_wrong": "could not be compared",
    }
