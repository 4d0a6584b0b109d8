"""A base backup that is unpacked wrongly, or elsewhere than it should be, is a lost cluster."""

import io
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from desbuquei_backups.core.errors import IntegrityError
from desbuquei_backups.storage.ahead import ahead
from desbuquei_backups.storage.tar_stream import TarWatcher, TarWriter


def tar_of(*members: tuple[str, bytes | None]) -> bytes:
    """A tar of files, and of folders where the content is None."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            member.size = len(content or b"")
            tar.addfile(member, io.BytesIO(content or b""))
    return made.getvalue()


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def unpack(chunks: Iterator[bytes], into: Path) -> TarWriter:
    writer = TarWriter(into)
    try:
        for _ in writer.passing(chunks, name="it"):
            pass
    finally:
        writer.close()
    return writer


@given(
    contents=st.lists(st.binary(max_size=1500), max_size=6),
    size=st.integers(1, 3000),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_what_is_unpacked_is_what_was_packed_however_it_is_cut(
    tmp_path: Path, contents: list[bytes], size: int
) -> None:
    into = Path(mkdtemp(dir=tmp_path))
    files = {f"base/{index}/file": content for index, content in enumerate(contents)}
    packed = tar_of(("base", None), *files.items())
    writer = unpack(pieces(packed, size), into)
    assert {str(path.relative_to(into)): path.read_bytes() for path in into.rglob("*") if path.is_file()} == files
    assert writer.unpacked == sum(map(len, contents))
    watcher = TarWatcher(lambda name: name.endswith("/0/file"))
    assert b"".join(watcher.passing(pieces(packed, size), name="it")) == packed
    assert list(watcher.kept.values()) == contents[:1]


def test_files_are_their_owners_alone(tmp_path: Path) -> None:
    unpack(iter([tar_of(("a/b", b"x"))]), tmp_path)
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "a/b")} == {0o700, 0o600}


@pytest.mark.parametrize("name", ["../outside", "/outside", "a/../../outside"])
def test_no_member_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    with pytest.raises(IntegrityError, match="leads out"):
        unpack(iter([tar_of((name, b"x"))]), inside)
    assert [path.name for path in tmp_path.iterdir()] == ["inside"]


def test_no_link_is_made_and_none_is_written_through(tmp_path: Path) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        link = tarfile.TarInfo("pg_tblspc/16384")
        link.type, link.linkname = tarfile.SYMTYPE, "/srv/of/the/source"
        tar.addfile(link)
    with pytest.raises(IntegrityError, match="neither a file nor a folder"):
        unpack(iter([made.getvalue()]), tmp_path)
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / "there").symlink_to(precious)
    with pytest.raises(OSError, match="symbolic links"):
        unpack(iter([tar_of(("there", b"x"))]), tmp_path)
    assert precious.read_text() == "mine"


@pytest.mark.parametrize("cut", [700, 512, 100, 1030])
def test_a_tar_that_is_cut_off_is_not_taken_for_whole(tmp_path: Path, cut: int) -> None:
    packed = tar_of(("a", b"x" * 600), ("b", b"y"))
    with pytest.raises(IntegrityError, match="cut off"):
        unpack(iter([packed[:cut]]), tmp_path)


def test_what_is_read_ahead_comes_in_order_and_with_its_error() -> None:
    def failing() -> Iterator[bytes]:
        yield from (b"%d" % number for number in range(20))
        raise IntegrityError("it is damaged", remedy="")

    seen = []
    with pytest.raises(IntegrityError, match="damaged"):
        seen.extend(ahead(failing()))
    assert seen == [b"%d" % number for number in range(20)]


def test_who_stops_reading_leaves_no_thread_and_nothing_open() -> None:
    closed = threading.Event()

    def endless() -> Iterator[bytes]:
        try:
            while True:
                yield b"x"
        finally:
            closed.set()

    reading = ahead(endless())
    assert next(reading) == b"x"
    reading.close()
    assert closed.is_set()
    assert "ahead" not in {thread.name for thread in threading.enumerate()}
