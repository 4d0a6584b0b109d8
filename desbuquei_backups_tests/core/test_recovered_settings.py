"""A clone that keeps one of its source's settings archives over it, follows it, or takes its port."""

from datetime import UTC, datetime, timedelta

import pytest

from desbuquei_backups.core.recovered_settings import (
    BEGIN,
    appended,
    contained,
    limits,
    replay_settings,
    safe_settings,
    wrong_settings,
)
from desbuquei_backups.core.recovery import Base, Plan
from desbuquei_backups.core.targets import Target

_AT = datetime(2026, 2, 2, 12, 0, 0, 120, tzinfo=UTC)
_BASE = Base("daily-2026-02-02-020000", 3, 0x28, 0x140, _AT, 1, 1)
_KINDS = {f"recovery_target{kind}" for kind in ("", "_time", "_lsn", "_name", "_xid")}


def aimed(target: Target, *, certain: bool = True) -> Plan:
    return Plan(target, _BASE, None, 3, (), 0x140, certain, timedelta(0))


@pytest.mark.parametrize(
    ("target", "chosen", "inclusive"),
    [
        (Target(at=_AT), ("recovery_target_time", "2026-02-02 12:00:00.000120+00"), "on"),
        (Target(position=0x16B374D848), ("recovery_target_lsn", "16/B374D848"), "off"),
        (Target(name="hourly-2026-02-02-030000"), ("recovery_target_lsn", "0/140"), "off"),
        (Target(name=_BASE.backup_id), ("recovery_target_lsn", "0/140"), "off"),
        (Target(), None, "on"),
    ],
)
def test_one_target_is_set_last_and_all_others_are_unset(
    target: Target, chosen: tuple[str, str] | None, inclusive: str
) -> None:
    settings = replay_settings(aimed(target), "cp")
    assert settings.keys() >= _KINDS
    assert {name: value for name, value in settings.items() if name in _KINDS and value} == dict(
        [chosen] if chosen else []
    )
    if chosen:
        # PostgreSQL takes an empty one after it for a second target.
        assert [name for name in settings if name in _KINDS][-1] == chosen[0]
    assert settings["recovery_target_inclusive"] == inclusive
    assert settings["recovery_target_timeline"] == "3"
    assert settings["recovery_target_action"] == "promote"


def test_a_name_that_is_nowhere_written_down_is_looked_for_by_replaying() -> None:
    settings = replay_settings(aimed(Target(name="antes"), certain=False), "cp")
    assert (settings["recovery_target_name"], settings["recovery_target_lsn"]) == ("antes", "")
    assert settings["recovery_target_inclusive"] == "on"


def test_to_the_end_no_target_is_set() -> None:
    settings = replay_settings(aimed(Target(at=_AT)), "cp", to_the_end=True)
    assert {settings[name] for name in _KINDS} == {""}


@pytest.mark.parametrize("major", [15, 17, 18])
def test_nothing_leads_from_a_clone_to_its_source(major: int) -> None:
    settings = safe_settings(major, port=5999)
    empty = "archive_command archive_library primary_conninfo primary_slot_name shared_preload_libraries".split()
    assert {settings[name] for name in empty} == {""}
    assert settings["archive_mode"] == "off"
    assert settings["max_logical_replication_workers"] == "0"
    assert settings["port"] == "5999"
    assert settings["listen_addresses"] == "127.0.0.1"
    # PostgreSQL does not start with a setting that it does not know.
    assert ("sync_replication_slots" in settings) is (major >= 17)
    assert settings.get("summarize_wal") == ("off" if major >= 17 else None)


def test_what_is_appended_wins_and_is_replaced_by_what_is_appended_later() -> None:
    own = "archive_command = 'cp %p /precious/%f'\n"
    once = appended(own, {"archive_command": "", "name": "it's a \\ test"})
    assert once.startswith(own)
    assert once.endswith("archive_command = ''\nname = 'it''s a \\\\ test'\n")
    again = appended(once, {"port": "1"}, remark=True)
    assert again.count(BEGIN) == 1
    assert "archive_command = ''" not in again
    assert again.startswith(own)


def test_what_leads_out_of_the_data_directory_becomes_a_comment() -> None:
    conf = (
        "data_directory = '/var/lib/postgresql/15/main'\n hba_file='/etc/postgresql/pg_hba.conf'\n"
        "include_dir 'conf.d'\nwork_mem = '4MB'\n#ident_file = 'x'\nInclude_if_exists = 'y'\nincluded.by = 'us'\n"
    )
    kept = [line for line in contained(conf).splitlines() if not line.startswith("#")]
    assert kept == ["work_mem = '4MB'", "included.by = 'us'"]
    assert contained("work_mem = '4MB'\n") == "work_mem = '4MB'\n"


def test_limits_are_the_sources_own_and_room_is_left_for_what_it_prepared() -> None:
    control = {"max_connections setting": "500", "max_prepared_xacts setting": "0", "max_locks_per_xact setting": "64"}
    found = limits(control)
    assert found["max_connections"] == "500"
    assert int(found["max_prepared_transactions"]) > 0
    assert limits(control, prepared=0)["max_prepared_transactions"] == "0"


def test_a_setting_that_does_not_hold_is_named() -> None:
    wanted = {"archive_mode": "off", "archive_command": "", "port": "1"}
    assert wrong_settings(wanted, {"archive_mode": "off", "archive_command": "(disabled)", "port": "1"}) == []
    (wrong,) = wrong_settings(wanted, {"archive_mode": "on", "archive_command": "", "port": "1"})
    assert "archive_mode" in wrong
