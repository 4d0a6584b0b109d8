"""A policy that is read wrong keeps too little, for too short a time, in the wrong place."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from desbuquei_backups.core.errors import ConfigurationError
from desbuquei_backups.core.periods import Period, Unit, in_words
from desbuquei_backups.core.tiers import LockMode, StorageClass, Takes, load_policy
from desbuquei_backups_tests.policies import PACKAGED

GOOD = """\
database = "vendas"
recovery_point_objective = "1 hour"
recovery_time_objective = "15 minutes"
lock_timeout = "30 minutes"

[tiers.daily]
cron = "30 4 * * *"
kept_on_disk = "2 days"
kept_in_s3 = "7 years"
never_fewer_than = 0
storage_class = "GLACIER_IR"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "policy.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_chain_of_evidence_is_kept_seven_years_whatever_a_policy_leaves_out(tmp_path: Path) -> None:
    for text in (PACKAGED, GOOD, f'{GOOD}\n[evidence]\nanchor_command = ["mail", "ana@example.com"]\n'):
        evidence = load_policy(written(tmp_path, text)).evidence
        assert (str(evidence.kept_in_s3), evidence.object_lock) == ("7 years", LockMode.GOVERNANCE)
    assert evidence.anchor_command == ("mail", "ana@example.com")
    for wrong, said in (("[]", "anchor_command"), ('"mail"', "anchor_command"), ('[""]', "anchor_command")):
        with pytest.raises(ConfigurationError, match=rf"line 14, evidence\.{said}"):
            load_policy(written(tmp_path, f"{GOOD}\n[evidence]\nanchor_command = {wrong}\n"))


def test_the_packaged_policy_says_what_the_contract_promises_of_dailies() -> None:
    daily = load_policy().tier("daily")
    assert daily.cron == "0 2 * * *"
    assert daily.kept_on_disk == Period(count=7, unit=Unit.DAY)
    assert daily.kept_in_s3 == Period(count=30, unit=Unit.DAY)
    assert daily.never_fewer_than == 7
    # In GLACIER it would take hours to come back: the recovery time would be broken.
    assert daily.storage_class is StorageClass.STANDARD_IA
    assert load_policy().recovery_point_objective == timedelta(hours=1)
    assert load_policy().recovery_time_objective == timedelta(minutes=15)


@pytest.mark.parametrize(
    ("name", "cron", "disk", "s3", "floor", "storage_class"),
    [
        ("hourly", "0 * * * *", "24 hours", "7 days", 24, "STANDARD"),
        ("daily", "0 2 * * *", "7 days", "30 days", 7, "STANDARD_IA"),
        ("weekly", "0 2 * * 0", "None", "12 weeks", 4, "STANDARD_IA"),
        ("monthly", "0 2 1 * *", "None", "12 months", 3, "GLACIER_IR"),
        ("quarterly", "0 2 1 1,4,7,10 *", "None", "7 years", 4, "DEEP_ARCHIVE"),
        ("manual", None, "7 days", "30 days", 0, "STANDARD_IA"),
    ],
)
def test_the_packaged_policy_is_the_one_that_was_promised(
    name: str, cron: str | None, disk: str, s3: str, floor: int, storage_class: str
) -> None:
    tier = load_policy().tier(name)
    kept = (tier.cron, str(tier.kept_on_disk), str(tier.kept_in_s3), tier.never_fewer_than, tier.storage_class.value)
    assert kept == (cron, disk, s3, floor, storage_class)
    assert tier.on_demand is (cron is None)
    assert (tier.takes is Takes.INCREMENTAL) is (name == "hourly")


def test_long_tiers_are_promoted_from_the_daily() -> None:
    policy = load_policy()
    assert {name: policy.promoted_from(name) for name in policy.tiers} == {
        "hourly": None,
        "daily": None,
        "weekly": "daily",
        "monthly": "daily",
        "quarterly": "daily",
        "manual": None,
    }


def test_tiers_that_fall_due_together_are_known() -> None:
    policy = load_policy()
    assert policy.due_at(datetime(2028, 10, 1, 2, tzinfo=UTC)) == ["hourly", "daily", "weekly", "monthly", "quarterly"]
    assert policy.due_at(datetime(2026, 3, 1, 2, tzinfo=UTC)) == ["hourly", "daily", "weekly", "monthly"]
    assert policy.due_at(datetime(2026, 4, 1, 2, tzinfo=UTC)) == ["hourly", "daily", "monthly", "quarterly"]
    assert policy.due_at(datetime(2026, 4, 1, 2, 0, 1, tzinfo=UTC)) == []


def test_a_tier_whose_cron_was_forgotten_is_not_taken_for_one_that_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"tiers\.daily\.cron: .*either a cron, or on_demand"):
        load_policy(written(tmp_path, GOOD.replace('cron = "30 4 * * *"\n', "")))
    with pytest.raises(ConfigurationError, match="either a cron, or on_demand"):
        load_policy(written(tmp_path, GOOD.replace("cron =", "on_demand = true\ncron =")))


