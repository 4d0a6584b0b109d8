"""A command must never hand its backup to a webserver that works on another database."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from desbuquei_backups.cli.main import main
from desbuquei_backups.core.tiers import load_policy
from desbuquei_backups.defs import remote
from desbuquei_backups.operations.settings import DATABASE_URL, EMBEDDED, RESTORE_URL, S3_URL, Settings

_URLS = {
    DATABASE_URL: "postgresql://backup:s3cret-words@db.example.com/app",
    RESTORE_URL: "postgresql://postgres@localhost/postgres",
    S3_URL: "s3://backups",
}


@contextmanager
def _fake_webserver() -> Iterator[int]:
    """Answers, like Dagster's own, that its scheduler is well; gives its port."""
    status = {"daemonType": "QUEUED_RUN_COORDINATOR", "healthy": True, "required": True}
    answer = json.dumps({"data": {"instance": {"daemonHealth": {"allDaemonStatuses": [status]}}}}).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


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


def test_a_webserver_that_something_else_started_is_found_once_it_was_announced(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**_URLS, "DESBUQUEI_HOME": str(settings.home)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DESBUQUEI_BACKUP_DIR", str(settings.folder))
    with _fake_webserver() as port:
        assert remote.find(settings) is None
        assert main(["up", "--announce", "--port", str(port)]) == 0
        found = remote.find(settings)
    assert found is not None
    assert found.url == f"http://127.0.0.1:{port}"
