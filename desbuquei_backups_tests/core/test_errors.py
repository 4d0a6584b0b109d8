"""An error that cannot say what to do next wakes somebody up twice."""

import inspect
import re

import pytest

from desbuquei_backups.core import errors

CLASSES = {name: value for name, value in vars(errors).items() if inspect.isclass(value)}
PASSING = {"SourceUnreachable", "ToolFailed", "DiskError", "StoreUnreachable", "Busy"}


def drawn() -> dict[str, str]:
    """Each class in the docstring's tree, with the class above it."""
    above: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"((?:│   |    |├── |└── )*)(\w+)(?:  |$)", line):
            depth = len(found[1]) // 4
            path[depth:] = [found[2]]
            if depth:
                above[found[2]] = path[depth - 1]
    return above


def test_the_tree_in_the_docstring_is_the_tree_in_the_code() -> None:
    assert drawn() == {name: kind.__base__.__name__ for name, kind in CLASSES.items() if name != "BackupError"}


def test_all_of_them_are_public() -> None:
    assert sorted(CLASSES) == errors.__all__


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_each_says_what_happened_to_which_backup_and_what_to_do(name: str) -> None:
    error = CLASSES[name]("the disk is full", remedy="free space", backup_id="daily-2026-02-02-020000")
    assert str(error) == "daily-2026-02-02-020000: the disk is full\nWhat to do: free space"
    assert error.permanent is (name not in PASSING)
    assert error.exit_status == (2 if name == "ConfigurationError" else 1)


def test_without_a_backup_it_says_the_rest() -> None:
    assert str(errors.Busy("busy", remedy="wait")) == "busy\nWhat to do: wait"
