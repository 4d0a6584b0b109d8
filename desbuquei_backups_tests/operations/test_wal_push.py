"""The archive_command: it says yes only when the segment is off the host, whole, and no other one's place was taken."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from desbuquei_backups.core.errors import ConfigurationError, DiskError, IntegrityError, NotFound
from desbuquei_backups.operations.wal_bucket import fetch_segment, listed
from desbuquei_backups.operations.wal_push import file_system, push_to_folder, push_to_s3, system_identifier

NAME, OTHER = "000000010000000000000001", "000000010000000000000002"
MOUNTS = """\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
40 22 0:35 / /mnt/backup\\040host rw,relatime shared:20 - nfs4 backup:/srv rw,vers=4.2
41 22 254:2 / /mnt/back rw,relatime shared:21 - xfs /dev/vdb rw
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "elsewhere"
    path.mkdir()
    return path


def test_a_segment_is_there_whole_or_not_at_all_and_twice_is_once(real_wal, folder) -> None:
    assert push_to_folder(real_wal / NAME, folder, off_host=True)
    assert not push_to_folder(real_wal / NAME, folder, off_host=True)
    assert [path.name for path in folder.iterdir()] == [NAME]
    assert (folder / NAME).read_bytes() == (real_wal / NAME).read_bytes()


def test_another_segment_of_that_name_is_never_overwritten(real_wal, folder) -> None:
    shutil.copy(real_wal / OTHER, folder / NAME)
    with pytest.raises(IntegrityError, match="another segment of the same name"):
        push_to_folder(real_wal / NAME, folder, off_host=True)
    assert (folder / NAME).read_bytes() == (real_wal / OTHER).read_bytes()
    assert [path.name for path in folder.iterdir()] == [NAME]


@pytest.mark.parametrize(
    ("named", "change", "said"),
    [
        (OTHER, lambda content: content, "by its first page it is"),
        (NAME, lambda content: content[:1_000_000], "a segment of its cluster has"),
        (NAME, lambda content: content[:26] + b"\1" + content[27:], "it is of the cluster"),
    ],
)
def test_a_bad_segment_stays_with_the_server(real_wal, folder, tmp_path, named: str, change, said: str) -> None:
    data = tmp_path / "data"
    shutil.copytree(real_wal.parent / "global", data / "global")
    (data / "pg_wal").mkdir()
    path = data / "pg_wal" / named
    path.write_bytes(change((real_wal / NAME).read_bytes()))
    with pytest.raises(IntegrityError, match=said):
        push_to_folder(path, folder, off_host=True)
    assert list(folder.iterdir()) == []


def test_a_folder_on_the_database_s_own_host_is_no_archive(real_wal, folder, tmp_path) -> None:
    with pytest.raises(ConfigurationError, match="is on this host"):
        push_to_folder(real_wal / NAME, folder)
    with pytest.raises(DiskError, match="not there"):
        push_to_folder(real_wal / NAME, tmp_path / "unmounted", off_host=True)
    with pytest.raises(ConfigurationError, match="nothing that a server archives"):
        push_to_folder(real_wal / "archive_status", folder, off_host=True)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "kind"), [("/mnt/backup host/wal_archive", "nfs4"), ("/mnt/back", "xfs"), ("/mnt/backup", "ext4")]
)
def test_where_a_folder_is_is_told_by_its_mount(path: str, kind: str) -> None:
    assert file_system(Path(path), MOUNTS) == kind


def test_without_a_cluster_around_it_nothing_is_pushed(tmp_path, folder, real_wal) -> None:
    (tmp_path / "pg_wal").mkdir()
    shutil.copy(real_wal / NAME, tmp_path / "pg_wal")
    with pytest.raises(NotFound, match="pg_control"):
        push_to_folder(tmp_path / "pg_wal" / NAME, folder, off_host=True)


def test_what_a_promoted_server_archives_does_not_hold_it_up(real_wal, folder, tmp_path) -> None:
    shutil.copytree(real_wal.parent / "global", tmp_path / "global")
    (tmp_path / "pg_wal").mkdir()
    path = tmp_path / "pg_wal" / f"{NAME}.partial"
    shutil.copy(real_wal / NAME, path)
    assert push_to_folder(path, folder, off_host=True)
    history = tmp_path / "pg_wal" / "00000002.history"
    history.write_bytes(b"1\t0/1500000\tno recovery target specified\n")
    assert push_to_folder(history, folder, off_host=True)


def test_straight_into_s3(real_wal, site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**site.settings.urls, **site.settings.aws}.items():
        monkeypatch.setenv(name, value)
    assert push_to_s3(real_wal / NAME)
    assert not push_to_s3(real_wal / NAME)
    there = listed(site.bucket, system_identifier(real_wal / NAME))
    assert b"".join(fetch_segment(site.bucket, there, NAME, None)) == (real_wal / NAME).read_bytes()


def test_it_starts_at_once_since_it_imports_next_to_nothing(real_wal, folder) -> None:
    script = (
        "import sys\n"
        "from desbuquei_backups.cli.main import main\n"
        f"status = main(['wal', 'push', {str(real_wal / NAME)!r}, '--into', {str(folder)!r}, '--off-host'])\n"
        "heavy = {'boto3', 'pydantic', 'psycopg', 'rich', 'zstandard', 'dagster'} & set(sys.modules)\n"
        "sys.exit(f'{status} {heavy}' if status or heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=folder, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (folder / NAME).exists()
