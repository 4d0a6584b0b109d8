"""A backup that nobody can open is lost, and one that anybody can open is stolen."""

import gzip
import hashlib
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyrage
import pytest
from hypothesis import given
from hypothesis import strategies as st

from desbuquei_backups.core.errors import ConfigurationError, DiskError, IdentityError, IntegrityError, StoreUnreachable
from desbuquei_backups.core.manifest import DecryptedFacts, FileFacts, Role
from desbuquei_backups.storage.age import decrypt, encrypt
from desbuquei_backups.storage.age_keys import Identity, parse_recipients
from desbuquei_backups.storage.inside import read_inside
from desbuquei_backups.storage.stream import checksums_of, read_file, write_gzip
from desbuquei_backups_tests.keys import Key, new_key


@pytest.fixture
def ours(tmp_path: Path) -> Key:
    return new_key(tmp_path)


@pytest.fixture
def identity(ours: Key) -> Identity:
    return Identity.read(ours.file)


def encrypted(data: bytes, *keys: Key) -> bytes:
    written: list[bytes] = []
    encrypt([data], [each.recipient for each in keys], written.append)
    return b"".join(written)


def opened(data: bytes, identity: Identity, cut: int = 70_000) -> bytes:
    return b"".join(decrypt((data[at : at + cut] for at in range(0, len(data), cut)), identity, name="x.age"))


@given(st.lists(st.binary(max_size=3000), max_size=5), st.integers(1, 999))
def test_what_is_encrypted_comes_out_again(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes], cut: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    ours = new_key(folder)
    written: list[bytes] = []
    encrypt(chunks, [ours.recipient], written.append)
    assert opened(b"".join(written), Identity.read(ours.file), cut) == b"".join(chunks)


def test_any_recipient_opens_it_so_that_a_key_can_be_changed_without_losing_old_backups(tmp_path: Path) -> None:
    old, new = new_key(tmp_path, "old"), new_key(tmp_path, "new")
    data = encrypted(b"rows", old, new)
    assert [opened(data, Identity.read(each.file)) for each in (old, new)] == [b"rows", b"rows"]


def test_nothing_is_written_to_disk_in_the_clear_and_the_sums_are_of_both(
    tmp_path: Path, ours: Key, identity: Identity
) -> None:
    plain = [b"segredo " * 1000, os.urandom(300_000)]
    path = tmp_path / "x.sql.gz.age"
    sums = write_gzip(plain, path, [ours.recipient])
    written = path.read_bytes()
    assert written.startswith(b"age-encryption.org/v1")
    assert {each.name for each in tmp_path.iterdir()} == {"x.sql.gz.age", ours.file.name}
    assert (sums.size, sums.sha256) == (len(written), hashlib.sha256(written).hexdigest())
    inside = opened(written, identity)
    assert gzip.decompress(inside) == b"".join(plain)
    assert sums.decrypted is not None
    assert (sums.decrypted.size, sums.decrypted.sha256) == (len(inside), hashlib.sha256(inside).hexdigest())
    assert sums.decrypted.md5 == hashlib.md5(inside, usedforsecurity=False).hexdigest()
    assert replace(checksums_of(path, plain_size=sums.plain_size), parts_sha256=None, decrypted=sums.decrypted) == sums


def test_another_identity_is_told_from_damage(tmp_path: Path, ours: Key) -> None:
    other = Identity.read(new_key(tmp_path, "other").file)
    with pytest.raises(IdentityError, match="none of its keys") as caught:
        opened(encrypted(b"rows", ours), other)
    assert "--identity" in caught.value.remedy


def test_a_flipped_bit_or_a_cut_off_end_is_found_out_wherever_it_is(ours: Key, identity: Identity) -> None:
    data = encrypted(os.urandom(200_000), ours)
    for at in (30, 150, 400, 65_900, 131_300, len(data) - 1):
        with pytest.raises((IntegrityError, IdentityError)):
            opened(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], identity)
        with pytest.raises(IntegrityError, match="damaged"):
            opened(data[:at], identity)


def test_what_goes_wrong_while_encrypting_or_reading_is_told_as_it_is(tmp_path: Path, ours: Key, identity) -> None:
    def broken(first: bytes) -> Iterator[bytes]:
        yield first
        raise StoreUnreachable("S3 is down", remedy="wait")

    with pytest.raises(StoreUnreachable, match="S3 is down"):
        encrypt(broken(b"rows"), [ours.recipient], lambda _: None)
    with pytest.raises(StoreUnreachable, match="S3 is down"):
        list(decrypt(broken(encrypted(os.urandom(100_000), ours)[:90_000]), identity, name="x"))
    with pytest.raises(DiskError, match="full"):
        write_gzip([os.urandom(100_000)], Path("/dev/full"), [ours.recipient])


def test_who_stops_reading_leaves_nothing_running(ours: Key, identity: Identity) -> None:
    before = threading.active_count()
    reading = decrypt([encrypted(os.urandom(5_000_000), ours)], identity, name="x")
    next(reading)
    reading.close()
    assert threading.active_count() == before


def test_a_file_that_was_encrypted_from_other_bytes_is_not_the_manifests(tmp_path: Path, ours: Key, identity) -> None:
    path = tmp_path / "daily.sql.gz.age"
    sums = write_gzip([b"other rows"], path, [ours.recipient])
    assert sums.decrypted is not None
    facts = FileFacts(
        name=path.name,
        role=Role.DUMP,
        size=sums.size,
        plain_size=sums.plain_size,
        md5=sums.md5,
        sha256=sums.sha256,
        decrypted=DecryptedFacts(size=sums.decrypted.size, md5=sums.decrypted.md5, sha256="0" * 64),
    )
    with pytest.raises(IntegrityError, match="not what was encrypted"):
        list(read_inside(read_file(path), facts, identity))
    with pytest.raises(IdentityError, match="no identity"):
        list(read_inside(read_file(path), facts, None))


def test_recipients_are_separated_by_commas_or_blanks_and_counted_once(tmp_path: Path) -> None:
    one, two = new_key(tmp_path, "1").recipient, new_key(tmp_path, "2").recipient
    assert parse_recipients(f" {one},{two}\n{one} ") == (one, two)
    assert parse_recipients("") == ()


def test_a_recipient_that_is_none_is_refused_and_a_secret_key_never_repeated(ours: Key) -> None:
    with pytest.raises(ConfigurationError, match="recipient 2 of"):
        parse_recipients(f"{ours.recipient},age1odd")
    for given_ in (ours.secret, ours.secret.lower()):
        with pytest.raises(ConfigurationError, match="secret key") as caught:
            parse_recipients(given_)
        assert ours.secret.lower() not in str(caught.value).lower()


@pytest.mark.parametrize("content", ["", "AGE-SECRET-KEY-1ABC", "ssh-ed25519 AAAA"])
def test_an_identity_file_without_an_identity_says_so_and_shows_nothing(tmp_path: Path, content: str) -> None:
    path = tmp_path / "identity"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match="holds no age identity") as caught:
        Identity.read(path)
    assert "ABC" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Identity.read(tmp_path / "missing")


def test_an_identity_does_not_show_its_secret(ours: Key, identity: Identity) -> None:
    assert ours.secret not in repr(identity)
    assert identity.recipients == [ours.recipient]


def test_the_format_is_ages_own(ours: Key) -> None:
    assert pyrage.decrypt(encrypted(b"rows", ours), [pyrage.x25519.Identity.from_str(ours.secret)]) == b"rows"
