"""A policy that is read wrong keeps too little, for too short a time, in the wrong place."""

from datetime import timedelta
from pathlib import Path

import pytest

from desbuquei_backups.core.errors import ConfigurationError
from desbuquei_backups.core.tiers import Period, StorageClass, Unit, load_policy

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
        ("never_fewer_than = 0", "never_fewer_than = -1", "line 10, tiers.daily.never_fewer_than"),
        ('"GLACIER_IR"', '"GLACIAR"', "line 11, tiers.daily.storage_class: .*'DEEP_ARCHIVE'"),
        ('"vendas"', '"Vendas; drop"', "line 1, database"),
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
