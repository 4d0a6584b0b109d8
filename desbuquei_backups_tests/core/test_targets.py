"""A target that is read otherwise than it was meant brings back another moment."""

from datetime import UTC, datetime

import pytest

from desbuquei_backups.core.errors import ConfigurationError
from desbuquei_backups.core.targets import Target, parse_target

_AT = datetime(2026, 2, 2, 12, 34, 56, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("latest", Target()),
        ("2026-02-02T12:34:56+00:00", Target(at=_AT)),
        ("2026-02-02 12:34:56Z", Target(at=_AT)),
        ("2026-02-02T09:34:56-03:00", Target(at=_AT)),
        ("16/B374D848", Target(position=0x16B374D848)),
        ("0/0", Target(position=0)),
        ("hourly-2026-02-02-030000", Target(name="hourly-2026-02-02-030000")),
        ("antes da migração", Target(name="antes da migração")),
    ],
)
def test_a_target_means_what_it_says(text: str, target: Target) -> None:
    assert parse_target(text) == target
    assert parse_target(f" {text} ") == target


@pytest.mark.parametrize("text", ["2026-02-02T12:34:56", "2026-02-02 12:34", "2026-02-02"])
def test_an_instant_without_a_zone_is_refused_and_the_remedy_can_be_copied(text: str) -> None:
    with pytest.raises(ConfigurationError, match="has no zone") as caught:
        parse_target(text)
    suggested = caught.value.remedy.split()[2]
    assert parse_target(suggested).at == datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "  ", "2026-13-45T00:00:00Z", "2026-02-02T25:00:00Z", "x" * 64, "a\nb",
                                  "0001-01-01T00:00:00+14:00"])  # fmt: skip
def test_what_is_no_target_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_target(text)
