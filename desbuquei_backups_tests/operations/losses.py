"""After anything that went wrong: what must still be so."""

import json
import logging
import zlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from desbuquei_backups.core.errors import BackupError
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.operations import records, verify
from desbuquei_backups.operations.site import Site
from desbuquei_backups.postgres.plain_dump import PlainDumpReader
from desbuquei_backups.storage import catalog
from desbuquei_backups.storage.s3 import Bucket


@dataclass
class Losses:
    """Looks for what an operator could lose. `bucket` reaches the store even where the site's own does not."""

    bucket: Bucket
    secrets: list[str]
    log: pytest.LogCaptureFixture
    errors: list[BackupError] = field(default_factory=list)

    def fails(
        self,
        site: Site,
        slot: Slot,
        step: Callable[[Site, Slot], object],
        kind: type[BackupError],
        match: str,
        *,
        status: str | None = "failed",
        spoiled: Collection[str] = (),
    ) -> BackupError:
        """See that `step` fails so, and that nothing is lost by it; `status` None: another run's to record."""
        with pytest.raises(kind, match=match) as caught:
            step(site, slot)
        self.assert_nothing_lost(site, slot, caught.value, status=status, spoiled=spoiled)
        return caught.value

    def assert_nothing_lost(
        self,
        site: Site,
        slot: Slot,
        error: BackupError,
        *,
        status: str | None = "failed",
        spoiled: Collection[str] = (),
    ) -> None:
        """`spoiled` are the files that the test itself damaged."""
        folder = site.settings.folder
        assert error.backup_id == slot.backup_id
        assert error.remedy
        if folder.exists():
            self._assert_whole(folder, slot, spoiled)
        assert unfinished(self.bucket) == []
        if status is not None:
            (line,) = [line for line in list(records.lines(folder)) if line["backup_id"] == slot.backup_id]
            assert (line["status"], line["error"]) == (status, error.what)
        self.errors.append(error)
        self.assert_no_secret(folder)

    def assert_no_secret(self, folder: Path) -> None:
        shown = [self.log.text, *(f"{error}{error!r}{error.__cause__!r}" for error in self.errors)]
        shown += [path.read_text() for path in folder.rglob("*.json*") if path.is_file()]
        shown += [path.read_text() for path in folder.glob(".*.lock")]
        for secret in self.secrets:
            assert not any(secret in text for text in shown)

    def _assert_whole(self, folder: Path, slot: Slot, spoiled: Collection[str]) -> None:
        names = {path.name for path in folder.iterdir() if path.is_file()}
        assert not {name for name in names if "partial" in name}
        for name in names - set(spoiled):
            if name.endswith(".gz"):
                assert_whole(folder / name)
            elif name.endswith(".json"):
                json.loads((folder / name).read_text())
        there = catalog.on_disk(folder, slot.backup_id)
        if there is not None:
            faults = verify.checksum_faults(folder, there.manifest)
            assert {fault.partition(" ")[0] for fault in faults} <= set(spoiled)


def assert_whole(path: Path) -> None:
    """A .gz that ends where it should; a dump with its footer."""
    inflater = zlib.decompressobj(wbits=31)
    plain = inflater.decompress(path.read_bytes())
    assert inflater.eof
    assert not inflater.unused_data
    reader = PlainDumpReader(passing=False)
    reader.feed(plain)
    reader.finish()
    if path.name.count(".") == 2:  # ID.sql.gz
        assert reader.found.complete


def unfinished(bucket: Bucket) -> list[str]:
    """The keys of multipart uploads that were neither completed nor aborted."""
    found = bucket.client.list_multipart_uploads(Bucket=bucket.name, Prefix=bucket.prefix)
    return [upload["Key"] for upload in found.get("Uploads", [])]


def spoil(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def flip(data: bytes) -> bytes:
    """One bit in the middle."""
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def line_of(site: Site, slot: Slot) -> dict[str, object]:
    """The backup's line in the metadata file: there is only one."""
    (line,) = [line for line in list(records.lines(site.settings.folder)) if line["backup_id"] == slot.backup_id]
    return line


@dataclass
class Watching:
    """A progress that calls back: `at` when a stage begins, and once when the stage's first bytes have passed."""

    at: dict[str, Callable[[], object]] = field(default_factory=dict)
    within: dict[str, Callable[[], object]] = field(default_factory=dict)
    stages: list[str] = field(default_factory=list)

    def stage(self, name: str, total: int | None = None, *, unit: str = "bytes") -> None:
        self.stages.append(name)
        if call := self.at.get(name):
            call()

    def advance(self, amount: int) -> None:
        if call := self.within.pop(self.stages[-1], None):
            call()


def children(program: str) -> Sequence[int]:
    """The processes of that program that this one started and that still live."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        for number in (task / "children").read_text().split():
            try:
                if (Path("/proc") / number / "comm").read_text().strip() == program:
                    found.add(int(number))
            except OSError:
                continue
    return sorted(found)


logging.getLogger("desbuquei_backups").setLevel(logging.DEBUG)
