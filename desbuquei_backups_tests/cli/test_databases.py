"""Several databases at the shell: all are told of, each under its name, and ids are never those of another one."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from desbuquei_backups.cli.main import main
from desbuquei_backups.operations.archive import archive
from desbuquei_backups.operations.dump import take_dump
from desbuquei_backups.operations.seal import seal
from desbuquei_backups.operations.settings import DATABASE_URL, RESTORE_URL, S3_URL
from desbuquei_backups_tests.policies import PACKAGED, written

_URL, _INVARIANTS = "DESBUQUEI_VENDAS_DATABASE_URL", "DESBUQUEI_VENDAS_INVARIANTS"
# What tells of all of them, and something that each one's document has when it is asked for alone.
_TOLD_OF_ALL = {
    "list --remote": "backups",
    "verify --all": "whole",
    "prune --dry-run": "dry_run",
    "doctor --read-only": "findings",
    "audit verify": "unbroken",
    "audit anchor": "sha256",
    "report --no-source": "controls",
    "report --daily": "tiers",
    "catalog rebuild": "archived",
    "prove --due": "proven",
    "wal status": "applicable",
}


@dataclass(frozen=True)
class Done:
    status: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


Both = Callable[..., Done]


@pytest.fixture
def both(site, source_url: str, source, slot, endpoints, tmp_path, monkeypatch, capsys) -> Both:
    """Runs a command with the databases desbuquei and vendas, each of which has an archived backup of one id.

    In this process: it has imported all that they need.
    """
    policy = written(tmp_path, f'{PACKAGED}\n[databases.vendas]\nrecovery_time_objective = "2 hours"\n')
    source.execute("create table pedidos as select i from generate_series(1, 3) i")
    vendas = replace(site.settings, below="vendas", policy=site.policy.model_copy(update={"database": "vendas"}))
    for each in (site, replace(site, settings=vendas)):
        take_dump(each, slot)
        seal(each, slot)
        archive(each, slot)
    for name in [each for each in os.environ if each.startswith(("DESBUQUEI_", "AWS_"))]:
        monkeypatch.delenv(name)
    given = {
        "DESBUQUEI_POLICY": str(policy),
        "DESBUQUEI_BACKUP_DIR": str(site.settings.folder),
        "AWS_MAX_ATTEMPTS": "2",
        "COLUMNS": "80",
        DATABASE_URL: source_url,
        _URL: source_url,
        RESTORE_URL: endpoints.scratch,
        S3_URL: site.settings.url(S3_URL),
        **endpoints.aws,
    }
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gc.set_threshold", lambda *_: None)

    def desbuquei(*arguments: str, **environment: str) -> Done:
        for name, value in {**given, **environment}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["desbuquei", *arguments])
        capsys.readouterr()
        status = main(list(arguments))
        said = capsys.readouterr()
        return Done(status, said.out, said.err)

    return desbuquei


def test_status_answers_for_all_in_its_first_line_and_for_each_below(both: Both, slot) -> None:
    done = both("status")
    assert done.status == 1
    answer, *rest = done.out.splitlines()
    assert answer == "NOT SAFE: desbuquei, vendas"  # their backups are of the past
    assert [line for line in rest if line in ("desbuquei", "vendas")] == ["desbuquei", "vendas"]
    found = both("status", "--json").document
    assert (found["safety"], list(found["databases"])) == ("NOT SAFE", ["desbuquei", "vendas"])
    for name, objective in (("desbuquei", 900), ("vendas", 7200)):
        of_one = found["databases"][name]
        assert [tier["last_good"] for tier in of_one["tiers"] if tier["last_good"]] == [slot.backup_id]
        assert of_one["recovery_times"][0]["objective_seconds"] == objective
        command = "desbuquei " if name == "desbuquei" else f"desbuquei --database {name} "
        assert f"{command}backup quarterly" in str([tier["trouble"] for tier in of_one["tiers"]])
    only = both("status", "--database", "vendas", "--json").document
    assert only.keys() == found["databases"]["vendas"].keys()


def test_what_is_told_of_all_is_one_document_with_each_ones_own(both: Both) -> None:
    for command, word in _TOLD_OF_ALL.items():
        found = both(*command.split(), "--json").document
        assert list(found) == ["databases"], command
        assert list(found["databases"]) == ["desbuquei", "vendas"], command
        assert all(word in each for each in found["databases"].values()), command
    assert "backups" in both("--database", "vendas", "list", "--json").document


def test_a_list_is_headed_by_the_database_that_it_is_of(both: Both, slot) -> None:
    shown = both("list").out
    assert max(map(len, shown.splitlines())) <= 80
    first, second = shown.split("\nvendas\n")
    assert first.startswith("desbuquei\n")
    assert slot.backup_id in first
    assert slot.backup_id in second
    assert "vendas" not in both("list", "--database", "desbuquei").out


def test_what_goes_wrong_with_one_is_said_of_it_and_the_others_are_told_of(both: Both, slot) -> None:
    broken = {_INVARIANTS: "/nowhere.toml"}
    done = both("list", "--json", **broken)
    found = done.document["databases"]
    assert done.status == 2
    assert found["vendas"]["error"] == "ConfigurationError"
    assert [each["backup_id"] for each in found["desbuquei"]["backups"]] == [slot.backup_id]
    said = both("status", "--json", **broken)
    assert (said.status, "tiers" in said.document["databases"]["desbuquei"]) == (2, True)
    assert both("status", **broken).out.startswith("NOT SAFE: desbuquei, vendas\n")
    unset = both("doctor", "--read-only", "--json", **{_INVARIANTS: "", _URL: ""}).document["databases"]
    missing = {name: [each["name"] for each in of["findings"] if each["missing"]] for name, of in unset.items()}
    assert missing["desbuquei"] == []
    assert _URL in missing["vendas"]


def test_a_database_that_the_policy_does_not_name_is_bad_usage(both: Both) -> None:
    for command in ("status", "backup daily", "wal drain", "restore x --into postgresql://localhost/x"):
        done = both(*command.split(), "--database", "venda")
        assert done.status == 2, command
        assert "choose one of: desbuquei, vendas" in done.err


def test_of_one_id_in_each_it_is_said_whose_is_meant_and_a_remedy_names_the_database(both: Both, slot) -> None:
    which = "of the database desbuquei; --database chooses another: vendas"
    first = both("verify", slot.backup_id)
    assert (first.status, which in first.err) == (0, True)
    theirs = both("verify", slot.backup_id, "--database", "vendas")
    assert (theirs.status, which in theirs.err) == (0, False)
    lost = both("verify", "daily-2020-02-02-020000", "--remote", "--database", "vendas")
    assert lost.status == 1
    assert "desbuquei --database vendas backup daily" in lost.err
