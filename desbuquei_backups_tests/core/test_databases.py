"""A second database that is read wrong is backed up into the first one's place, or not at all."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from desbuquei_backups.core.commands import of_database
from desbuquei_backups.core.databases import Database, load_databases, named
from desbuquei_backups.core.errors import ConfigurationError
from desbuquei_backups.core.tiers import load_policy
from desbuquei_backups_tests.policies import PACKAGED, written

BEFORE = len(PACKAGED.splitlines())


def loaded(folder: Path, further: str, first: str = PACKAGED) -> tuple[Database, ...]:
    return load_databases(written(folder, first + further))


def test_a_policy_without_further_ones_has_the_one_database_under_its_usual_names() -> None:
    (only,) = load_databases()
    assert (only.name, only.url, only.restore_url, only.below) == (
        "desbuquei",
        "DESBUQUEI_DATABASE_URL",
        "DESBUQUEI_RESTORE_URL",
        "",
    )
    assert only.policy == load_policy()


def test_a_further_database_is_promised_what_the_first_one_is_but_for_what_it_says_itself(tmp_path: Path) -> None:
    first, vendas, estoque = loaded(
        tmp_path,
        """
[databases.vendas]
recovery_time_objective = "2 hours"
max_monthly_egress_gb = 5
protected_since = 2026-02-01T00:00:00Z

[databases.vendas.tiers.daily]
cron = "30 3 * * *"
base_backup = false

