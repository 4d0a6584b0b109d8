"""Debian keeps a cluster's configuration outside its data directory: a clone gets it, but for what leads out."""

import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from desbuquei_backups.core.errors import IntegrityError
from desbuquei_backups.core.recovery import Base, Plan
from desbuquei_backups.core.targets import Target
from desbuquei_backups.operations import recovered_configuration
from desbuquei_backups.operations.recovered_configuration import (
    configure,
    parse_configuration,
    to_replay,
    to_stay,
    transient,
)
from desbuquei_backups.operations.recovery_folder import RecoveryFolder, free_port, recovery_folder
from desbuquei_backups.postgres.cluster import Cluster
from desbuquei_backups.postgres.programs import choose_server
from desbuquei_backups_tests.clusters import Cluster as SourceCluster

_DEBIAN = {
    "postgresql.conf": "data_directory = '/var/lib/postgresql/17/main'\ninclude_dir = 'conf.d'\nwork_mem = '8MB'\n",
    "pg_hba.conf": "host all all 10.0.0.0/8 scram-sha-256\n",
}


def test_what_is_missing_comes_from_beside_the_backup_or_is_a_safe_minimum(open_ground: Path) -> None:
    data = open_ground / "debian"
    with recovery_folder(data, doing="a test") as folder:
        cluster = Cluster(data, choose_server(17), folder.account)
        (data / "standby.signal").touch()
        (data / "postgresql.conf").symlink_to("/etc/postgresql/17/main/postgresql.conf")
        notes = configure(cluster, folder, _DEBIAN)
        assert not (data / "standby.signal").exists()
        assert not (data / "postgresql.conf").is_symlink()
        lines = (data / "postgresql.conf").read_text().splitlines()
        assert [line for line in lines if not line.startswith("#")] == ["work_mem = '8MB'"]
        assert (data / "pg_hba.conf").read_text() == _DEBIAN["pg_hba.conf"]
        assert (data / "pg_ident.conf").read_text() == ""
        assert {(data / name).stat().st_mode & 0o777 for name in ("postgresql.conf", "pg_hba.conf")} == {0o600}
        said = " ".join(notes)
        assert "pg_ident.conf was not in the data directory: it is a minimal one" in said
        assert "pg_hba.conf was not in the data directory: it is the source's" in said
        (data / "pg_hba.conf").write_text("local all all peer\n")
        configure(cluster, folder, _DEBIAN)
        assert (data / "pg_hba.conf").read_text() == "local all all peer\n"


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff{"])
def test_a_configuration_that_cannot_be_read_is_no_empty_one(content: bytes) -> None:
    with pytest.raises(IntegrityError, match="cannot be read"):
        parse_configuration(content)


_AT = datetime(2026, 2, 2, tzinfo=UTC)
_PLAN = Plan(
    Target(), Base("daily-2026-02-02-020000", 1, 0x28, 0x140, _AT, 1, 1), None, 1, (), 0x140, True, timedelta(0)
)
_ARCHIVING = "archive_mode = on\narchive_command = 'cp %p /precious/%f'\n"
_IDENT = "ident_file = '/etc/postgresql/17/main/pg_ident.conf'\n"


@dataclass
class Fresh:
    """A cluster that was made just now, as a recovery has unpacked one; its server was never started."""

    cluster: Cluster
    folder: RecoveryFolder

    def replay(self) -> None:
        """What a recovery does before the first start."""
        configure(self.cluster, self.folder, {})
        to_replay(
            self.cluster,
            self.folder,
            _PLAN,
            self.cluster.control(),
            port=free_port(),
            preload=(),
            to_the_end=False,
            given=transient(self.folder, throw_away=True),
        )

    def says(self, *names: str) -> dict[str, str]:
        return dict(self.cluster.settings(names, {}))


@pytest.fixture
def fresh(open_ground: Path, own_template: SourceCluster) -> Iterator[Fresh]:
    data = open_ground / f"fresh-{uuid.uuid4().hex[:8]}"
    with recovery_folder(data, doing="a test") as folder:
        shutil.copytree(own_template.data, data, dirs_exist_ok=True)
        folder.give()
        yield Fresh(Cluster(data, choose_server(17), folder.account), folder)


def lay(fresh: Fresh, name: str, text: str) -> None:
    path = fresh.cluster.data / name
    path.parent.mkdir(exist_ok=True)
    path.write_text((path.read_text() if path.exists() else "") + text)
    fresh.folder.give()


@pytest.mark.parametrize(
    "files",
    [
        {"postgresql.conf": _ARCHIVING},
        {"postgresql.conf": "include_dir 'conf.d'\n", "conf.d/archive.conf": _ARCHIVING},
        {"postgresql.conf": "INCLUDE = 'more.conf'\n", "more.conf": _ARCHIVING},
        {"postgresql.auto.conf": _ARCHIVING},
        {"postgresql.auto.conf": "include 'more.conf'\n", "more.conf": _ARCHIVING},
    ],
    ids=["postgresql.conf", "conf.d", "include", "ALTER SYSTEM", "included by ALTER SYSTEM's file"],
)
def test_wherever_the_source_says_to_archive_the_clone_does_not(fresh: Fresh, files: dict[str, str]) -> None:
    for name, text in files.items():
        lay(fresh, name, text)
    # Without us it would archive.
    assert fresh.says("archive_mode") == {"archive_mode": "on"}
    fresh.replay()
    assert fresh.says("archive_mode", "archive_command") == {"archive_mode": "off", "archive_command": ""}
    to_stay(fresh.cluster, fresh.folder, fresh.cluster.control(), port=free_port(), preload=())
    assert fresh.says("archive_mode", "archive_command") == {"archive_mode": "off", "archive_command": ""}


def test_a_place_that_nobody_thought_of_is_found_out_before_the_first_start(
    fresh: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(fresh, "conf.d/archive.conf", f"{_ARCHIVING}shared_preload_libraries = 'not_here'\n{_IDENT}")

    def beaten(own: str, settings: dict[str, str], *, remark: bool = False) -> str:
        return whole(own, settings, remark=remark) + "include_dir 'conf.d'\n"

    whole = recovered_configuration.appended
    monkeypatch.setattr(recovered_configuration, "appended", beaten)
    with pytest.raises(IntegrityError, match="could touch its source") as caught:
        fresh.replay()
    assert "archive_mode would be 'on', not 'off'" in caught.value.what
    assert "shared_preload_libraries would be 'not_here'" in caught.value.what
    assert "ident_file is /etc/postgresql/17/main/pg_ident.conf, outside" in caught.value.what
    assert "it was not started" in caught.value.remedy


def test_files_outside_the_data_directory_are_left_there_whoever_named_them(fresh: Fresh) -> None:
    lay(fresh, "postgresql.auto.conf", _IDENT)
    fresh.replay()
    assert Path(fresh.says("ident_file")["ident_file"]) == fresh.cluster.data / "pg_ident.conf"
