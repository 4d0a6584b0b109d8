"""A clone beside its running source, which has an archive_command by ALTER SYSTEM and two tablespaces of its own."""

import io
import json
import os
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest

from desbuquei_backups.core.errors import IntegrityError, OutOfReach
from desbuquei_backups.core.manifest import Role
from desbuquei_backups.core.targets import Target
from desbuquei_backups.core.wal import parse_lsn
from desbuquei_backups.operations.copies import Place
from desbuquei_backups.operations.recover import recover
from desbuquei_backups.operations.recovered_copy import Wanted, recovered_copy
from desbuquei_backups.operations.settings import S3_URL
from desbuquei_backups.postgres.cluster import Cluster
from desbuquei_backups.postgres.physical import wal_range
from desbuquei_backups_tests.keys import new_key
from desbuquei_backups_tests.operations.altered_base import altered, store_base, store_file
from desbuquei_backups_tests.operations.origin import account_here
from desbuquei_backups_tests.operations.story import Story, connected, digest, ledger_of, taken
from desbuquei_backups_tests.operations.test_encryption import with_keys

LATEST = Wanted(Target(), Place.DISK, throw_away=True)


# What a server that nobody writes to changes by itself.
_RESTLESS = ("pg_wal/", "pg_stat/", "pg_stat_tmp/", "postmaster.", "global/pg_control", "pg_logical/")


@dataclass(frozen=True)
class Space:
    """A tablespace of the running source: its folder, and its number. `made`: where the WAL makes it."""

    name: str
    folder: Path
    number: int
    made: int


@pytest.fixture(scope="module")
def spaces(story: Story) -> Sequence[Space]:
    return [_space(story, name) for name in ("apart", "farther")]


def _space(story: Story, name: str) -> Space:
    folder = story.ground / name
    folder.mkdir(mode=0o700)
    if (account := account_here()) is not None:
        account.give(folder)
    with story.origin.connect() as connection:
        (made,) = connection.execute("select pg_current_wal_insert_lsn()::text").fetchone()
        connection.execute(f"create tablespace {name} location '{folder}'")
        connection.execute(f"create table {name} (a int) tablespace {name}")
        connection.execute(f"insert into {name} select generate_series(1, 1000)")
        number = connection.execute("select oid::int from pg_tablespace where spcname = %s", (name,))
        (number,) = number.fetchone()
        story.origin.switch()
        connection.execute("checkpoint")
    return Space(name, folder, number, parse_lsn(made))


def state(story: Story, spaces: Sequence[Space] = ()) -> dict[str, str]:
    """All of the source that stands still when nobody writes to it, and its archive."""
    data = story.origin.cluster.data
    found = digest(story.origin.archive, data, *(space.folder for space in spaces))
    restless = tuple(str(data / each) for each in _RESTLESS)
    return {path: each for path, each in found.items() if not path.startswith(restless)}


@contextmanager
def started(story: Story, data: Path, port: int) -> Iterator[psycopg.Connection]:
    """As a person starts it: by nothing but what is in the directory."""
    copy = Cluster(data, story.origin.cluster.programs, account_here())
    log = story.ground / f"{data.name}.log"
    log.touch()
    lock = os.open(story.ground, os.O_RDONLY)
    server = copy.start(log, {}, lock)
    try:
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=disable"
        with psycopg.connect(url, autocommit=True) as connection:
            yield connection
    finally:
        server.stop()
        os.close(lock)


def live_in(connection: psycopg.Connection) -> None:
    """Write, end segments, and see that nobody archives them."""
    connection.execute("create table later (a int)")
    connection.execute("select pg_switch_wal()")
    connection.execute("checkpoint")
    archived = connection.execute("select archived_count, failed_count from pg_stat_archiver").fetchone()
    assert archived == (0, 0)
    assert connection.execute("show archive_command").fetchone() == ("(disabled)",)


def test_a_clone_made_by_the_command_archives_nothing_and_leaves_its_source_as_it_was(story: Story) -> None:
    data = story.free()
    with story.origin.connect() as connection:
        connection.execute("checkpoint")
    before = state(story)
    with story.command("recover", "--to", "latest", "--data-dir", str(data), "--json") as process:
        said, wrong = process.communicate()
    assert process.returncode == 0, wrong
    told = json.loads(said)
    assert told["backup_id"] == story.slot.backup_id
    assert told["reached"]["end_of_wal"] is True
    assert told["reached"]["timeline"] == 2
    with started(story, data, told["port"]) as connection:
        found = {xid for (xid,) in connection.execute("select xid from ledger").fetchall()}
        assert found == story.before(story.end)
        live_in(connection)
    assert state(story) == before