[databases.estoque]
url = "ESTOQUE_URL"
restore_url = "ESTOQUE_RESTORE_URL"
""",
    )
    assert first.policy == load_policy()
    assert (vendas.name, vendas.below, estoque.below) == ("vendas", "vendas", "estoque")
    assert (vendas.url, vendas.restore_url) == ("DESBUQUEI_VENDAS_DATABASE_URL", "DESBUQUEI_RESTORE_URL")
    assert (vendas.invariants, estoque.url) == ("DESBUQUEI_VENDAS_INVARIANTS", "ESTOQUE_URL")
    assert estoque.restore_url == "ESTOQUE_RESTORE_URL"
    own = vendas.policy
    assert own.recovery_time_objective == timedelta(hours=2)
    assert own.protected_since == datetime(2026, 2, 1, tzinfo=UTC)
    daily, packaged = own.tier("daily"), first.policy.tier("daily")
    assert daily == packaged.model_copy(update={"cron": "30 3 * * *", "base_backup": False})
    assert own.tier("weekly") == first.policy.tier("weekly")
    assert estoque.policy == first.policy.model_copy(update={"database": "estoque"})


def test_since_when_the_first_is_protected_says_nothing_of_the_others(tmp_path: Path) -> None:
    _, vendas = loaded(tmp_path, "\n[databases.vendas]\n", "protected_since = 2026-02-01T00:00:00Z\n" + PACKAGED)
    assert vendas.policy.protected_since is None


def test_a_further_database_may_do_without_a_tier(tmp_path: Path) -> None:
    first, vendas = loaded(tmp_path, "\n[databases.vendas.tiers]\nhourly = false\n")
    assert set(first.policy.tiers) - set(vendas.policy.tiers) == {"hourly"}


@pytest.mark.parametrize(
    ("further", "said"),
    [
        ("[databases.Vendas]", rf"line {BEFORE + 2}, databases.Vendas.*match"),
        ("[databases.daily]", rf"line {BEFORE + 2}, databases.daily: the name daily is taken"),
        ("[databases.wal]", "the name wal is taken"),
        ("[databases.evidence]", "the name evidence is taken"),
        ("[databases.wal_archive]", "the name wal_archive is taken"),
        ("[databases.reports]", "the name reports is taken"),
        ("[databases.desbuquei]", "there are two databases called desbuquei"),
        ('[databases.vendas]\nurl = "postgresql://backup:s3cret@db/vendas"', "url is the name of an environment var"),
        ("[databases.vendas]\nurl = 5", "url is the name of an environment variable, like DESBUQUEI_VENDAS_DATABASE"),
        ('[databases.vendas]\nurl = "DESBUQUEI_DATABASE_URL"', "as that of desbuquei is"),
        ('[databases.vendas]\nurl = "A"\n[databases.estoque]\nurl = "A"', rf"line {BEFORE + 4}.*as that of vendas is"),
        ('[databases.vendas]\ndatabase = "estoque"', "its name is NAME in"),
        ('[databases.vendas]\nlock_timout = "1 minute"', rf"line {BEFORE + 3}, databases.vendas.lock_timout: Extra"),
        (
            '[databases.vendas]\n\n[databases.vendas.tiers.daily]\nkept_in_s3 = "3 days"',
            rf"line {BEFORE + 4}, databases.vendas.tiers.daily.never_fewer_than: .*only 3 fall due",
        ),
        (
            '[databases.vendas.tiers.yearly]\ncron = "0 2 1 1 *"',
            rf"line {BEFORE + 2}, databases.vendas.tiers.yearly.kept_in_s3: Field required",
        ),
        ('[databases]\nvendas = "yes"', r"a further database is a table, \[databases.NAME\]"),
        (f"[databases.{'v' * 49}]", "a name has at most 48 letters"),
    ],
)
def test_a_bad_one_is_refused_with_its_line_and_the_reason(tmp_path: Path, further: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        loaded(tmp_path, f"\n{further}\n")
    assert "s3cret" not in str(caught.value)
    assert caught.value.exit_status == 2


def test_the_examples_of_the_documentation_are_policies(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "databases.md").read_text()
    several, dumps = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    further = several.partition("as ever\n")[2]
    assert [each.name for each in loaded(tmp_path, f"\n{further}")] == ["desbuquei", "vendas", "estoque"]
    _, vendas = loaded(tmp_path, f"\n{dumps}")
    assert not vendas.policy.physical
    assert set(vendas.policy.tiers) == set(load_policy().tiers) - {"hourly"}


def test_no_two_databases_would_have_a_job_of_one_name(tmp_path: Path) -> None:
    further = '\n[databases.app]\n[databases.app_wal]\n[databases.app.tiers.wal_daily]\ncron = "0 3 * * *"\n'
    further += 'kept_in_s3 = "30 days"\nnever_fewer_than = 1\nstorage_class = "STANDARD"\n'
    with pytest.raises(ConfigurationError, match="jobs of app_wal would have the names of jobs of app"):
        loaded(tmp_path, further)


def test_every_database_that_is_wrong_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"databases\.a\.lock_timeout.*databases\.b\.kms_key"):
        loaded(tmp_path, "\n[databases.a]\nlock_timeout = 1\n[databases.b]\nkms_key = 1\n")


def test_an_unknown_database_is_refused_with_those_there_are(tmp_path: Path) -> None:
    databases = loaded(tmp_path, "\n[databases.vendas]\n")
    assert named(databases, None).name == "desbuquei"
    assert named(databases, "vendas").name == "vendas"
    with pytest.raises(ConfigurationError, match="no database 'venda'") as caught:
        named(databases, "venda")
    assert "desbuquei, vendas" in caught.value.remedy


def test_a_remedy_works_on_the_database_that_it_is_for() -> None:
    remedy = "desbuquei backup daily --slot K; `desbuquei list --remote` shows it; desbuquei is the program"
    assert of_database(remedy, "") == remedy
    told = of_database(remedy, "vendas")
    assert told == (
        "desbuquei --database vendas backup daily --slot K; `desbuquei --database vendas list --remote` shows it; "
        "desbuquei is the program"
    )
    assert of_database(told, "vendas") == told
    own = {"DESBUQUEI_DATABASE_URL": "MY_DESBUQUEI_DATABASE_URL"}
    told = of_database("name its primary in DESBUQUEI_DATABASE_URL", "vendas", own)
    assert of_database(told, "vendas", own) == told == "name its primary in MY_DESBUQUEI_DATABASE_URL"
