"""What is asked for again by itself, and what is not: nobody looks at backups on the day they stop."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test, freeze_time

from desbuquei_backups.core.conditions import Severity
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.tiers import load_policy
from desbuquei_backups.definitions import build
from desbuquei_backups.defs import rerun_slots, resources
from desbuquei_backups.defs.marks import ATTEMPT, FAILED_FOR_GOOD, STOPPED, mark
from desbuquei_backups.defs.run_process import TAG, this_process
from desbuquei_backups.operations import records
from desbuquei_backups.operations.settings import DATABASE_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.status import status
from desbuquei_backups.operations.unfinished_told import conditions
from desbuquei_backups_tests.conftest import Clock, Endpoints
from desbuquei_backups_tests.defs.daemon import Daemon
from desbuquei_backups_tests.faults import FaultyStore
from desbuquei_backups_tests.policies import written

_SINCE = datetime(2026, 2, 3, 15, 20, tzinfo=UTC)
_NOBODY_LISTENS = "http://127.0.0.1:9"
_DAILY = Slot.of_id("daily-2026-02-03-020000")
_SMALL = """
database = "desbuquei"
recovery_point_objective = "1 day"
recovery_time_objective = "1 hour"
lock_timeout = "5 minutes"
[tiers.daily]
cron = "0 2 * * *"
kept_on_disk = "7 days"
kept_in_s3 = "30 days"
never_fewer_than = 7
storage_class = "STANDARD_IA"
"""
_MANUAL = """
[tiers.manual]
on_demand = true
kept_in_s3 = "30 days"
never_fewer_than = 0
storage_class = "STANDARD_IA"
"""
_AFTER_DUMP = ["checksum_manifest", "s3_archive", "restored_copy"]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """15:20 on a Tuesday: every tier is in the middle of a slot."""
    clock = Clock(_SINCE)
    monkeypatch.setattr(resources, "Site", partial(Site, now=clock))
    return clock


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """One that other processes can open, too."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


Started = Callable[..., Daemon]


@pytest.fixture
def start(
    environment: pytest.MonkeyPatch, instance: dg.DagsterInstance, clock: Clock, tmp_path: Path, folder: Path
) -> Started:
    """A function that loads the policy of that text, and starts a daemon with it."""

    folder.mkdir()
    (folder / "protected-since").write_text(_SINCE.isoformat())

    def start(text: str = _SMALL, instance: dg.DagsterInstance = instance, loaded: datetime = _SINCE) -> Daemon:
        # Its file is as old as the clock of the test says.
        path = written(tmp_path, text)
        environment.setattr("desbuquei_backups.defs.unfinished_slots.policy_changed", lambda: loaded)
        environment.setenv("DESBUQUEI_POLICY", str(path))
        return Daemon(instance, clock, build(load_policy(path), _SINCE, retry_delay=0, loaded=loaded))

    return start


@pytest.fixture
def daemon(start: Started) -> Daemon:
    return start()


@pytest.fixture
def told(daemon: Daemon) -> Callable[[], dict[str, str]]:
    """What a person is called for: names, with what was tried."""
    return lambda: {each.name: each.tried for each in conditions(resources.Backups().at_rest("desbuquei"))}


def ids(requests: list[dg.RunRequest]) -> list[str]:
    return [request.tags["desbuquei/backup_id"] for request in requests if request.partition_key]


def steps(request: dg.RunRequest) -> list[str] | None:
    return [key.path[-1] for key in request.asset_selection] if request.asset_selection else None


def lines(folder: Path) -> dict[str, records.Line]:
    return {line["backup_id"]: line for line in records.lines(folder)}


def ended(daemon: Daemon, slot: Slot, how: dg.DagsterRunStatus, **tags: str) -> dg.DagsterRun:
    """A run at the slot that is there, and how it ended."""
    with freeze_time(daemon.clock()):
        return create_run_for_test(
            daemon.instance,
            f"desbuquei_{slot.tier}",
            status=how,
            tags={"dagster/partition": slot.key, **{name.replace("__", "/"): value for name, value in tags.items()}},
        )


