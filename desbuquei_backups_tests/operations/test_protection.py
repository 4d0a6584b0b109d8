"""Since when slots count: told once, never moved, so that a missed recovery point stays one."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from desbuquei_backups.core.errors import ConfigurationError
from desbuquei_backups.core.tiers import load_policy
from desbuquei_backups.operations.protection import protected_since
from desbuquei_backups.operations.settings import Settings

NOW = datetime(2026, 2, 2, 2, 10, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(load_policy(), tmp_path / "backups", tmp_path, {})


def test_it_is_written_down_at_the_first_start_and_never_computed_again(settings: Settings) -> None:
    assert protected_since(settings, NOW) == NOW
    assert protected_since(settings, NOW + timedelta(days=400)) == NOW


def test_the_policys_own_instant_goes_before_what_was_written_down(settings: Settings) -> None:
    protected_since(settings, NOW)
    told = settings.policy.model_copy(update={"protected_since": NOW - timedelta(days=7)})
    object.__setattr__(settings, "policy", told)
    assert protected_since(settings, NOW) == NOW - timedelta(days=7)


def test_an_instant_of_another_zone_is_the_same_instant(settings: Settings) -> None:
    settings.folder.mkdir()
    (settings.folder / "protected-since").write_text("2026-02-01T23:10:00-03:00\n")
    found = protected_since(settings, NOW + timedelta(days=1))
    assert found == NOW
    assert found.tzinfo is UTC


@pytest.mark.parametrize("written", ["", "yesterday", "2026-02-01T23:10:00"])
def test_what_is_no_instant_is_refused_by_the_name_of_its_file(settings: Settings, written: str) -> None:
    settings.folder.mkdir()
    (settings.folder / "protected-since").write_text(written)
    with pytest.raises(ConfigurationError, match="protected-since does not hold an instant") as caught:
        protected_since(settings, NOW)
    assert "2026-02-02T00:00:00+00:00" in caught.value.remedy


def test_where_the_folder_cannot_be_written_yet_it_is_now(settings: Settings) -> None:
    settings.folder.write_text("a file in its place")
    assert protected_since(settings, NOW) == NOW