def test_a_tier_that_is_asked_for_takes_no_increments(tmp_path: Path) -> None:
    text = GOOD.replace('cron = "30 4 * * *"', 'on_demand = true\ntakes = "incremental"')
    with pytest.raises(ConfigurationError, match=r"line 8, tiers\.daily\.takes: .*takes a full backup"):
        load_policy(written(tmp_path, text))


@pytest.mark.parametrize("name", ["wal", "source", "recovery_drill", "rejected"])
def test_a_tier_is_not_named_like_something_else_that_is_stored(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"line 6, tiers\.{name}.*is taken"):
        load_policy(written(tmp_path, GOOD.replace("[tiers.daily]", f"[tiers.{name}]")))


def test_a_tier_that_is_there_twice_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="line 12"):
        load_policy(written(tmp_path, GOOD + GOOD.partition("\n\n")[2]))


def test_since_when_a_database_is_protected_is_meant_in_utc(tmp_path: Path) -> None:
    policy = load_policy(written(tmp_path, "protected_since = 2026-02-01T23:30:00-03:00\n" + GOOD))
    assert policy.protected_since is not None
    assert policy.protected_since.tzinfo is UTC
    assert policy.protected_since == datetime(2026, 2, 2, 2, 30, tzinfo=UTC)
    for naive in ("2026-02-01T23:30:00", "2026-02-01"):
        with pytest.raises(ConfigurationError, match="line 1, protected_since"):
            load_policy(written(tmp_path, f"protected_since = {naive}\n" + GOOD))


@pytest.mark.parametrize("gb", ["0", "-1", "nan", "inf", '"much"'])
def test_a_budget_is_a_number_of_gigabytes(tmp_path: Path, gb: str) -> None:
    with pytest.raises(ConfigurationError, match="line 1, max_monthly_egress_gb"):
        load_policy(written(tmp_path, f"max_monthly_egress_gb = {gb}\n" + GOOD))


def test_another_file_takes_the_packaged_ones_place(tmp_path: Path) -> None:
    policy = load_policy(written(tmp_path, GOOD))
    assert policy.database == "vendas"
    assert policy.lock_timeout == timedelta(minutes=30)
    assert policy.tier("daily").storage_class is StorageClass.GLACIER_IR
    assert str(policy.tier("daily").kept_in_s3) == "7 years"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('cron = "30 4 * * *"', 'cron = "30 4 31 2 *"', "line 7, tiers.daily.cron"),
        ('cron = "30 4 * * *"', 'cron = "half past four"', "line 7, tiers.daily.cron"),
        ('"2 days"', '"2 dias"', 'line 8, tiers.daily.kept_on_disk: .*"30 days"'),
        ('"7 years"', '"0 years"', "line 9, tiers.daily.kept_in_s3"),
        ('"7 years"', "7", "line 9, tiers.daily.kept_in_s3"),
        ('"2 days"', '"-2 days"', "line 8, tiers.daily.kept_on_disk: .*cannot be negative"),
        ('"7 years"', '"99999999 years"', "line 9, tiers.daily.kept_in_s3"),
        ('"7 years"', '"7 days"\nkept_forever = true', "line 10, tiers.daily.kept_forever"),
        ("never_fewer_than = 0", "never_fewer_than = 2558", "line 10, .*only 2557 fall due"),
        ("never_fewer_than = 0", "never_fewer_than = -1", "line 10, tiers.daily.never_fewer_than"),
        ('"GLACIER_IR"', '"GLACIAR"', "line 11, tiers.daily.storage_class: .*'DEEP_ARCHIVE'"),
        ('"vendas"', '"Vendas; drop"', "line 1, database"),
        ('"30 minutes"', '"30 minutes"\nreproof = "23 hours"', "line 5, reproof: .*a day at least"),
        ('"30 minutes"', '"1 month"', "line 4, lock_timeout: .*calendar"),
        ('kept_in_s3 = "7 years"\n', "", r"line 6, tiers.daily.kept_in_s3: Field required"),
        ("never_fewer_than = 0", "never_fewer_than = 0\nkept_in_s4 = 1", "line 11, tiers.daily.kept_in_s4: Extra"),
        ("[tiers.daily]", "[tiers.Daily]", "line 6, tiers.Daily"),
        ("[tiers.daily]", "[tiers.daily", "line 6"),
        ('"vendas"', "vendas", "line 1"),
    ],
)  # fmt: skip
def test_a_bad_policy_is_refused_with_its_line_and_the_reason(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = written(tmp_path, GOOD.replace(old, new))
    with pytest.raises(ConfigurationError, match=said) as caught:
        load_policy(path)
    assert str(path) in caught.value.what
    assert caught.value.exit_status == 2


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    text = GOOD.replace('"2 days"', '"2 dias"').replace('"GLACIER_IR"', '"GLACIAR"')
    with pytest.raises(ConfigurationError, match=r"line 8.*line 11"):
        load_policy(written(tmp_path, text))


def test_a_policy_without_tiers_protects_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="tiers"):
        load_policy(written(tmp_path, GOOD.partition("[tiers")[0] + "[tiers]\n"))


