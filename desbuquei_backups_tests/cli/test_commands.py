"""Commands as a shell sees them: exit status, one JSON document on stdout, 80 columns."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from subprocess import CompletedProcess

import psycopg
import pytest

from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.tiers import load_policy
from desbuquei_backups.operations import records
from desbuquei_backups.operations.archive import archive
from desbuquei_backups.operations.asked import Asked
from desbuquei_backups.operations.dump import take_dump
from desbuquei_backups.operations.restored_copy import prove
from desbuquei_backups.operations.seal import seal
from desbuquei_backups.operations.second_place import archive_in_second_place
from desbuquei_backups.operations.settings import DATABASE_URL, RESTORE_URL, S3_URL
from desbuquei_backups_tests.frozen import FrozenStore
from desbuquei_backups_tests.keys import new_key
from desbuquei_backups_tests.left_behind import clearing
from desbuquei_backups_tests.policies import due_together, with_crons, written

Run = Callable[..., CompletedProcess[str]]
_HEAVY = "dagster", "pandas", "great_expectations", "apprise", "prometheus_client"


@pytest.fixture
def run(site, endpoints, tmp_path) -> Run:
    """Runs `desbuquei` with the site's settings; `environment` changes single variables (None: unset)."""

    def desbuquei(*arguments: str, **environment: str | None) -> CompletedProcess[str]:
        given = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "DESBUQUEI_BACKUP_DIR": str(site.settings.folder),
            "COLUMNS": "80",
            **{name: site.settings.url(name) for name in (DATABASE_URL, RESTORE_URL, S3_URL)},
            **endpoints.aws,
            **environment,
        }
        program = "import sys; from desbuquei_backups.cli.main import main; sys.exit(main())"
        return subprocess.run(
            [sys.executable, "-c", program, *arguments],
            env={name: value for name, value in given.items() if value is not None},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return desbuquei


@pytest.fixture
def archived(site, source, slot) -> str:
    """The id of an archived backup of one table with three rows."""
    source.execute("create table pedidos as select i from generate_series(1, 3) i")
    take_dump(site, slot)
    seal(site, slot)
    archive(site, slot)
    return slot.backup_id


def narrow(text: str) -> bool:
    return all(len(line) <= 80 for line in text.splitlines())


def test_list_shows_what_is_here_and_what_the_bucket_alone_knows(run, archived, tmp_path):
    here = run("list")
    assert here.returncode == 0
    assert archived in here.stdout
    assert narrow(here.stdout)
    there = run("list", "--remote", "--json", DESBUQUEI_BACKUP_DIR=str(tmp_path / "lost"), DESBUQUEI_DATABASE_URL=None)
    assert [each["backup_id"] for each in json.loads(there.stdout)["backups"]] == [archived]


@pytest.fixture
def recorded(site) -> list[str]:
    """The ids, newest first, of five backups that only their records know of: one of a tier that the policy lost."""
    ids = ["yearly-2026-01-01-020000", *(f"daily-2026-02-0{day}-020000" for day in range(1, 5))]
    site.settings.folder.mkdir()
    lines = ({"backup_id": each, "status": "success", "s3_uri": "s3://b/k"} for each in ids)
    (site.settings.folder / "backup-metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return ids[::-1]


def test_list_says_how_many_older_ones_it_does_not_show(run, recorded):
    done = run("list", "--limit", "2")
    _, *shown, more = done.stdout.splitlines()
    assert [line.split()[0] for line in shown] == recorded[:2]
    assert more == "… and 3 older: --limit 0 shows all"
    assert len(run("list", "--limit", "0").stdout.splitlines()) == 6
    found = json.loads(run("list", "--json", "--limit", "1").stdout)
    assert (found["total"], [each["backup_id"] for each in found["backups"]]) == (5, recorded[:1])


def test_list_for_a_script_has_all_of_them(run, recorded):
    found = json.loads(run("list", "--json").stdout)
    assert (found["total"], [each["backup_id"] for each in found["backups"]]) == (5, recorded)
    assert {"copy_of", "same_as", "operator", "reason", "archived"} <= set(found["backups"][0])


def test_list_shows_a_tier_that_the_policy_lost_and_refuses_one_that_never_was(run, recorded):
    found = json.loads(run("list", "--tier", "yearly", "--json").stdout)
    assert [each["backup_id"] for each in found["backups"]] == recorded[-1:]
    assert run("list", "--tier", "monthly").stdout == "No backups here. --remote asks the bucket instead.\n"
    assert run("list", "--tier", "monthy").returncode == 2


def test_status_keeps_to_the_width_of_a_terminal(run, recorded):
    answer, *table = run("status").stdout.splitlines()
    assert answer.startswith(("AT RISK", "NOT SAFE"))
    assert [line.split()[0] for line in table[1:7]] == ["hourly", "daily", "weekly", "monthly", "quarterly", "manual"]
    assert max(map(len, table[:7])) <= 80
    assert "when asked" in table[6]


def test_status_fails_a_script_when_the_newest_backup_is_old(run, archived):
    done = run("status")
    assert done.returncode == 1
    assert done.stdout.startswith("NOT SAFE: ")
    tiers = {tier["tier"]: tier for tier in json.loads(run("status", "--json").stdout)["tiers"]}
    assert tiers["daily"]["last_good"] == archived
    assert tiers["manual"]["next_due"] is None


def test_verify_fails_a_script_when_a_byte_is_other(run, archived, site):
    assert run("verify", archived).returncode == 0
    path = site.settings.folder / f"{archived}.sql.gz"
    path.write_bytes(path.read_bytes() + b"x")
    done = run("verify", "--all", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["whole"] is False
    assert "--from s3" in run("verify", "--latest", "daily").stdout
    assert run("verify", "--all", "--remote").returncode == 0


def test_verify_of_nothing_in_particular_is_a_usage_error(run):
    assert run("verify").returncode == 2


def test_prune_says_why_each_backup_is_kept_and_what_went(run, archived, site, bucket):
    plan = run("prune", "--dry-run")
    assert plan.returncode == 0
    # The clock of the test's backup is not this machine's: it is old, and the only one, so that nothing of it goes.
    assert [line.split()[:3] for line in plan.stdout.splitlines()[:2]] == [
        [archived, "disk", "kept"],
        [archived, "s3", "kept"],
    ]
    assert narrow(plan.stdout)
    document = json.loads(run("prune", "--dry-run", "--json").stdout)
    assert {(each["place"], each["verdict"]) for each in document["backups"]} == {("disk", "kept"), ("s3", "kept")}
    assert all(each["reason"] for each in document["backups"])
    assert (site.settings.folder / f"{archived}.sql.gz").exists()


def test_what_is_not_frozen_needs_no_thawing(run, archived):
    done = run("thaw", archived)
    assert (done.returncode, "is in STANDARD: it can be read as it is" in done.stdout) == (0, True)


def test_status_and_doctor_say_what_s3_costs(run, archived):
    assert "S3: at most USD 0.00 a month" in run("status").stdout
    costs = json.loads(run("status", "--json").stdout)["monthly_costs"]
    assert [each["kept"] for each in costs if each["tier"] == "quarterly"] == [28]
    found = [each for each in json.loads(run("doctor", "--json").stdout)["findings"] if each["area"] == "costs"]
    assert [each["name"] for each in found] == ["hourly", "daily", "weekly", "monthly", "quarterly"]


def test_a_backup_is_held_and_released_by_its_id(run, archived, bucket):
    held = run("hold", archived, "--reason", "processo 123", "--operator", "ana")
    assert held.returncode == 0
    assert f"{archived} is held: processo 123 (ana)" in held.stdout
    (reason,) = [
        each["reason"]
        for each in json.loads(run("prune", "--dry-run", "--json").stdout)["backups"]
        if each["place"] == "s3"
    ]
    assert reason == "held by ana: processo 123"
    assert run("release", archived).returncode == 0
    again = run("release", archived)
    assert (again.returncode, "it is not held" in again.stderr) == (1, True)


def test_what_is_in_the_second_place_is_listed_verified_and_restored(run, archived, site, bucket_url, target, slot):
    second = {"DESBUQUEI_SECOND_S3_URL": f"{bucket_url}-second"}
    nothing = run("list", "--second")
    assert (nothing.returncode, "DESBUQUEI_SECOND_S3_URL is not set" in nothing.stderr) == (2, True)
    settings = replace(site.settings, urls={**site.settings.urls, **second})
    archive_in_second_place(replace(site, settings=settings), slot)
    assert archived in run("list", "--second", **second).stdout
    assert run("verify", archived, "--second", **second).returncode == 0
    into = run("restore", archived, "--into", target, "--from", "second", **second)
    assert into.returncode == 0, into.stderr
    assert run("prune", "--second", "--dry-run", **second).returncode == 0


def test_restore_keeps_the_password_out_of_sight(run, archived, target):
    done = run("restore", archived, "--into", "env:RESTORE_INTO", "--json", RESTORE_INTO=target)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verdict"] == "matches"
    with psycopg.connect(target) as connection:
        assert connection.execute("select count(*) from pedidos").fetchone() == (3,)
    refused = run("restore", archived, "--into", target)
    assert refused.returncode == 1
    assert "public.pedidos" in refused.stderr
    assert "visible in the process list" in refused.stderr
    password = psycopg.conninfo.conninfo_to_dict(target)["password"]
    assert password not in done.stdout + done.stderr + refused.stdout + refused.stderr


def test_restore_takes_the_password_from_the_environment(run, archived, target):
    parameters = psycopg.conninfo.conninfo_to_dict(target)
    password = parameters.pop("password")
    bare = psycopg.conninfo.make_conninfo(**parameters)
    done = run("restore", archived, "--into", bare, PGPASSWORD=password)
    assert done.returncode == 0, done.stderr
    assert "visible" not in done.stderr


def test_restore_into_a_variable_that_is_not_set_is_a_configuration_error(run, archived):
    done = run("restore", archived, "--into", "env:NO_SUCH_VARIABLE")
    assert done.returncode == 2
    assert "NO_SUCH_VARIABLE" in done.stderr


def test_a_manual_backup_without_a_reason_is_a_usage_error_that_says_what_to_write(run, site):
    for arguments in ([], ["--reason", "  "], ["--operator", "ana"]):
        done = run("backup", "manual", *arguments)
        assert done.returncode == 2
        assert "a manual backup needs a reason" in done.stderr
        assert "desbuquei backup manual --reason TEXT" in done.stderr
        assert narrow(done.stderr)
    assert not site.settings.folder.exists()


def test_list_says_who_asked_for_a_manual_backup_and_why(run, site, clock):
    reason = "before the migration of the orders, which nobody could undo; ticket 4711 asks for it"
    slot = Slot("manual", clock.now)
    take_dump(site, slot, asked=Asked("ana", reason))
    seal(site, slot)
    archive(site, slot)
    done = run("list")
    assert slot.backup_id in done.stdout
    assert f"ana: {reason}" in " ".join(done.stdout.split())
    assert narrow(done.stdout)
    for place in ([], ["--remote"]):
        (found,) = json.loads(run("list", "--json", *place).stdout)["backups"]
        assert (found["backup_id"], found["operator"], found["reason"]) == (slot.backup_id, "ana", reason)


@pytest.fixture
def dagster_home(tmp_path) -> str:
    path = tmp_path / "dagster"
    path.mkdir()
    (path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    return str(path)


def test_a_closed_slot_is_finished_after_an_outage_of_s3_and_an_empty_one_is_refused(
    run, site, source, slot, make_site, source_url, dagster_home, scratch
):
    source.execute("create table pedidos as select i from generate_series(1, 3) i")
    take_dump(site, slot)
    seal(site, slot)
    with pytest.raises(BackupError):
        archive(make_site(source_url, aws={"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}), slot)
    (site.settings.folder / "protected-since").write_text("2026-02-01T00:00:00+00:00\n")

    with clearing(scratch):
        finished = run("backup", "daily", "--slot", slot.key, "--keep", DAGSTER_HOME=dagster_home)
        assert finished.returncode == 0, finished.stdout + finished.stderr
        drop = finished.stdout.splitlines()[-1].strip()
        assert drop.startswith('DROP DATABASE "desbuquei_kept_daily_2026_02_02_020000_')
        scratch.execute(drop)
    assert f"{slot.backup_id}: done, and proven but for what is named below" in finished.stdout
    assert "not applicable: the slot was sealed without one" in finished.stdout
    assert "(was there; verified again)" in " ".join(finished.stdout.split())
    assert narrow(finished.stdout.partition("files:")[0])  # paths are not broken
    (line,) = list(records.lines(site.settings.folder))
    assert (line["status"], line["recovery_tested"], bool(line["s3_uri"])) == ("success", True, True)

    refused = run("backup", "daily", "--slot", "2026-02-03-020000", DAGSTER_HOME=dagster_home)
    assert refused.returncode == 1
    assert "this recovery point was missed" in refused.stdout
    assert "fill the slot that is open now" in refused.stdout
    assert not list(site.settings.folder.glob("daily-2026-02-03*"))


@pytest.fixture
def quarterly(site, source, endpoints, bucket) -> Iterator[tuple[str, FrozenStore]]:
    """The id of an archived quarterly, in a class that must be thawed, and a store that refuses to read it."""
    source.execute("create table pedidos as select i from generate_series(1, 3) i")
    slot = Slot.of_id("quarterly-2026-01-01-020000")
    take_dump(site, slot)
    seal(site, slot)
    archive(site, slot)
    with FrozenStore(endpoints.aws["AWS_ENDPOINT_URL_S3"], bucket) as store:
        yield slot.backup_id, store


def test_verify_says_of_what_is_frozen_that_it_was_not_read(run, quarterly):
    backup_id, store = quarterly
    done = run("verify", "--latest", "quarterly", "--remote", AWS_ENDPOINT_URL_S3=store.url)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {line.split()[0]: line.rstrip() for line in done.stdout.splitlines() if line.startswith(backup_id)}
    assert rows[f"{backup_id}.sql.gz"].endswith("not read")
    assert rows[f"{backup_id}.globals.sql.gz"].endswith("whole")
    assert "DEEP_ARCHIVE" in done.stdout
    found = run("verify", backup_id, "--remote", "--json", AWS_ENDPOINT_URL_S3=store.url)
    assert [file["name"] for file in json.loads(found.stdout)["backups"][0]["files"] if file["unread"]] == [
        f"{backup_id}.sql.gz"
    ]
    assert store.refused == []
    assert narrow(done.stdout)


def test_restore_of_what_is_frozen_is_refused_with_what_to_do(run, quarterly, target, scratch):
    backup_id, store = quarterly
    done = run("restore", backup_id, "--into", "env:INTO", INTO=target, AWS_ENDPOINT_URL_S3=store.url)
    assert done.returncode == 1
    assert "DEEP_ARCHIVE" in done.stderr
    assert "What to do: " in done.stderr
    assert "thaw" in done.stderr
    name = psycopg.conninfo.conninfo_to_dict(target)["dbname"]
    assert scratch.execute("select from pg_database where datname = %s", [name]).fetchone() is None
    # What is still on disk needs no thaw.
    here = run("restore", backup_id, "--from", "disk", "--into", "env:INTO", INTO=target)
    assert here.returncode == 0, here.stdout + here.stderr


@pytest.mark.usefixtures("no_wal")
def test_status_answers_in_its_first_line_for_all_tiers(run, site, source, clock, tmp_path):
    now = datetime.now(UTC)
    hour = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
    path = written(tmp_path, with_crons(due_together(hour)))
    clock.now = now
    together = replace(site, settings=replace(site.settings, policy=load_policy(path)))
    tiers = list(together.policy.scheduled)
    for tier in tiers:
        take_dump(together, Slot(tier, hour))
        seal(together, Slot(tier, hour))
        archive(together, Slot(tier, hour))
    for tier in tiers:
        prove(together, Slot(tier, hour))
    done = run("status", DESBUQUEI_POLICY=str(path))
    answer, *table = done.stdout.splitlines()
    assert answer.startswith(("SAFE: ", "AT RISK: the disk of "))
    assert done.returncode == int(not answer.startswith("SAFE"))
    for tier, line in zip(tiers, table[1:6], strict=True):
        assert line.split()[:2] == [tier, f"{now:%Y-%m-%d}"]
        assert " yes " in line
    assert narrow("\n".join(table))

    # Of the tiers that lack theirs, the one that is due most often is named.
    for tier in ("weekly", "hourly"):
        for key in list(together.bucket.keys(f"{tier}/")):
            together.bucket.delete(key)
    worse = run("status", DESBUQUEI_POLICY=str(path))
    assert worse.returncode == 1
    assert worse.stdout.startswith(f"AT RISK: the hourly due at {hour:%Y-%m-%d %H:%M} UTC ")


def test_doctor_tells_a_missing_setting_from_a_failure(run, dagster_home):
    assert run("doctor", "--read-only", DESBUQUEI_DATABASE_URL=None).returncode == 2
    assert run("doctor", "--read-only", DESBUQUEI_DATABASE_URL="postgresql://x@127.0.0.1:1/x").returncode == 1
    done = run("doctor", "--json", DAGSTER_HOME=dagster_home)
    assert done.returncode == 0, done.stdout
    assert {each["outcome"] for each in json.loads(done.stdout)["findings"]} >= {"ok"}
    assert narrow(run("doctor").stdout)


def test_a_bad_policy_is_a_finding_of_doctor(run, tmp_path):
    (tmp_path / "policy.toml").write_text("database = 7")
    done = run("doctor", "--json", DESBUQUEI_POLICY=str(tmp_path / "policy.toml"))
    assert done.returncode == 2
    (policy,) = json.loads(done.stdout)["findings"]
    assert policy["name"] == "policy"


def test_a_command_starts_without_what_it_does_not_use():
    """All commands, and their help: what they work with is imported when they work."""
    program = (
        "import sys; from desbuquei_backups.cli.manual import written; written(); "
        "print([name for name in sys.argv[1:] if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program, *_HEAVY], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("tier", "key", "said"),
    [
        ("weekly", "2026-02-02-020000", "is not due at"),
        ("daily", "2019-02-02-020000", "was not protected yet"),
        ("daily", "last tuesday", "is not a slot"),
    ],
)
def test_a_slot_that_cannot_be_is_refused_before_anything_is_recorded(run, site, tier: str, key: str, said: str):
    refused = run("backup", tier, "--slot", key)
    assert refused.returncode in (1, 2)
    assert said in refused.stderr
    assert "What to do" in refused.stderr
    assert list(records.lines(site.settings.folder)) == []


def test_an_encrypted_backup_is_proven_and_restored_with_an_identity_alone(run, site, slot, source, target, tmp_path):
    source.execute("create table pedidos as select i from generate_series(1, 3) i")
    ours = new_key(tmp_path)
    sealed = replace(site, settings=replace(site.settings, age_recipients=(ours.recipient,)))
    take_dump(sealed, slot), seal(sealed, slot), archive(sealed, slot)
    backup_id = slot.backup_id
    alone = {"DESBUQUEI_DATABASE_URL": None, "DESBUQUEI_BACKUP_DIR": str(tmp_path / "elsewhere")}
    refused = run("prove", backup_id, **alone)
    assert refused.returncode == 1
    assert "--identity" in refused.stderr
    proven = run("prove", backup_id, "--identity", str(ours.file), **alone)
    assert (proven.returncode, narrow(proven.stdout)) == (0, True)
    assert "matches" in proven.stdout
    assert json.loads(run("prove", backup_id, "--json", DESBUQUEI_AGE_IDENTITY=str(ours.file), **alone).stdout)[
        "schema"
    ]
    restored = run("restore", backup_id, "--into", target, "--identity", str(ours.file), **alone)
    assert restored.returncode == 0, restored.stderr
    assert json.loads(run("verify", backup_id, "--json").stdout)["backups"][0]["files"][0]["unopened"]


def test_recover_refuses_a_target_without_a_zone_before_anything_else(run, tmp_path) -> None:
    done = run("recover", "--to", "2026-02-02T12:00:00", "--data-dir", str(tmp_path / "new"), "--json")
    assert done.returncode == 2
    error = json.loads(done.stdout)
    assert "has no zone" in error["what"]
    assert "+00:00" in error["remedy"]
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("command", ["recover", "drill"])
def test_without_a_base_backup_recover_and_drill_say_what_is_left(run, tmp_path, command: str) -> None:
    arguments = ["--to", "latest", "--data-dir", str(tmp_path / "new")] if command == "recover" else []
    done = run(command, *arguments)
    assert done.returncode == 1
    assert "there is no base backup" in done.stderr
    assert "desbuquei restore" in done.stderr
    assert not (tmp_path / "new").exists()
