"""A checksum of less than what another program wrote would call every later look at the backup an alteration."""

from pathlib import Path

import pytest

from desbuquei_backups.core.errors import DiskError
from desbuquei_backups.storage.growing import Growing
from desbuquei_backups.storage.stream import CHUNK, checksums_of


def test_what_is_appended_while_it_is_read_is_hashed_once_and_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "base.tar.zst"
    growing = Growing(path)
    assert growing.read() == 0  # it is not there yet
    with path.open("wb", buffering=0) as file:
        for size in (1, CHUNK, 3 * CHUNK + 7):
            file.write(b"x" * size)
            assert growing.read() == size
        file.write(b"the last of it")
    found = growing.checksums(plain_size=5)
    wanted = checksums_of(path, plain_size=5)
    assert (found.size, found.sha256, found.md5) == (wanted.size, wanted.sha256, wanted.md5)
    assert found.plain_size == 5


def test_a_file_that_never_came_is_not_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="not there"):
        Growing(tmp_path / "base.tar.zst").checksums(plain_size=0)