def test_a_policy_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file") as caught:
        load_policy(tmp_path / "nowhere.toml")
    assert "DESBUQUEI_POLICY" in caught.value.remedy
    path = tmp_path / "latin.toml"
    path.write_bytes('database = "ação"\n'.encode("latin-1"))
    with pytest.raises(ConfigurationError, match="not TOML"):
        load_policy(path)


def test_an_unknown_tier_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match="'dayly'") as caught:
        load_policy().tier("dayly")
    assert "daily" in caught.value.remedy


@pytest.mark.parametrize(("count", "unit", "text"), [(1, Unit.DAY, "1 day"), (12, Unit.MONTH, "12 months")])
def test_periods_read_as_people_say_them(count: int, unit: Unit, text: str) -> None:
    assert str(Period(count=count, unit=unit)) == text


@pytest.mark.parametrize(
    ("count", "unit", "at", "before"),
    [
        (1, Unit.MONTH, "2026-03-31", "2026-02-28"),
        (1, Unit.MONTH, "2028-03-31", "2028-02-29"),
        (12, Unit.MONTH, "2026-01-01", "2025-01-01"),
        (13, Unit.MONTH, "2026-01-01", "2024-12-01"),
        (7, Unit.YEAR, "2031-02-28", "2024-02-28"),
        (1, Unit.YEAR, "2028-02-29", "2027-02-28"),
        (12, Unit.WEEK, "2026-03-29", "2026-01-04"),
    ],
)
def test_months_and_years_are_calendar_ones(count: int, unit: Unit, at: str, before: str) -> None:
    instant, earlier = (datetime.fromisoformat(f"{day}T02:00:00+00:00") for day in (at, before))
    assert Period(count=count, unit=unit).before(instant) == earlier


def test_a_period_that_is_longer_than_time_begins_with_it() -> None:
    assert Period(count=99_999, unit=Unit.YEAR).before(datetime(2026, 1, 1, tzinfo=UTC)).year == 1


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(hours=1), "1 h"),
        (timedelta(hours=1, seconds=4), "1 h 4 s"),
        (timedelta(days=1, hours=2, minutes=3), "1 d 2 h"),
        (timedelta(milliseconds=3), "0 s"),
    ],
)
def test_lengths_of_time_are_told_in_two_units(length: timedelta, text: str) -> None:
    assert in_words(length) == text


def test_the_rate_the_key_and_the_locks_are_the_policys() -> None:
    packaged = load_policy()
    assert (packaged.max_bandwidth, packaged.kms_key) == (None, None)
    assert {name for name, tier in packaged.tiers.items() if tier.object_lock is LockMode.GOVERNANCE} == {"quarterly"}


@pytest.mark.parametrize(
    ("written_as", "rate"), [("20 MB/s", 20_000_000), ("512 kB/s", 512_000), ("1.5 GB/s", 1_500_000_000)]
)
def test_a_rate_is_written_as_people_write_it(tmp_path: Path, written_as: str, rate: int) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(f'max_bandwidth = "{written_as}"\n{PACKAGED}')
    assert load_policy(path).max_bandwidth == rate


@pytest.mark.parametrize("line", ['max_bandwidth = "fast"', 'max_bandwidth = "0 MB/s"', "max_bandwidth = 20"])
def test_a_rate_that_is_none_is_refused_with_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(f"{line}\n{PACKAGED}")
    with pytest.raises(ConfigurationError, match="line 1, max_bandwidth"):
        load_policy(path)


@pytest.mark.parametrize(
    ("count", "unit", "then"),
    [
        (12, Unit.MONTH, datetime(2027, 1, 31, 2, tzinfo=UTC)),
        (1, Unit.MONTH, datetime(2026, 2, 28, 2, tzinfo=UTC)),
        (7, Unit.YEAR, datetime(2033, 1, 31, 2, tzinfo=UTC)),
        (12, Unit.WEEK, datetime(2026, 4, 25, 2, tzinfo=UTC)),
        (9_000, Unit.YEAR, datetime.max.replace(tzinfo=UTC)),
    ],
)
def test_what_is_kept_for_a_calendar_period_is_locked_until_its_end(count: int, unit: Unit, then: datetime) -> None:
    assert Period(count=count, unit=unit).after(datetime(2026, 1, 31, 2, tzinfo=UTC)) == then