@pytest.mark.usefixtures("no_wal")
def test_a_fresh_installation_fills_every_open_slot_by_one_dump(start: Started, folder: Path) -> None:
    daemon = start((Path(records.__file__).parents[1] / "core" / "policy.toml").read_text())
    assert daemon.tick() == []  # the schedules may be about to
    daemon.clock.pass_by(seconds=90)
    first = daemon.tick()
    assert ids(first) == ["daily-2026-02-03-020000", "hourly-2026-02-03-150000"]
    assert daemon.launch(first) == [True, True]
    rest = daemon.tick()
    assert sorted(ids(rest)) == [
        "monthly-2026-02-01-020000",
        "quarterly-2026-01-01-020000",
        "weekly-2026-02-01-020000",
    ]
    assert daemon.launch(rest) == [True] * 3
    assert daemon.asked() == []
    found = lines(folder)
    assert [backup_id for backup_id, line in found.items() if line["egress_bytes"]] == ["daily-2026-02-03-020000"]
    assert all(line["recovery_tested"] for line in found.values())


@pytest.mark.parametrize(
    ("at", "missing"),
    [
        ("dumping", None),
        ("reading back", _AFTER_DUMP),
        ("archiving", ["s3_archive", "restored_copy"]),
        ("restoring from S3", ["restored_copy"]),
    ],
)
def test_a_run_that_is_killed_at_any_stage_is_finished_by_what_it_lacks(
    daemon: Daemon, folder: Path, at: str, missing: list[str] | None
) -> None:
    (first,) = daemon.asked()
    daemon.killed(first, at=at)
    assert daemon.tick() == []  # its process is gone: it is ended as failed, and waited a little
    daemon.clock.pass_by(minutes=5)
    (again,) = daemon.tick()
    assert (steps(again), again.tags["desbuquei/attempt"]) == (missing, "2")
    assert daemon.launch([again]) == [True]
    assert lines(folder)[_DAILY.backup_id]["recovery_tested"]
    assert daemon.tick() == []


def test_after_hours_without_s3_the_archive_is_made_up_for_and_nothing_is_dumped_again(
    daemon: Daemon, environment: pytest.MonkeyPatch, endpoints: Endpoints, folder: Path, told: Callable[[], object]
) -> None:
    environment.setenv("AWS_ENDPOINT_URL_S3", _NOBODY_LISTENS)
    assert not daemon.scheduled(_DAILY)
    pauses = []
    for _ in range(3):
        begun = daemon.clock()
        while not (requests := daemon.tick()):
            daemon.clock.pass_by(minutes=1)
        pauses.append(round((daemon.clock() - begun).total_seconds() / 60))
        assert [steps(each) for each in requests] == [["s3_archive", "restored_copy"]]
        assert daemon.launch(requests) == [False]
    assert pauses == [5, 10, 20]
    assert told() == {}
    environment.setenv("AWS_ENDPOINT_URL_S3", endpoints.aws["AWS_ENDPOINT_URL_S3"])
    daemon.clock.pass_by(days=1)  # the slot is closed; what was dumped is still there
    requests = daemon.asked()
    assert ids(requests) == ["daily-2026-02-04-020000", _DAILY.backup_id]  # the dump, which will not wait, before it
    assert daemon.launch(requests[1:2]) == [True]
    assert lines(folder)[_DAILY.backup_id]["recovery_tested"]


def test_after_hours_without_the_database_the_slot_is_filled_while_it_is_open(
    daemon: Daemon, environment: pytest.MonkeyPatch, sample_url: str, folder: Path
) -> None:
    environment.setenv(DATABASE_URL, "postgresql://postgres@127.0.0.1:9/x")
    assert not daemon.scheduled(_DAILY)
    daemon.clock.pass_by(hours=4)
    assert daemon.launch(daemon.tick()) == [False]
    environment.setenv(DATABASE_URL, sample_url)
    daemon.clock.pass_by(hours=4)
    (request,) = daemon.tick()
    assert request.tags["desbuquei/attempt"] == "3"
    assert daemon.launch([request]) == [True]
    assert lines(folder)[_DAILY.backup_id]["status"] == "success"


def test_what_only_a_person_mends_calls_one_at_once_and_is_not_tried_again(
    daemon: Daemon, environment: pytest.MonkeyPatch, sample_url: str, told: Callable[[], dict[str, str]], start: Started
) -> None:
    environment.setenv(DATABASE_URL, sample_url.replace("postgres:", "postgres:not-", 1))
    assert not daemon.scheduled(_DAILY)
    daemon.tick()
    (found,) = conditions(resources.Backups().at_rest("desbuquei"))
    assert (found.name, found.severity) == (f"slot_unfinished/{_DAILY.backup_id}", Severity.CRITICAL)
    assert "failed for good" in found.tried
    assert found.command == "desbuquei backup daily --slot 2026-02-03-020000"
    assert "not-" not in str(found)
    daemon.clock.pass_by(hours=9)
    assert daemon.tick() == []

    environment.setenv(DATABASE_URL, sample_url)
    restarted = start(loaded=daemon.clock())
    (again,) = restarted.tick()
    assert restarted.launch([again]) == [True]
    assert restarted.tick() == []
    assert told() == {}


