"""A budget that is misread reads ten times as much out of the store, and is paid for."""

import pytest

from desbuquei_backups.core.sizes import parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("50GB", 50_000_000_000), ("50 GB", 50_000_000_000), ("1.5TB", 1_500_000_000_000), ("7 kB", 7_000), ("1B", 1)],
)
def test_a_number_and_a_unit_are_a_size(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "50", "GB", "50gb", "50 GiB", "-1GB", "1e3GB", "50GB/s", "0GB", "0.1B", " 1GB", "٥GB"]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="50GB"):
        parse_size(text)
