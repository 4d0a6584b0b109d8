"""A command must never hand its backup to a webserver that works on another database."""

from dataclasses import replace
from pathlib import Path

import pytest

from desbuquei_backups.core.tiers import load_policy
from desbuquei_backups.defs import remote
from desbuquei_backups.operations.settings import DATABASE_URL, EMBEDDED, RESTORE_URL, S3_URL, Settings

_URLS = {
    DATABASE_URL: "postgresql://backup:s3cret-words@db.example.com/app",
    RESTORE_URL: "postgresql://postgres@localhost/postgres",
    S3_URL: "s3://backups",
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(load_policy(), tmp_path / "backups", tmp_path, _URLS)


def test_the_same_settings_are_served_whatever_the_password(settings: Settings) -> None:
    other = {**_URLS, DATABASE_URL: _URLS[DATABASE_URL].replace("s3cret-words", "another")}
    assert remote.served_by(settings) == remote.served_by(replace(settings, urls=other))
    assert "s3cret-words" not in remote.served_by(settings)


@pytest.mark.parametrize(
    "other",
    [
        {"urls": {**_URLS, DATABASE_URL: "postgresql://backup@db.example.com/another"}},
        {"urls": {**_URLS, S3_URL: "s3://other"}},
        {"urls": dict.fromkeys(_URLS, EMBEDDED)},
        {"backup_dir": Path("/elsewhere")},
    ],
    ids=["database", "bucket", "demo", "folder"],
)
def test_other_settings_are_not_served(settings: Settings, other: dict[str, object]) -> None:
    remote.write_down(settings.home, remote.Webserver("127.0.0.1", 9, [remote.served_by(settings)]))
    assert remote.served_by(settings) != remote.served_by(replace(settings, **other))  # type: ignore[arg-type]
    assert remote.find(replace(settings, **other)) is None  # type: ignore[arg-type]


def test_a_webserver_that_is_gone_is_not_waited_for(settings: Settings) -> None:
    remote.write_down(settings.home, remote.Webserver("127.0.0.1", 9, [remote.served_by(settings)]))
    assert remote.find(settings) is None
