"""A half-written file under a final name is the backup that somebody restores at 3 a.m."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from desbuquei_backups.core.errors import Busy, DiskError
from desbuquei_backups.storage import disk

HOLDER = """
import sys, time
from pathlib import Path
from desbuquei_backups.storage import disk
with disk.lock(Path(sys.argv[1]), "vendas", doing="dump of daily-2026-02-02-020000", wait_seconds=0):
    with disk.aside(Path(sys.argv[1]) / "daily-2026-02-02-020000.sql.gz") as partial:
        partial.write_bytes(b"half")
        print("holding", flush=True)
        time.sleep(600)
"""


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_is_there_whole_and_for_its_owner_alone(tmp_path: Path) -> None:
    disk.prepare(tmp_path / "a" / "b")
    disk.write_file(tmp_path / "a" / "b" / "x", b"whole")
    assert (tmp_path / "a" / "b" / "x").read_bytes() == b"whole"
    assert stat.S_IMODE((tmp_path / "a" / "b" / "x").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    assert names(tmp_path / "a" / "b") == {"x"}


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    disk.write_file(tmp_path / "x", b"old")

    def fail() -> None:
        with disk.aside(tmp_path / "x") as partial:
            partial.write_bytes(b"new, half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert (tmp_path / "x").read_bytes() == b"old"
    assert names(tmp_path) == {"x"}


def test_a_file_that_vanished_while_it_was_written_is_no_success(tmp_path: Path) -> None:
    def lose() -> None:
        with disk.aside(tmp_path / "x") as partial:
            partial.unlink()

    with pytest.raises(DiskError, match="not there"):
        lose()


@pytest.mark.parametrize("name", ["gone/x", "file/x"])
def test_a_folder_that_is_not_there_says_what_to_do(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DiskError) as caught:
        disk.write_file(tmp_path / name, b"")
    assert caught.value.remedy


def test_a_bad_file_is_set_aside_under_a_name_that_says_why(tmp_path: Path) -> None:
    for content in (b"one", b"two"):
        disk.write_file(tmp_path / "x.sql.gz", content)
        moved = disk.set_aside(tmp_path / "x.sql.gz", "does-not-verify")
        assert moved.read_bytes() == content
        assert moved.name.startswith("x.sql.gz.does-not-verify-")
    assert names(tmp_path) == {"rejected"}
    assert len(names(tmp_path / "rejected")) == 2


def test_a_second_run_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    with disk.lock(tmp_path, "vendas", doing="dump of daily-2026-02-02-020000", wait_seconds=0):
        with (
            pytest.raises(Busy, match=rf'"pid": {os.getpid()}, "doing": "dump of daily-2026-02-02-020000"') as caught,
            disk.lock(tmp_path, "vendas", doing="archive", wait_seconds=0),
        ):
            pass
        assert not caught.value.permanent
        with disk.lock(tmp_path, "outro", doing="dump", wait_seconds=0):
            pass
    with disk.lock(tmp_path, "vendas", doing="archive", wait_seconds=0):
        pass


def test_the_lock_of_a_killed_run_dies_with_it_and_its_leftovers_are_removed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "holding\n"
        with (
            pytest.raises(Busy, match=f'"pid": {holder.pid}'),
            disk.lock(tmp_path, "vendas", doing="dump", wait_seconds=0),
        ):
            pass
        holder.send_signal(signal.SIGKILL)
    with disk.lock(tmp_path, "vendas", doing="dump", wait_seconds=0):
        assert disk.remove_abandoned(tmp_path) == [".daily-2026-02-02-020000.sql.gz.partial"]
    assert names(tmp_path) == {".vendas.lock"}


def test_what_others_write_meanwhile_is_not_taken_for_abandoned(tmp_path: Path) -> None:
    """The metadata file has a lock of its own: whoever holds the database's must not delete it half-written."""
    (tmp_path / ".backup-metadata.jsonl.partial").touch()
    (tmp_path / ".weekly-2026-02-01-020000.sql.gz.partial").touch()
    assert disk.remove_abandoned(tmp_path) == [".weekly-2026-02-01-020000.sql.gz.partial"]
    assert names(tmp_path) == {".backup-metadata.jsonl.partial"}
