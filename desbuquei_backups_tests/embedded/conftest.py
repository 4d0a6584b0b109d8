"""A home of its own for each test, seen to be deserted and removed afterwards."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from desbuquei_backups.embedded.place import forget
from desbuquei_backups_tests.embedded.processes import eventually, living


@pytest.fixture
def own_home(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "home"
    yield path
    if not path.exists():
        return
    left = not eventually(lambda: not living(path))
    assert not left, living(path)
    forget(path)