@pytest.mark.parametrize("of_another_run", [FAILED_FOR_GOOD, STOPPED])
def test_a_run_that_repeats_one_of_before_is_judged_by_what_it_did_itself(daemon: Daemon, of_another_run: str) -> None:
    """Dagster's pages give it the tags of the one that a person executes again."""
    first = ended(daemon, _DAILY, dg.DagsterRunStatus.FAILURE)
    daemon.instance.add_run_tags(first.run_id, {of_another_run: mark("SourceRefused", first.run_id)})
    assert daemon.asked() == []
    with freeze_time(daemon.clock()):
        tags = dict(daemon.instance.get_runs()[0].tags)
        create_run_for_test(daemon.instance, "desbuquei_daily", status=dg.DagsterRunStatus.FAILURE, tags=tags)
    daemon.clock.pass_by(minutes=6)
    assert ids(daemon.tick()) == [_DAILY.backup_id]


def test_what_dagster_tries_again_by_itself_is_one_attempt(daemon: Daemon) -> None:
    retried = {"dagster__auto_retry_run_id": "of the next one", "dagster__will_retry": "true"}
    ended(daemon, _DAILY, dg.DagsterRunStatus.FAILURE)
    for tags in (retried, retried, {}):
        ended(daemon, _DAILY, dg.DagsterRunStatus.FAILURE, **{ATTEMPT: "2"}, **tags)
    daemon.clock.pass_by(minutes=11)
    (again,) = daemon.tick()
    assert again.tags[ATTEMPT] == "3"


def test_a_run_that_a_person_stopped_is_not_begun_again(daemon: Daemon, told: Callable[[], dict[str, str]]) -> None:
    ended(daemon, _DAILY, dg.DagsterRunStatus.CANCELED)
    assert daemon.asked() == []
    assert "stopped by a person" in told()[f"slot_unfinished/{_DAILY.backup_id}"]


@pytest.mark.parametrize(
    ("how", "tags"),
    [
        (dg.DagsterRunStatus.STARTING, {}),
        (dg.DagsterRunStatus.STARTED, {}),
        (dg.DagsterRunStatus.STARTED, {"desbuquei__operator": "Maria"}),
        (dg.DagsterRunStatus.CANCELING, {}),
    ],
)
def test_a_slot_that_somebody_is_at_is_left_alone(
    daemon: Daemon, how: dg.DagsterRunStatus, tags: dict[str, str]
) -> None:
    ended(daemon, _DAILY, how, **tags)
    assert daemon.asked() == []


def test_a_slot_that_a_backfill_is_at_is_left_alone(daemon: Daemon) -> None:
    with freeze_time(daemon.clock()):
        create_run_for_test(
            daemon.instance,
            "__ASSET_JOB",
            status=dg.DagsterRunStatus.STARTING,
            tags={"dagster/partition": _DAILY.key, "dagster/backfill": "abcdefgh"},
            asset_selection=frozenset({dg.AssetKey(["desbuquei", "daily", "dump"])}),
        )
    assert daemon.asked() == []


def test_another_databases_run_of_the_same_hour_is_none_of_this_one(daemon: Daemon) -> None:
    create_run_for_test(
        daemon.instance, "other_daily", status=dg.DagsterRunStatus.STARTED, tags={"dagster/partition": _DAILY.key}
    )
    assert ids(daemon.asked()) == [_DAILY.backup_id]


def test_while_a_command_holds_the_databases_lock_nothing_is_begun(daemon: Daemon) -> None:
    site = resources.Backups().at_rest("desbuquei")
    with site.locked(_DAILY.backup_id, "dump"):
        assert daemon.asked() == []
        assert "lock is held" in daemon.said[-1]
    assert ids(daemon.tick()) == [_DAILY.backup_id]


def test_a_slots_run_that_goes_on_when_the_next_falls_due_holds_up_no_other(daemon: Daemon, folder: Path) -> None:
    run_id = ended(daemon, _DAILY, dg.DagsterRunStatus.STARTED).run_id
    daemon.instance.add_run_tags(run_id, {TAG: mark(this_process(), run_id)})
    daemon.clock.now = datetime(2026, 2, 4, 2, 1, tzinfo=UTC)
    assert ids(daemon.asked()) == ["daily-2026-02-04-020000"]
    assert lines(folder) == {}  # it may still be filled


