"""A tar that broke off, or whose manifest was lost on its way, is no backup."""

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desbuquei_backups.core.errors import IntegrityError
from desbuquei_backups.storage.tar_stream import TarWatcher


def tar_of(members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        folder = tarfile.TarInfo("pg_wal")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return made.getvalue()


def watched(data: bytes, cut: int, *, wanted: str = "backup_manifest") -> TarWatcher:
    watcher = TarWatcher(lambda name: name == wanted)
    chunks = [data[at : at + cut] for at in range(0, len(data), cut)]
    assert b"".join(watcher.passing(chunks, name="base")) == data
    return watcher


@given(st.dictionaries(st.sampled_from("abcdef"), st.binary(max_size=2000), max_size=4), st.integers(1, 3000))
def test_what_passes_is_unchanged_counted_and_the_manifest_kept(members: dict[str, bytes], cut: int) -> None:
    members = {**members, "backup_manifest": b'{"WAL-Ranges": []}'}
    found = watched(tar_of(members), cut)
    assert found.kept == {"backup_manifest": members["backup_manifest"]}
    assert found.unpacked == sum(map(len, members.values()))


def test_a_tar_that_is_cut_off_is_found_out_at_every_length() -> None:
    data = tar_of({"a": b"rows" * 300})
    end = data.rindex(b"rows") + 4
    for length in range(0, end, 97):
        with pytest.raises(IntegrityError, match="cut off"):
            list(TarWatcher(lambda _: False).passing([data[:length]], name="base"))


def test_what_is_no_tar_is_refused() -> None:
    with pytest.raises(IntegrityError, match="not a tar"):
        list(TarWatcher(lambda _: False).passing([b"x" * 2048], name="base"))
