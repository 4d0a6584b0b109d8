"""Several databases in Dagster: each has its own of everything, and one that fails or hangs is no other's affair."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.storage.dagster_run import DagsterRun
from dagster._core.utils import make_new_run_id
from dagster._utils.tags import TagConcurrencyLimitsCounter

from desbuquei_backups.core.errors import ConfigurationError
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.definitions import build, defs
from desbuquei_backups.defs.execution import Outcome, outcome
from desbuquei_backups.operations.settings import DATABASE_URL, databases_in
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups_tests.fakes import free_port
from desbuquei_backups_tests.policies import PACKAGED, written

_INVARIANTS = "DESBUQUEI_VENDAS_INVARIANTS"


@pytest.fixture
def several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A policy of the databases desbuquei and vendas; no URL of either is set."""
    monkeypatch.setenv("DESBUQUEI_POLICY", str(written(tmp_path, f"{PACKAGED}\n[databases.vendas]\n")))
    monkeypatch.setenv("DESBUQUEI_BACKUP_DIR", str(tmp_path / "backups"))
    return monkeypatch


def keys_of(definitions: dg.Definitions, database: str) -> set[tuple[str, ...]]:
    found = definitions.resolve_asset_graph().get_all_asset_keys()
    return {tuple(key.path[1:]) for key in found if key.path[0] == database}


def checks_of(definitions: dg.Definitions, database: str) -> set[tuple[str, ...]]:
    found = definitions.resolve_asset_graph().asset_check_keys
    return {(*key.asset_key.path[1:], key.name) for key in found if key.asset_key.path[0] == database}


def names_of(found: list[str], database: str) -> set[str]:
    return {name.removeprefix(database) for name in found if name.startswith(f"{database}_")}


@pytest.mark.usefixtures("several")
def test_each_database_has_assets_checks_jobs_and_schedules_of_its_own_though_none_has_a_url() -> None:
    definitions = defs()
    repository = definitions.get_repository_def()
    jobs = repository.job_names
    schedules = [each.name for each in repository.schedule_defs]
    assert keys_of(definitions, "vendas") == keys_of(definitions, "desbuquei") > {("daily", "dump"), ("source",)}
    assert checks_of(definitions, "vendas") == checks_of(definitions, "desbuquei") > {("wal", "wal_is_continuous")}
    assert names_of(jobs, "vendas") == names_of(jobs, "desbuquei") > {"_daily", "_manual", "_watch"}
    assert names_of(schedules, "vendas") == names_of(schedules, "desbuquei") > {"_hourly_schedule"}
    parents = definitions.resolve_asset_graph().get(dg.AssetKey(["vendas", "weekly", "dump"])).parent_keys
    assert parents == {dg.AssetKey(["vendas", "source"]), dg.AssetKey(["vendas", "daily", "s3_archive"])}


def test_a_database_whose_own_settings_are_wrong_keeps_none_of_the_others_from_loading(several, tmp_path) -> None:
    several.setenv(_INVARIANTS, str(tmp_path / "nowhere.toml"))
    definitions = defs()
    assert keys_of(definitions, "vendas") == {("source",)}
    assert ("daily", "dump") in keys_of(definitions, "desbuquei")
    source = definitions.resolve_asset_graph().get(dg.AssetKey(["vendas", "source"]))
    assert "**It is not backed up**" in str(source.description)
    assert "nowhere.toml" in str(source.description)
    several.setenv("DESBUQUEI_INVARIANTS", str(tmp_path / "nowhere.toml"))
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml"):
        defs()


def test_a_database_that_leaves_the_physical_part_to_another_has_no_wal_to_be_missed(several, tmp_path) -> None:
    dumps = "\n[databases.vendas.tiers]\nhourly = false\ndaily.base_backup = false\nmanual.base_backup = false\n"
    written(tmp_path, PACKAGED + dumps)
    definitions = defs()
    missing = keys_of(definitions, "desbuquei") - keys_of(definitions, "vendas")
    assert {key for key in missing if key[0] != "hourly"} == {
        ("wal",),
        ("recovery_drill",),
        ("daily", "base_backup"),
        ("manual", "base_backup"),
    }
    assert "_recovery_drill" not in names_of(definitions.get_repository_def().job_names, "vendas")


Run = Callable[[str], Outcome]


@pytest.fixture
def run(instance: dg.DagsterInstance, open_slot: Slot) -> Run:
    """A function that fills the open daily slot of a database."""

    def once(database: str) -> Outcome:
        since = datetime.now(UTC) - timedelta(days=3)
        every = (build(each.policy, since, retry_delay=0, url=each.url) for each in databases_in(os.environ))
        job = dg.Definitions.merge(*every).resolve_job_def(f"{database}_daily")
        done = job.execute_in_process(partition_key=open_slot.key, instance=instance, raise_on_error=False)
        return outcome(done.all_events, done.run_id, open_slot)

    return once


def test_while_one_server_is_down_the_others_slot_is_filled_and_proven_in_its_own_place(
    environment, several, run: Run, sample_url: str, bucket: Bucket, folder: Path, open_slot: Slot
) -> None:
    several.setenv(DATABASE_URL, f"postgresql://postgres@127.0.0.1:{free_port()}/desbuquei?sslmode=disable")
    several.setenv("DESBUQUEI_VENDAS_DATABASE_URL", sample_url)
    down, well = run("desbuquei"), run("vendas")
    assert "cannot connect" in down.errors[0]
    assert (well.errors, well.true) == ([], True)
    assert {step.asset for step in well.steps} >= {"dump", "checksum_manifest", "s3_archive", "restored_copy"}
    name = f"{open_slot.backup_id}.sql.gz"
    assert (folder / "vendas" / name).exists()
    assert not (folder / name).exists()
    assert bucket.head(f"vendas/daily/{name}") is not None
    assert list(bucket.keys("daily/")) == []


def _queued(job: str, definitions: dg.Definitions) -> DagsterRun:
    return DagsterRun(job_name=job, run_id=make_new_run_id(), tags=dict(definitions.resolve_job_def(job).run_tags))


@pytest.mark.usefixtures("several")
def test_runs_of_a_database_that_hangs_leave_room_for_the_others_and_for_those_that_only_look() -> None:
    queue = yaml.safe_load((resources.files("desbuquei_backups") / "dagster.yaml").read_text())["run_queue"]
    definitions = defs()
    limits, most = queue["tag_concurrency_limits"], queue["max_concurrent_runs"]
    hanging = [_queued("desbuquei_hourly", definitions) for _ in range(limits[0]["limit"])]
    assert 3 * len(hanging) < most
    under_way = TagConcurrencyLimitsCounter(limits, hanging)
    for name in definitions.get_repository_def().job_names:
        if not name.startswith("__"):
            blocked = name.startswith("desbuquei_") and name != "desbuquei_watch"
            assert under_way.is_blocked(_queued(name, definitions)) is blocked, name


@pytest.mark.usefixtures("several")
def test_looks_at_a_database_that_hangs_do_not_pile_up_until_nothing_else_may_run() -> None:
    queue = yaml.safe_load((resources.files("desbuquei_backups") / "dagster.yaml").read_text())["run_queue"]
    definitions = defs()
    hangs = _queued("desbuquei_watch", definitions)
    under_way = TagConcurrencyLimitsCounter(queue["tag_concurrency_limits"], [hangs])
    assert under_way.is_blocked(_queued("desbuquei_watch", definitions))
    assert not under_way.is_blocked(_queued("vendas_watch", definitions))
    assert hangs.tags["dagster/max_runtime"] == "900"
