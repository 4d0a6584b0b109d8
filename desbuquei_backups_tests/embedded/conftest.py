"""A home of its own for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from desbuquei_backups_tests.embedded.processes import deserted_in_the_end


@pytest.fixture
def own_home(tmp_path: Path) -> Iterator[Path]:
    with deserted_in_the_end(tmp_path / "home") as path:
        yield path
