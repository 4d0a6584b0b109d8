"""A chain that can lose, change or swap a link in silence proves nothing of the backups that it speaks of."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from desbuquei_backups.core.anchors import Anchor, against, anchor_of, parse_anchors
from desbuquei_backups.core.errors import ConfigurationError, IntegrityError
from desbuquei_backups.core.evidence import (
    LAST,
    NOTHING,
    Entry,
    Head,
    Kind,
    follow,
    head_of,
    link_key,
    parse_link,
    sequence_of,
    sha256_of,
)
from desbuquei_backups.core.evidence_walk import Break, Fault, walk

AT = datetime(2026, 2, 2, 2, 10, tzinfo=UTC)
Chain = list[tuple[str, bytes]]


def entry(number: int, **changed: object) -> Entry:
    values: dict[str, object] = {
        "entry_id": f"e{number}",
        "at": AT + timedelta(hours=number),
        "kind": Kind.CHECKS,
        "database": "desbuquei",
        "backup_id": f"daily-2026-02-{1 + number % 28:02}-020000",
        "body": {"step": "dump", "número": number},
    }
    return Entry.model_validate(values | changed)


def chain(length: int, **changed: object) -> Chain:
    links, head = [], NOTHING
    for number in range(1, length + 1):
        content = follow(head, entry(number, **changed)).to_bytes()
        head = head_of(number, content)
        links.append((link_key(number), content))
    return links


def breaks(links: Chain, **given: object) -> list[Break]:
    return [each for step in walk(links, "desbuquei", **given) for each in step.breaks]


def named(found: list[Break]) -> set[tuple[Fault, int]]:
    """Fault and number, ranges taken apart."""
    return {
        (each.fault, number)
        for each in found
        if each.sequence is not None
        for number in range(each.sequence, (each.last or each.sequence) + 1)
    }


@st.composite
def chains(draw: st.DrawFn, least: int = 2) -> Chain:
    return chain(draw(st.integers(least, 12)))


def test_a_link_is_written_and_read_back_the_same_and_says_what_the_one_before_it_was() -> None:
    first, second = (content for _, content in chain(2))
    link = parse_link(second, where="x")
    assert link.to_bytes() == second
    assert (link.sequence, link.previous_sha256) == (2, sha256_of(first))
    assert list(json.loads(second))[:3] == ["schema_version", "sequence", "previous_sha256"]
    assert json.loads(first)["previous_sha256"] is None


@pytest.mark.parametrize(
    ("key", "number"),
    [
        ("evidence/0000000012.json", 12),
        ("evidence/12.json", None),
        ("evidence/0000000000.json", None),
        ("evidence/00000000012.json", None),
        ("evidence/0000000012.json.bak", None),
        ("daily/0000000012.json", None),
    ],
)
def test_only_a_number_of_ten_digits_is_a_links_key(key: str, number: int | None) -> None:
    assert sequence_of(key) == number


def test_a_link_of_a_newer_schema_says_so_plainly() -> None:
    newer = json.loads(chain(1)[0][1]) | {"schema_version": 3, "signature": "…"}
    with pytest.raises(IntegrityError, match="schema version 3") as caught:
        parse_link(json.dumps(newer).encode(), where="evidence/0000000001.json")
    assert "newer desbuquei_backups" in caught.value.remedy
    for odd in (b"", b"{", b"[]", b'{"schema_version": 1}', b"\xff", json.dumps(newer | {"kind": "x"}).encode()):
        with pytest.raises(IntegrityError):
            parse_link(odd, where="x")


def test_no_link_follows_the_last_number() -> None:
    with pytest.raises(IntegrityError, match="last number is taken"):
        follow(Head(LAST, "0" * 64), entry(1))


@given(chains(1))
def test_a_chain_that_nobody_touched_is_unbroken(links: Chain) -> None:
    assert breaks(links) == []
    assert breaks(links[len(links) // 2 :], start=len(links) // 2 + 1) == []


@given(chains(), st.data())
def test_a_deleted_link_is_named(links: Chain, data: st.DataObject) -> None:
    gone = data.draw(st.integers(0, len(links) - 2))
    found = breaks(links[:gone] + links[gone + 1 :])
    assert named(found) == {(Fault.MISSING, gone + 1)}
    assert found[0].expected_sha256 == sha256_of(links[gone][1])


@given(chains(3), st.data())
def test_links_cut_out_of_the_middle_are_named(links: Chain, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(links) - 2))
    until = data.draw(st.integers(first + 1, len(links) - 1))
    found = breaks(links[:first] + links[until:])
    assert named(found) == {(Fault.MISSING, number + 1) for number in range(first, until)}


@given(chains(), st.data())
def test_an_altered_link_is_named(links: Chain, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(links) - 2))
    key, content = links[at]
    byte = data.draw(st.integers(0, len(content) - 1))
    other = content[:byte] + bytes([data.draw(st.integers(0, 255))]) + content[byte + 1 :]
    assume(other != content)
    links[at] = key, other
    assert at + 1 in {number for _, number in named(breaks(links))}


@given(chains(3), st.data())
def test_a_link_that_was_altered_so_that_it_still_reads_well_is_named_and_no_other(
    links: Chain, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(links) - 2))
    key, content = links[at]
    links[at] = key, content.replace(b'"dump"', b'"none"')
    assert links[at][1] != content
    (found,) = breaks(links)
    assert (found.fault, found.sequence, found.expected_sha256) == (Fault.ALTERED, at + 1, sha256_of(content))
    assert found.backup_id == parse_link(content, where=key).backup_id


@given(chains(), st.data())
def test_swapped_links_are_both_named(links: Chain, data: st.DataObject) -> None:
    one, other = data.draw(st.lists(st.integers(0, len(links) - 1), min_size=2, max_size=2, unique=True))
    links[one], links[other] = (links[one][0], links[other][1]), (links[other][0], links[one][1])
    found = named(breaks(links))
    assert {(Fault.REORDERED, one + 1), (Fault.REORDERED, other + 1)} <= found
    assert {number for _, number in found} == {one + 1, other + 1}


@given(chains(1), st.data())
def test_a_cut_off_end_is_found_exactly_if_an_anchor_says_so(links: Chain, data: st.DataObject) -> None:
    left = data.draw(st.integers(0, len(links)))
    anchored = data.draw(st.integers(1, len(links)))
    anchor = anchor_of(head_of(anchored, links[anchored - 1][1]), "desbuquei", AT)
    assert breaks(links[:left]) == []
    walked = {sequence_of(key) or 0: sha256_of(content) for key, content in links[:left]}
    found = against([anchor], walked, start=1, last=left or None)
    assert [(each.fault, each.sequence) for each in found] == ([(Fault.CUT_OFF, anchored)] if anchored > left else [])


@given(chains(), st.data())
def test_an_end_that_was_written_anew_is_found_by_its_anchor(links: Chain, data: st.DataObject) -> None:
    kept = data.draw(st.integers(0, len(links) - 1))
    head = head_of(kept, links[kept - 1][1]) if kept else NOTHING
    forged = links[:kept]
    for number in range(kept + 1, len(links) + 1):
        content = follow(head, entry(number, body={"step": "forged"})).to_bytes()
        head = head_of(number, content)
        forged.append((link_key(number), content))
    assert breaks(forged) == []
    walked = {sequence_of(key) or 0: sha256_of(content) for key, content in forged}
    anchor = anchor_of(head_of(len(links), links[-1][1]), "desbuquei", AT)
    assert [each.fault for each in against([anchor], walked, start=1, last=len(links))] == [Fault.REWRITTEN]


def test_a_link_of_another_database_or_of_none_is_named() -> None:
    links, others = chain(4), chain(4, database="vendas")
    links[1] = others[1]
    links.append(("evidence/readme.txt", b"hello"))
    found = breaks(links)
    assert (Fault.FOREIGN, 2) in named(found)
    assert [each.key for each in found if each.fault is Fault.NO_LINK] == ["evidence/readme.txt"]


def test_early_links_whose_time_is_over_may_be_gone_and_younger_ones_may_not() -> None:
    links = chain(6)[3:]
    assert breaks(links, kept_since=AT + timedelta(hours=5)) == []
    assert named(breaks(links, kept_since=AT + timedelta(hours=4))) == {(Fault.MISSING, n) for n in (1, 2, 3)}
    assert named(breaks([links[0], links[2]], kept_since=AT + timedelta(days=9))) == {(Fault.MISSING, 5)}


def test_a_chain_that_was_begun_anew_in_the_middle_is_found() -> None:
    links = chain(3)
    head = head_of(3, links[2][1])
    forged = follow(head, entry(4)).model_copy(update={"previous_sha256": None}).to_bytes()
    assert named(breaks([*links, (link_key(4), forged)])) == {(Fault.ALTERED, 4)}


def test_a_break_says_in_one_line_which_link_and_which_backup() -> None:
    found = Break(Fault.ALTERED, "it is not what link 3 says it was", 2, backup_id="daily-x", whole_version="v1")
    assert found.said() == "link 2 (daily-x): altered: it is not what link 3 says it was; its version v1 is whole"
    assert Break(Fault.MISSING, "they are not in the bucket", 2, 9).said().startswith("links 2 to 9: missing")


def test_anchors_are_lines_and_what_is_none_is_refused_with_its_number() -> None:
    anchor = Anchor(database="desbuquei", sequence=3, sha256="0" * 64, at=AT)
    other = anchor.model_copy(update={"database": "vendas"})
    assert parse_anchors(f"{anchor.line()}\n\n{other.line()}\n", "desbuquei", where="x") == [anchor]
    with pytest.raises(ConfigurationError, match=r"line 2 of mail\.txt is no anchor"):
        parse_anchors(f"{anchor.line()}\n{anchor.line()[:-9]}\n", "desbuquei", where="mail.txt")
    for nothing in ("", other.line()):
        with pytest.raises(ConfigurationError, match="no anchor of the database desbuquei"):
            parse_anchors(nothing, "desbuquei", where="x")