def test_wal_that_makes_a_tablespace_is_not_replayed_onto_the_sources_own(
    story: Story, spaces: Sequence[Space]
) -> None:
    before, space = state(story, spaces), spaces[0]
    with story.changed() as changed:
        for path in story.origin.archive.iterdir():
            if not (changed.archive / path.name).exists():
                os.link(path, changed.archive / path.name)
        data = story.free()
        with (
            pytest.raises(OutOfReach, match="makes tablespaces outside") as caught,
            recovered_copy(changed.site, LATEST, data),
        ):
            pass
        assert str(space.folder) in caught.value.what
        assert not (data / "pg_tblspc" / str(space.number)).exists()
        before_it = Wanted(Target(position=space.made), Place.DISK, throw_away=True)
        with recovered_copy(changed.site, before_it, data) as copy:
            assert ledger_of(copy) == story.ledger
    assert state(story, spaces) == before


def test_tablespaces_in_a_base_backup_are_brought_inside_or_it_is_refused(
    story: Story, spaces: Sequence[Space]
) -> None:
    taken = story.ground / "taken"
    taken.mkdir()
    if (account := account_here()) is not None:
        account.give(taken)
    url = story.origin.url
    story.origin.cluster.run(
        "pg_basebackup",
        [f"--dbname={url}", f"--pgdata={taken}", "--format=tar", "--wal-method=fetch", "--checkpoint=fast"],
    )
    with story.origin.connect() as connection:
        connection.execute("checkpoint")
    before, space = state(story, spaces), spaces[0]
    base = (taken / "base.tar").read_bytes()
    tars = {f"pg_tblspc/{each.number}": (taken / f"{each.number}.tar").read_bytes() for each in spaces}
    own = (taken / "backup_manifest").read_bytes()
    found = wal_range(own)
    facts = story.manifest.base.model_copy(
        update={"start_lsn": _lsn(found.start), "stop_lsn": _lsn(found.stop), "timeline": found.timeline}
    )
    manifest = story.manifest.model_copy(update={"base": facts})
    with story.changed() as changed:
        folder = changed.site.settings.folder
        manifest = store_file(folder, manifest, Role.BASE_MANIFEST, own)
        whole = altered(base, lambda _, content: content, {**tars, **_single(own)})
        store_base(folder, manifest, whole)
        data = story.free()
        with recovered_copy(changed.site, LATEST, data) as copy:
            assert any(str(space.folder) in note for note in copy.notes)
            assert not (data / "pg_tblspc" / str(space.number)).is_symlink()
            with connected(copy) as connection:
                assert connection.execute("select count(*) from apart").fetchone() == (1000,)
                connection.execute("insert into apart select generate_series(1, 5000)")
                connection.commit()
        without = altered(base, lambda name, content: content, _single(own))
        store_base(folder, manifest, without)
        with (
            pytest.raises(IntegrityError, match="pg_verifybackup"),
            recovered_copy(changed.site, LATEST, story.free()),
        ):
            pass
    assert state(story, spaces) == before


def _lsn(position: int) -> str:
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


def _single(manifest: bytes) -> dict[str, bytes]:
    """A tar that holds PostgreSQL's own manifest alone."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        member = tarfile.TarInfo("backup_manifest")
        member.size = len(manifest)
        tar.addfile(member, io.BytesIO(manifest))
    return {".": made.getvalue()}


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
def test_a_clone_with_two_tablespaces_changes_not_one_byte_of_its_source(
    story: Story, spaces: Sequence[Space], tmp_path: Path, encrypted: bool
) -> None:
    key = new_key(tmp_path)
    name = f"with-spaces-{encrypted}"
    urls = {**story.site.settings.urls, S3_URL: f"{story.site.settings.s3_url}-{name}"}
    settings = replace(story.site.settings, backup_dir=story.ground / name, urls=urls)
    site = replace(story.site, settings=settings)
    with story.origin.connect() as connection:
        # Of a machine that has other libraries: where it is loaded, the clone does not start.
        connection.execute("alter system set shared_preload_libraries = 'not_on_this_machine'")
        manifest = taken(with_keys(site, key) if encrypted else site, story.slot)
        connection.execute("alter system reset shared_preload_libraries")
        connection.execute("checkpoint")
    assert [each.oid for each in manifest.base.tablespaces] == [each.number for each in spaces]
    before = state(story, spaces)
    data = story.free()
    opener = with_keys(site, identity=key) if encrypted else site
    done = recover(opener, Wanted(Target(name=manifest.backup_id), Place.S3), data)
    assert [str(each.folder) in " ".join(done.notes) for each in spaces] == [True, True]
    with started(story, data, done.port) as connection:
        assert connection.execute("show shared_preload_libraries").fetchone() == ("",)
        for each in spaces:
            assert not (data / "pg_tblspc" / str(each.number)).is_symlink()
            assert connection.execute(f"select count(*) from {each.name}").fetchone() == (1000,)
            connection.execute(f"insert into {each.name} select generate_series(1, 5000)")
        live_in(connection)
    assert state(story, spaces) == before
