"""Write-ahead log by its names: what is needed, what is missing, and on which timeline."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desbuquei_backups.core.errors import IntegrityError
from desbuquei_backups.core.wal import (
    Branch,
    Gap,
    Histories,
    Segment,
    WalKind,
    gaps,
    kind_of,
    needed,
    next_number,
    parse_history,
    parse_lsn,
    show_lsn,
)

MIB = 1024 * 1024
SIZES = st.sampled_from([1 << power for power in range(20, 31)])
SIZE = 16 * MIB


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("000000010000000000000001", WalKind.SEGMENT),
        ("00000002.history", WalKind.HISTORY),
        ("000000010000000000000001.00000028.backup", WalKind.LABEL),
        ("000000010000000000000001.partial", None),
        (".000000010000000000000001.partial", None),
        ("00000001000000000000000g", None),
        ("000000010000000000000001.gz", None),
        ("0000000100000000000000010", None),
        ("archive_status", None),
    ],
)
def test_only_what_postgresql_archives_is_taken_for_wal(name: str, kind: WalKind | None) -> None:
    assert kind_of(name) is kind


@given(st.integers(0, 2**64 - 1))
def test_a_position_is_read_as_it_was_written(position: int) -> None:
    assert parse_lsn(show_lsn(position)) == position
    assert parse_lsn(f" {show_lsn(position).lower()} ") == position


@pytest.mark.parametrize("text", ["", "16", "16/", "/16", "16/B374D8480", "g/0", "-1/0", "16/ 4"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a WAL position"):
        parse_lsn(text)


@given(st.integers(1, 2**32 - 1), st.integers(0, 2**64 - 1), SIZES)
def test_a_segment_is_found_again_by_its_name(timeline: int, position: int, size: int) -> None:
    segment = Segment.holding(timeline, position, size)
    assert Segment.of_name(segment.name, size) == segment
    assert kind_of(segment.name) is WalKind.SEGMENT
    assert segment.start <= position < segment.end


def test_names_are_those_that_the_server_gives() -> None:
    # pg_walfile_name('16/B374D848') with segments of 16 MiB, of 64 MiB
    assert Segment.holding(1, parse_lsn("16/B374D848")).name == "0000000100000016000000B3"
    assert Segment.holding(1, parse_lsn("16/B374D848"), 64 * MIB).name == "00000001000000160000002C"
    with pytest.raises(ValueError, match="67,108,864 bytes"):
        Segment.of_name("0000000100000016000000B3", 64 * MIB)


HISTORY = b'1\t0/5000148\tno recovery target specified\n\n# a comment\n2\t0/9000000\tat restore point "x"\n'


def test_a_history_says_where_each_timeline_was_left() -> None:
    branches = parse_history(HISTORY, name="00000003.history")
    assert branches == (Branch(1, parse_lsn("0/5000148")), Branch(2, parse_lsn("0/9000000")))
    assert list(Histories({3: branches}).path(3)) == [
        (1, 0, parse_lsn("0/5000148")),
        (2, parse_lsn("0/5000148"), parse_lsn("0/9000000")),
        (3, parse_lsn("0/9000000"), None),
    ]


@pytest.mark.parametrize("content", [b"1\n", b"one\t0/1\tx", b"1\t0/5\tx\n1\t0/6\ty\n", b"2\t0/5\tx\n1\t0/6\ty\n"])
def test_a_history_that_makes_no_sense_is_refused(content: bytes) -> None:
    with pytest.raises(IntegrityError, match=r"00000003\.history"):
        parse_history(content, name="00000003.history")


def test_the_segment_in_which_a_timeline_begins_is_its_own() -> None:
    histories = Histories({2: [Branch(1, 5 * SIZE + 100)], 3: [Branch(1, 5 * SIZE + 100), Branch(2, 7 * SIZE)]})

    def names(timeline: int, start: int, stop: int) -> list[tuple[int, int]]:
        return [(each.timeline, each.number) for each in needed(timeline, start, stop, histories)]

    assert names(1, 4 * SIZE, 6 * SIZE) == [(1, 4), (1, 5)]
    assert names(2, 4 * SIZE + 1, 6 * SIZE + 1) == [(1, 4), (2, 5), (2, 6)]
    # Before the branch, in its segment: of the old timeline that one was perhaps never finished.
    assert names(2, 4 * SIZE, 5 * SIZE + 50) == [(1, 4), (2, 5)]
    # A branch between two segments takes nothing of the old timeline's last one.
    assert names(3, 5 * SIZE, 8 * SIZE) == [(2, 5), (2, 6), (3, 7)]
    assert names(3, 9 * SIZE, 9 * SIZE) == []


@st.composite
def _lineages(draw: st.DrawFn) -> tuple[int, Histories]:
    ats = sorted(draw(st.lists(st.integers(1, 40 * SIZE), max_size=4)))
    branches = [Branch(number, at) for number, at in enumerate(ats, 1)]
    return len(branches) + 1, Histories({len(branches) + 1: branches} if branches else {})


@given(_lineages(), st.integers(0, 50 * SIZE), st.integers(0, 50 * SIZE))
def test_each_byte_of_a_range_is_in_just_one_needed_segment(
    lineage: tuple[int, Histories], start: int, stop: int
) -> None:
    timeline, histories = lineage
    found = needed(timeline, start, stop, histories)
    assert [each.number for each in found] == list(range(start // SIZE, -(-stop // SIZE))) or (start >= stop)
    assert [each.timeline for each in found] == sorted(each.timeline for each in found)
    for each in found:
        # Whoever asks PostgreSQL: a segment's timeline is the last that has begun by its end.
        begun = [t for t, first, _ in histories.path(timeline) if first // SIZE <= each.number]
        assert each.timeline == begun[-1]


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_gaps_are_the_runs_that_are_missing_and_nothing_else(there: list[bool]) -> None:
    wanted = [Segment(1, number) for number in range(len(there))]
    names = {segment.name for segment, is_there in zip(wanted, there, strict=True) if is_there}
    found = gaps(wanted, names)
    missing = {number for gap in found for number in range(gap.first.number, gap.last.number + 1)}
    assert missing == {number for number, is_there in enumerate(there) if not is_there}
    # Runs, not single ones: between two gaps something is there.
    assert all(later.first.number > earlier.last.number + 1 for earlier, later in pairwise(found))


def test_a_gap_is_said_by_names_and_positions() -> None:
    gap = Gap(Segment(1, 3), Segment(1, 5))
    assert gap.said() == ("000000010000000000000003 to 000000010000000000000005, 3 segments (0/3000000 to 0/6000000)")


def test_what_comes_next_is_after_the_last_on_the_way_and_no_dead_end() -> None:
    histories = Histories({2: [Branch(1, 5 * SIZE + 100)]})
    names = [Segment(1, 4).name, Segment(1, 5).name, Segment(1, 9).name]
    assert next_number(2, names, histories, SIZE) == 5
    assert next_number(1, names, histories, SIZE) == 10
    assert next_number(2, [*names, Segment(2, 5).name, "00000002.history"], histories, SIZE) == 6
    assert next_number(2, [Segment(3, 9).name], histories, SIZE) is None