def test_two_daemons_at_once_start_one_run(daemon: Daemon, start: Started) -> None:
    other = start()
    daemon.tick(), other.tick()
    daemon.clock.pass_by(seconds=90)
    mine, theirs = daemon.tick(), other.tick()
    assert [each.run_key for each in mine] == [each.run_key for each in theirs]
    assert daemon.launch(mine) == [True]
    assert other.launch(theirs) == []
    assert len(daemon.instance.get_runs()) == 1


def test_a_machine_that_was_off_for_a_day_fills_what_is_open_and_says_what_was_missed(
    daemon: Daemon, folder: Path, told: Callable[[], dict[str, str]]
) -> None:
    assert daemon.launch(daemon.asked()) == [True]
    daemon.clock.now = datetime(2026, 2, 5, 8, tzinfo=UTC)
    requests = daemon.asked()
    assert ids(requests) == ["daily-2026-02-05-020000"]
    assert lines(folder)["daily-2026-02-04-020000"]["status"] == "missed"
    assert list(told()) == ["slot_missed/daily-2026-02-04-020000"]
    before = (folder / records.FILE).read_bytes()
    daemon.tick()
    assert (folder / records.FILE).read_bytes() == before
    site = resources.Backups().at_rest("desbuquei")
    assert conditions(site)[0].severity is Severity.CRITICAL
    assert daemon.launch(requests[:1]) == [True]
    (missed,) = conditions(site)
    assert (missed.severity, missed.command) == (Severity.WARNING, "desbuquei status")
    assert status(site).tiers[0].missed == ["2026-02-04-020000"]
    daemon.clock.pass_by(days=1)
    assert told() == {}


def test_what_s3_holds_was_not_missed_though_the_records_are_lost(daemon: Daemon, folder: Path) -> None:
    assert daemon.launch(daemon.asked()) == [True]
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()
    daemon.clock.pass_by(days=1)
    daemon.tick()
    assert lines(folder) == {}


def test_while_s3_cannot_tell_nothing_is_called_missed_and_it_is_asked_rarely(
    daemon: Daemon, environment: pytest.MonkeyPatch, endpoints: Endpoints, folder: Path
) -> None:
    daemon.clock.pass_by(days=1)
    environment.setenv("AWS_MAX_ATTEMPTS", "6")
    with FaultyStore(endpoints.aws["AWS_ENDPOINT_URL_S3"]) as store:
        environment.setenv("AWS_ENDPOINT_URL_S3", store.url)
        store.fail(times=1)  # who asked six times would hold up the tick, and what it asks for would be lost with it
        daemon.tick()
    assert "cannot be told" in daemon.said[-1]
    environment.setenv("AWS_ENDPOINT_URL_S3", endpoints.aws["AWS_ENDPOINT_URL_S3"])
    daemon.tick()
    assert lines(folder) == {}
    daemon.clock.pass_by(minutes=15)
    daemon.tick()
    assert lines(folder)[_DAILY.backup_id]["status"] == "missed"


def test_a_clock_that_went_back_opens_no_slot_again_and_loses_none(daemon: Daemon, folder: Path) -> None:
    assert daemon.launch(daemon.asked()) == [True]
    daemon.clock.now = datetime(2026, 2, 4, 2, 30, tzinfo=UTC)
    assert daemon.launch(daemon.asked()) == [True]
    before = set(lines(folder))
    daemon.clock.pass_by(hours=-1)
    assert daemon.asked() == []
    assert set(lines(folder)) == before == {_DAILY.backup_id, "daily-2026-02-04-020000"}


def test_where_nothing_can_be_written_down_what_makes_room_is_asked_for_all_the_same(
    daemon: Daemon, folder: Path
) -> None:
    (folder / ".unfinished.json").mkdir()  # no file can take its place
    ended(daemon, _DAILY, dg.DagsterRunStatus.CANCELED)
    daemon.clock.now = datetime(2026, 2, 3, 15, 21, tzinfo=UTC)
    daemon.tick()
    daemon.clock.now = datetime(2026, 2, 4, 5, 1, tzinfo=UTC)
    assert "desbuquei_retention" in [each.job_name for each in daemon.asked()]


