"""What makes reading quick must not make anything pass that is not what the bucket has."""

import gzip
import json

import pytest

from desbuquei_backups.core.evidence import link_key
from desbuquei_backups.operations import evidence_packs
from desbuquei_backups.operations.chain_audit import audit
from desbuquei_backups.operations.daily_audit import audit_today
from desbuquei_backups.operations.evidence_head import find
from desbuquei_backups.operations.evidence_packs import pack, read_links
from desbuquei_backups.operations.site import Site
from desbuquei_backups.storage import in_order
from desbuquei_backups_tests.conftest import MakeSite
from desbuquei_backups_tests.operations.chains import content_of, overwrite, told


@pytest.fixture
def packed(make_site: MakeSite, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Ten links, eight of them in two packs of four."""
    monkeypatch.setattr(evidence_packs, "SIZE", 4)
    site = make_site(None)
    told(site, 1, 2, 3, 4, 5)
    assert audit_today(site).whole
    assert pack(site.bucket, find(site.bucket)) == 0
    return site


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the links that are read one by one."""
    keys: list[str] = []
    original = in_order.read_in_order

    def watched(bucket, wanted, *progress):
        return original(bucket, (keys.append(key) or key for key in wanted), *progress)

    monkeypatch.setattr(evidence_packs, "read_in_order", watched)
    return keys


def test_links_that_are_packed_are_read_by_the_pack_and_are_what_is_there(packed: Site, read: list[str]) -> None:
    there = {link_key(number): content_of(packed.bucket, link_key(number)) for number in range(1, 11)}
    assert dict(read_links(packed.bucket, 1)) == there
    assert read == [link_key(9), link_key(10)]
    assert [key for key, _ in read_links(packed.bucket, 3)] == list(there)[2:]


def test_a_link_that_is_not_what_the_pack_has_is_read_itself_and_the_break_is_found(
    packed: Site, read: list[str]
) -> None:
    whole = content_of(packed.bucket, link_key(3))
    overwrite(packed.bucket, link_key(3), whole.replace(b'"desbuquei"', b'"desbuquei" ', 1))
    assert [(each.fault, each.sequence) for each in audit(packed).breaks] == [("altered", 3)]
    assert read[0] == link_key(3)
    packed.bucket.delete(link_key(3))
    assert [(each.fault, each.sequence) for each in audit(packed).breaks if each.sequence] == [("missing", 3)]
    overwrite(packed.bucket, link_key(3), whole)
    assert audit(packed).whole


def test_a_pack_that_was_tampered_with_hides_nothing_and_breaks_nothing(packed: Site) -> None:
    first, second = packed.bucket.keys(evidence_packs.FOLDER)
    links = json.loads(gzip.decompress(content_of(packed.bucket, first)))
    bad = {key: text.replace("desbuquei", "loja") for key, text in links.items()}
    overwrite(packed.bucket, first, gzip.compress(json.dumps(bad).encode()))
    damaged = bytearray(content_of(packed.bucket, second))
    damaged[20] ^= 0xFF
    for bad_pack in (b"nonsense", bytes(damaged), damaged[:-9]):
        overwrite(packed.bucket, second, bytes(bad_pack))
        assert audit(packed).whole
    packed.bucket.delete(link_key(2))
    assert ("missing", 2) in [(each.fault, each.sequence) for each in audit(packed).breaks]


def test_links_of_thousands_of_tables_are_left_out_so_that_a_pack_fits_into_the_memory(
    packed: Site, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in list(packed.bucket.keys(evidence_packs.FOLDER)):
        packed.bucket.delete(key)
    sizes = {link_key(number): len(content_of(packed.bucket, link_key(number))) for number in range(1, 11)}
    monkeypatch.setattr(evidence_packs, "LONGEST", min(sizes.values()))
    assert pack(packed.bucket, find(packed.bucket)) == 2
    read.clear()
    assert [key for key, _ in read_links(packed.bucket, 1)] == list(sizes)
    assert read == [key for key, size in sizes.items() if size > min(sizes.values()) or key > link_key(8)]


def test_links_that_are_over_are_not_packed_again_and_again(packed: Site, read: list[str]) -> None:
    (first, _) = packed.bucket.keys(evidence_packs.FOLDER)
    packed.bucket.delete(first)
    packed.bucket.delete(link_key(1))
    assert pack(packed.bucket, find(packed.bucket)) == 0
    assert read == []
