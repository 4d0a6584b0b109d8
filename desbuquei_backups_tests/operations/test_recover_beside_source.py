"""A clone beside its running source, which has an archive_command by ALTER SYSTEM and a tablespace of its own."""

import io
import json
import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest

from desbuquei_backups.core.errors import IntegrityError, OutOfReach
from desbuquei_backups.core.targets import Target
from desbuquei_backups.core.wal import parse_lsn
from desbuquei_backups.operations.copies import Place
from desbuquei_backups.operations.recovered_copy import Wanted, recovered_copy
from desbuquei_backups.operations.settings import S3_URL
from desbuquei_backups.postgres.cluster import Cluster
from desbuquei_backups.postgres.physical import wal_range
from desbuquei_backups_tests.operations.altered_base import altered, store_base
from desbuquei_backups_tests.operations.origin import account_here
from desbuquei_backups_tests.operations.story import Story, connected, digest, ledger_of, taken

LATEST = Wanted(Target(), Place.DISK, throw_away=True)


@dataclass(frozen=True)
class Space:
    """A tablespace of the running source: its folder, and its number. `made`: where the WAL makes it."""

    folder: Path
    number: int
    made: int


@pytest.fixture(scope="module")
def space(story: Story) -> Space:
    folder = story.ground / "space"
    folder.mkdir(mode=0o700)
    if (account := account_here()) is not None:
        account.give(folder)
    with story.origin.connect() as connection:
        (made,) = connection.execute("select pg_current_wal_insert_lsn()::text").fetchone()
        connection.execute(f"create tablespace apart location '{folder}'")
        connection.execute("create table apart (a int) tablespace apart")
        connection.execute("insert into apart select generate_series(1, 1000)")
        (number,) = connection.execute("select oid::int from pg_tablespace where spcname = 'apart'").fetchone()
        story.origin.switch()
        connection.execute("checkpoint")
    return Space(folder, number, parse_lsn(made))


def state(story: Story, *folders: Path) -> dict[str, str]:
    """All of the source that stands still when nobody writes to it."""
    data = story.origin.cluster.data
    return digest(story.origin.archive, data / "base", data / "pg_tblspc", *folders) | {
        "own settings": (data / "postgresql.auto.conf").read_text()
    }


def test_a_clone_made_by_the_command_archives_nothing_and_leaves_its_source_as_it_was(story: Story) -> None:
    settings = story.site.settings
    data, origin = story.free(), story.origin
    with origin.connect() as connection:
        connection.execute("checkpoint")
    before = state(story)
    program = "import sys; from desbuquei_backups.cli.main import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, "recover", "--to", "latest", "--data-dir", str(data), "--json"],
        env={"PATH": os.environ["PATH"], "HOME": "/", S3_URL: settings.s3_url, **settings.aws},
        cwd=story.ground,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["backup_id"] == story.slot.backup_id
    assert told["reached"]["end_of_wal"] is True
    assert told["reached"]["timeline"] == 2
    # As a person starts it: by nothing but what is in the directory.
    copy = Cluster(data, origin.cluster.programs, account_here())
    log = story.ground / "started.log"
    log.touch()
    lock = os.open(story.ground, os.O_RDONLY)
    server = copy.start(log, {}, lock)
    try:
        url = f"postgresql://postgres@127.0.0.1:{told['port']}/postgres?sslmode=disable"
        with psycopg.connect(url, autocommit=True) as connection:
            found = {xid for (xid,) in connection.execute("select xid from ledger").fetchall()}
            assert found == story.before(story.end)
            connection.execute("create table later (a int)")
            connection.execute("select pg_switch_wal()")
            connection.execute("checkpoint")
            (archived,) = connection.execute("select archived_count from pg_stat_archiver").fetchone()
            (command,) = connection.execute("show archive_command").fetchone()
        assert (archived, command) == (0, "(disabled)")
    finally:
        server.stop()
        os.close(lock)
    assert state(story) == before


def test_wal_that_makes_a_tablespace_is_not_replayed_onto_the_sources_own(story: Story, space: Space) -> None:
    before = state(story, space.folder)
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
    assert state(story, space.folder) == before


def test_tablespaces_in_a_base_backup_are_brought_inside_or_it_is_refused(story: Story, space: Space) -> None:
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
    before = state(story, space.folder)
    base, apart = (taken / "base.tar").read_bytes(), (taken / f"{space.number}.tar").read_bytes()
    own = (taken / "backup_manifest").read_bytes()
    found = wal_range(own)
    facts = story.manifest.base.model_copy(
        update={"start_lsn": _lsn(found.start), "stop_lsn": _lsn(found.stop), "timeline": found.timeline}
    )
    manifest = story.manifest.model_copy(update={"base": facts})
    with story.changed() as changed:
        folder = changed.site.settings.folder
        whole = altered(base, lambda _, content: content, {f"pg_tblspc/{space.number}": apart, **_single(own)})
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
    assert state(story, space.folder) == before


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


def test_a_base_backup_with_a_tablespace_is_recovered_from_s3_beside_its_source(story: Story, space: Space) -> None:
    urls = {**story.site.settings.urls, S3_URL: f"{story.site.settings.s3_url}-spaces"}
    settings = replace(story.site.settings, backup_dir=story.ground / "with-space", urls=urls)
    site = replace(story.site, settings=settings)
    manifest = taken(site, story.slot)
    assert [each.number for each in (space,)] == [each.oid for each in manifest.base.tablespaces]
    with story.origin.connect() as connection:
        connection.execute("checkpoint")
    before = state(story, space.folder)
    data = story.free()
    own_end = Wanted(Target(name=manifest.backup_id), Place.S3, throw_away=True)
    with recovered_copy(site, own_end, data) as copy, connected(copy) as connection:
        assert not (data / "pg_tblspc" / str(space.number)).is_symlink()
        assert connection.execute("select count(*) from apart").fetchone() == (1000,)
        connection.execute("insert into apart select generate_series(1, 5000)")
        connection.commit()
    assert state(story, space.folder) == before
