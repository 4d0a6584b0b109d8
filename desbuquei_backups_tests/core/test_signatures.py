"""A signature that can be taken away, moved or made anew in silence is no signature."""

import json
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from desbuquei_backups.core.evidence import NOTHING, follow, head_of, link_key, parse_link
from desbuquei_backups.core.evidence_walk import Break, Fault, walk
from desbuquei_backups.core.signatures import Signatures, link_bytes
from desbuquei_backups.storage.signing_keys import SigningKey, read_public_keys
from desbuquei_backups_tests.core.test_evidence import Chain, chain, entry, named
from desbuquei_backups_tests.keys import SigningPair, new_signing_pair


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> SigningPair:
    return new_signing_pair(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> SigningPair:
    return new_signing_pair(tmp_path_factory.mktemp("others"))


def going_on(links: Chain, count: int, pair: SigningPair | None) -> Chain:
    """The chain with so many links more, signed if there is a key."""
    signer = SigningKey.read(pair.secret) if pair is not None else None
    made, head = list(links), head_of(len(links), links[-1][1]) if links else NOTHING
    for number in range(len(links) + 1, len(links) + count + 1):
        content = link_bytes(follow(head, entry(number)), signer)
        head = head_of(number, content)
        made.append((link_key(number), content))
    return made


def judged(links: Chain, *pairs: SigningPair, start: int = 1) -> tuple[list[Break], Signatures]:
    keys = {key_id: key for pair in pairs for key_id, key in read_public_keys(pair.public).items()}
    signatures = Signatures(keys)
    found = [each for step in walk(links, "desbuquei", start=start, heard=signatures.heard) for each in step.breaks]
    return found + signatures.ended(), signatures


def test_a_chain_that_was_not_signed_goes_on_signed(pair: SigningPair) -> None:
    links = going_on(chain(3), 4, pair)
    found, signatures = judged(links, pair)
    assert (found, signatures.signed, signatures.since) == ([], 4, 4)
    assert links[:3] == chain(3)
    assert judged(links)[0] == []  # who has no public key walks it all the same
    signed = parse_link(links[3][1], where="x")
    assert (signed.schema_version, signed.key_id) == (2, SigningKey.read(pair.secret).key_id)
    assert list(json.loads(links[3][1]))[-2:] == ["key_id", "signature"]
    assert signed.to_bytes() == links[3][1]
    assert judged(links[4:], pair, start=5)[1].signed == 3


def _edited(links: Chain, number: int) -> bytes:
    return links[number - 1][1].replace(b'"dump"', b'"dumb"')


def _unsigned(links: Chain, number: int) -> bytes:
    link = parse_link(links[number - 1][1], where="x")
    return link.model_copy(update={"signature": None, "key_id": None, "schema_version": 1}).to_bytes()


def _resigned(links: Chain, number: int, signature: bytes) -> bytes:
    link = parse_link(links[number - 1][1], where="x")
    return link.model_copy(update={"signature": b64encode(signature).decode()}).to_bytes()


_TAMPERED: dict[str, tuple[Callable[[Chain], Chain], set[tuple[Fault, int]]]] = {
    "a link deleted": (lambda links: links[:4] + links[5:], {(Fault.MISSING, 5)}),
    "two links swapped": (
        lambda links: [*links[:3], (links[3][0], links[4][1]), (links[4][0], links[3][1]), links[5]],
        {(Fault.REORDERED, 4), (Fault.REORDERED, 5), (Fault.ALTERED, 5)},
    ),
    "a link edited": (
        lambda links: [*links[:4], (links[4][0], _edited(links, 5)), links[5]],
        {(Fault.BAD_SIGNATURE, 5), (Fault.ALTERED, 5)},
    ),
    "the last link edited": (
        lambda links: [*links[:5], (links[5][0], _edited(links, 6))],
        {(Fault.BAD_SIGNATURE, 6)},
    ),
    "an unsigned link before them edited": (
        lambda links: [(links[0][0], _edited(links, 1)), *links[1:]],
        {(Fault.ALTERED, 1)},
    ),
    "a signature replaced": (
        lambda links: [*links[:5], (links[5][0], _resigned(links, 6, bytes(64)))],
        {(Fault.BAD_SIGNATURE, 6)},
    ),
    "a signature of another link": (
        lambda links: [*links[:5], (links[5][0], _resigned(links, 6, b"x" * 9))],
        {(Fault.BAD_SIGNATURE, 6)},
    ),
    "the last signature stripped": (
        lambda links: [*links[:5], (links[5][0], _unsigned(links, 6))],
        {(Fault.UNSIGNED, 6)},
    ),
}


@pytest.mark.parametrize("how", _TAMPERED)
def test_each_way_to_tamper_with_a_signed_chain_is_found_and_named(pair: SigningPair, how: str) -> None:
    tamper, expected = _TAMPERED[how]
    assert named(judged(tamper(going_on(chain(2), 4, pair)), pair)[0]) == expected


def test_an_end_that_was_written_anew_without_the_key_is_named_from_its_first_link_on(pair: SigningPair) -> None:
    signed = going_on([], 4, pair)
    forged = going_on(signed[:2], 5, None)
    found = judged(forged, pair)[0]
    assert named(found) == {(Fault.UNSIGNED, 3)}
    assert "neither may those after it" in found[0].what
    assert named(judged(going_on(going_on(forged, 1, pair), 1, None), pair)[0]) == {
        (Fault.UNSIGNED, 3),
        (Fault.UNSIGNED, 9),
    }


def test_a_chain_that_lost_all_its_signatures_is_not_taken_for_one_that_never_had_any(pair: SigningPair) -> None:
    found = judged(chain(5), pair)[0]
    assert named(found) == {(Fault.UNSIGNED, 1)}
    assert "taken away" in found[0].what
    assert judged([], pair)[0] == []


def test_an_end_that_somebody_signs_with_a_key_of_their_own_is_named(pair: SigningPair, other: SigningPair) -> None:
    links = going_on(going_on([], 2, pair), 2, other)
    assert named(judged(links, pair)[0]) == {(Fault.ANOTHER_KEY, 3), (Fault.ANOTHER_KEY, 4)}


def test_a_key_that_follows_another_is_accepted_by_who_knows_both(pair: SigningPair, other: SigningPair) -> None:
    links = going_on(going_on([], 2, pair), 2, other)
    found, signatures = judged(links, pair, other)
    assert (found, signatures.signed) == ([], 4)


def test_a_link_that_bears_the_id_of_the_key_and_another_ones_signature_is_named(
    pair: SigningPair, other: SigningPair
) -> None:
    links = going_on([], 1, pair)
    signer, forger = SigningKey.read(pair.secret), SigningKey.read(other.secret)
    forger.__dict__["key_id"] = signer.key_id
    content = link_bytes(follow(head_of(1, links[0][1]), entry(2)), forger)
    assert named(judged([*links, (link_key(2), content)], pair)[0]) == {(Fault.BAD_SIGNATURE, 2)}


def test_keys_in_one_file_are_all_read(pair: SigningPair, other: SigningPair, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(other.public.read_bytes() + b"\n" + pair.public.read_bytes())
    assert set(read_public_keys(both)) == {SigningKey.read(each.secret).key_id for each in (pair, other)}