def test_a_tick_that_raises_loses_nothing(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon.tick()
    daemon.clock.pass_by(seconds=90)
    left = daemon.cursor
    with monkeypatch.context() as patched:
        patched.setenv("DESBUQUEI_POLICY", "/nowhere/policy.toml")
        with pytest.raises(Exception, match="cannot be read"):
            daemon.tick()
    assert daemon.cursor == left
    assert ids(daemon.tick()) == [_DAILY.backup_id]


def test_with_dagsters_storage_lost_what_is_done_is_known_by_what_is_there(
    daemon: Daemon, start: Started, environment: pytest.MonkeyPatch, folder: Path
) -> None:
    (request,) = daemon.asked()
    assert daemon.launch([request]) == [True]
    with dg.DagsterInstance.ephemeral() as empty:
        anew = start(instance=empty)
        assert anew.asked() == []
        records.change(resources.Backups().at_rest("desbuquei"), _DAILY.backup_id, recovery_tested=False)
        (again,) = anew.asked()
        assert steps(again) == ["restored_copy"]
        assert anew.launch([again]) == [True]
        assert anew.asked() == []


def test_a_slot_that_a_changed_policy_knows_no_more_is_not_asked_for(
    daemon: Daemon, environment: pytest.MonkeyPatch, start: Started, folder: Path
) -> None:
    environment.setenv("AWS_ENDPOINT_URL_S3", _NOBODY_LISTENS)
    assert not daemon.scheduled(_DAILY)
    changed = _SMALL.replace('"0 2 * * *"', '"0 3 * * *"')
    after = start(changed)
    assert ids(after.asked()) == ["daily-2026-02-03-030000"]
    # However many there are, they keep none that can be finished from being looked at.
    environment.setattr(rerun_slots, "_MOST_LOOKED_AT", 1)
    (folder / ".daily-2026-02-03-030000.draft.json").touch()
    (request,) = after.tick()
    assert steps(request) == _AFTER_DUMP
    (folder / ".daily-2026-02-03-030000.draft.json").unlink()
    (orphan,) = conditions(resources.Backups().at_rest("desbuquei"))
    assert orphan.name == f"slot_unfinished/{_DAILY.backup_id}"
    # What Dagster has not loaded yet it could not run.
    assert daemon.asked() == []
    assert "Dagster has not loaded it yet" in daemon.said[-1]


def test_a_backup_that_somebody_asked_for_is_finished_too(
    start: Started, environment: pytest.MonkeyPatch, endpoints: Endpoints, folder: Path
) -> None:
    daemon = start(_SMALL + _MANUAL)
    assert daemon.launch(daemon.asked()) == [True]
    slot = Slot("manual", daemon.clock().replace(microsecond=0))
    daemon.instance.add_dynamic_partitions("desbuquei_manual", [slot.key])
    environment.setenv("AWS_ENDPOINT_URL_S3", _NOBODY_LISTENS)
    with freeze_time(daemon.clock()):
        job = daemon.definitions.resolve_job_def("desbuquei_manual")
        asked = {"config": {"operator": "Maria", "reason": "before the migration"}}
        done = job.execute_in_process(
            partition_key=slot.key,
            instance=daemon.instance,
            raise_on_error=False,
            run_config={"ops": {"desbuquei__manual__dump": asked}},
        )
    assert not done.success
    environment.setenv("AWS_ENDPOINT_URL_S3", endpoints.aws["AWS_ENDPOINT_URL_S3"])
    daemon.clock.pass_by(minutes=5)
    (request,) = daemon.tick()
    assert (ids([request]), steps(request)) == ([slot.backup_id], ["s3_archive", "restored_copy"])
    assert daemon.launch([request]) == [True]
    assert lines(folder)[slot.backup_id]["reason"] == "before the migration"


def test_upkeep_that_was_not_done_when_it_was_due_is_asked_for_again(
    daemon: Daemon, told: Callable[[], dict[str, str]]
) -> None:
    assert daemon.launch(daemon.asked()) == [True]
    daemon.clock.now = datetime(2026, 2, 4, 5, 1, tzinfo=UTC)
    requests = [each for each in daemon.asked() if each.partition_key is None]
    assert [each.job_name for each in requests] == ["desbuquei_retention", "desbuquei_evidence"]
    # By the store's clock this machine's is months behind: nothing is pruned, and nothing but a person mends that.
    assert daemon.launch(requests) == [False, True]
    assert [each for each in daemon.asked() if each.partition_key is None] == []
    assert "failed for good" in told()["upkeep_unfinished/retention"]
