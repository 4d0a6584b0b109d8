"""A base backup that is not whole, or that stands in the way of the dump, costs the recovery that it was taken for."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
from zstandard import ZstdCompressor, ZstdDecompressor

from desbuquei_backups.core.errors import IntegrityError, NotFound, SlotError, ToolFailed
from desbuquei_backups.core.manifest import Manifest, Role
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.embedded import Server, servers
from desbuquei_backups.operations import records, unpacking
from desbuquei_backups.operations.archive import archive
from desbuquei_backups.operations.base_backup import BaseTaken, NotApplicable, take_base_backup
from desbuquei_backups.operations.dump import take_dump
from desbuquei_backups.operations.progress import Silent
from desbuquei_backups.operations.prune import prune
from desbuquei_backups.operations.seal import seal
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.verification import verify_backup
from desbuquei_backups.postgres import physical
from desbuquei_backups.storage.inside import read_inside
from desbuquei_backups.storage.stream import read_file
from desbuquei_backups_tests.conftest import MakeSite
from desbuquei_backups_tests.embedded.processes import deserted_in_the_end
from desbuquei_backups_tests.keys import new_key
from desbuquei_backups_tests.operations.losses import flip, spoil
from desbuquei_backups_tests.urls import with_credentials

_PASSWORD = "segredo-7c2"
_ELSEWHERE = physical.Space(1, "de_outro_tempo", "/nowhere")
_PHYSICAL = {Role.BASE, Role.TABLESPACE, Role.BASE_MANIFEST, Role.CONFIGURATION}


@pytest.fixture(scope="module")
def bare_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A superuser's URL of a cluster of its own, which has no tablespaces: pg_basebackup streams it."""
    with deserted_in_the_end(tmp_path_factory.mktemp("bare")) as home, servers(home, Server.SOURCE) as running:
        url = running.postgres[Server.SOURCE].url
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("create table clientes as select 'cliente ' || i as nome from generate_series(1, 50) i")
        yield url


@pytest.fixture
def bare(make_site: MakeSite, bare_url: str) -> Site:
    return make_site(bare_url)


@pytest.fixture
def without_replication(source: psycopg.Connection, source_url: str, database_name: str) -> Iterator[str]:
    """The URL of a role that may read everything, and not replicate."""
    name = f"reader_{database_name}"
    source.execute(f"create role {name} login password '{_PASSWORD}' in role pg_read_all_data")
    yield with_credentials(source_url, name, _PASSWORD)
    source.execute(f"drop owned by {name}; drop role {name}")


@pytest.fixture(params=[True, False], ids=["the server compresses", "it cannot"])
def compresses(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the server compresses what it sends: one that was built without zstd does not."""
    if not request.param:
        monkeypatch.setattr(physical, "compresses", lambda connection: False)
    return bool(request.param)


def taken(site: Site, slot: Slot) -> BaseTaken:
    take_dump(site, slot)
    found = take_base_backup(site, slot)
    assert isinstance(found, BaseTaken)
    return found


def sealed(site: Site, slot: Slot) -> Manifest:
    taken(site, slot)
    seal(site, slot)
    return archive(site, slot).manifest


def inside(site: Site, manifest: Manifest, role: Role) -> bytes:
    file = manifest.file(role)
    return b"".join(read_inside(read_file(site.settings.folder / file.name), file, site.identity))


def test_it_is_part_of_the_dailys_manifest_and_archive_and_every_file_verifies(bare, slot, compresses) -> None:
    site = bare
    found = taken(site, slot)
    assert found.verified is not None
    assert (found.verified.faults, found.verified.unread) == ([], "")
    seal(site, slot)
    archived = archive(site, slot)
    assert {file.facts.role for file in archived.files} >= _PHYSICAL - {Role.TABLESPACE}
    assert all(file.whole for file in archived.files)
    base = archived.manifest.base
    assert base is not None
    assert base.stop_lsn > base.start_lsn
    line = records.line_of(site.settings.folder, slot.backup_id)
    assert line is not None
    assert line["total_size"] == archived.manifest.size > line["size"]
    ranges = json.loads(inside(site, archived.manifest, Role.BASE_MANIFEST))["WAL-Ranges"]
    assert [ranges[0]["Start-LSN"], ranges[0]["End-LSN"]] == [base.start_lsn, base.stop_lsn]
    assert verify_backup(site, slot.backup_id, remote=True).whole


def test_the_servers_own_configuration_is_kept_wherever_it_lies(site, shop, slot) -> None:
    manifest = taken(site, slot).manifest
    kept = json.loads(inside(site, manifest, Role.CONFIGURATION))
    assert "summarize_wal" in kept["postgresql.conf"]
    assert "replication" in kept["pg_hba.conf"]


def test_tablespaces_are_files_of_their_own_and_verify_with_it(sample_site, slot, compresses) -> None:
    found = taken(sample_site, slot)
    assert found.verified is not None
    assert found.verified.faults == []
    (space, *_) = found.manifest.base.tablespaces
    assert space.file in [file.name for file in found.manifest.files if file.role is Role.TABLESPACE]
    assert not list(sample_site.settings.folder.glob(".unpacked-*"))


def test_run_again_it_is_verified_and_not_taken_again(site, shop, slot) -> None:
    first = taken(site, slot)
    again = take_base_backup(site, slot)
    assert again.reused
    assert again.manifest == first.manifest
    spoil(site.settings.folder / first.manifest.file(Role.BASE).name, flip)
    with pytest.raises(IntegrityError, match="SHA-256"):
        take_base_backup(site, slot)


def test_a_file_altered_on_its_way_is_found_by_postgresqls_own_program(bare, slot, monkeypatch, compresses) -> None:
    site = bare
    take_dump(site, slot)
    streamed, written = physical.base_backup, physical.base_backup_in

    def altered(*given, **named):
        return (piece.replace(b"cliente 7", b"cliente 8") for piece in streamed(*given, **named))

    def altered_in(programs, parameters, into, **named):
        yield from written(programs, parameters, into.with_name("aside"), **named)
        tar = ZstdDecompressor().decompressobj().decompress((into.with_name("aside") / "base.tar.zst").read_bytes())
        (into / "base.tar.zst").write_bytes(ZstdCompressor().compress(tar.replace(b"cliente 7", b"cliente 8")))
        (into.with_name("aside") / physical.MANIFEST).rename(into / physical.MANIFEST)
        shutil.rmtree(into.with_name("aside"))

    monkeypatch.setattr(physical, "base_backup", altered)
    monkeypatch.setattr(physical, "base_backup_in", altered_in)
    with pytest.raises(IntegrityError, match="checksum mismatch"):
        take_base_backup(site, slot)
    # The dump stands alone.
    assert seal(site, slot).manifest.base is None
    assert {file.role for file in archive(site, slot).manifest.files} & _PHYSICAL == set()


def test_without_replication_the_dump_stands_alone_and_nothing_is_made_on_the_server(
    make_site, source, slot, without_replication
) -> None:
    site = make_site(without_replication)
    take_dump(site, slot)
    found = take_base_backup(site, slot)
    assert isinstance(found, NotApplicable)
    assert "replication is refused" in found.why
    assert source.execute("select count(*) from pg_replication_slots").fetchone() == (0,)
    assert seal(site, slot).manifest.base is None


def test_a_database_that_goes_away_meanwhile_leaves_no_file_under_a_final_name(
    bare, slot, monkeypatch, compresses
) -> None:
    site = bare
    take_dump(site, slot)

    def broken(*given, **named):
        yield b"\0" * 100
        raise ToolFailed("pg_basebackup was killed", remedy="run again")

    def broken_in(programs, parameters, into, **named):
        (into / "base.tar.zst").write_bytes(b"\0" * 100)
        yield
        raise ToolFailed("pg_basebackup was killed", remedy="run again")

    monkeypatch.setattr(physical, "base_backup", broken)
    monkeypatch.setattr(physical, "base_backup_in", broken_in)
    with pytest.raises(ToolFailed) as caught:
        take_base_backup(site, slot)
    assert caught.value.backup_id == slot.backup_id
    assert not list(site.settings.folder.glob("*.base*"))
    assert not list(site.settings.folder.glob(".*partial"))
    assert not list(site.settings.folder.glob(".unpacked-*"))


def test_without_room_to_unpack_it_a_tar_that_is_cut_off_is_found_all_the_same(bare, slot, monkeypatch) -> None:
    site = bare
    take_dump(site, slot)
    written = physical.base_backup_in

    def cut_off(programs, parameters, into, **named):
        for _ in written(programs, parameters, into, **named):
            pass
        packed = into / "base.tar.zst"
        tar = ZstdDecompressor().decompressobj().decompress(packed.read_bytes())
        into.joinpath("shorter").write_bytes(ZstdCompressor().compress(tar[: len(tar) // 2]))
        into.joinpath("shorter").replace(packed)
        yield

    monkeypatch.setattr(physical, "base_backup_in", cut_off)
    monkeypatch.setattr(unpacking, "_SPARE", 1e9)
    with pytest.raises(IntegrityError, match="cut off"):
        take_base_backup(site, slot)
    monkeypatch.setattr(physical, "base_backup_in", written)
    found = take_base_backup(site, slot)
    assert isinstance(found, BaseTaken)
    assert found.verified is not None
    assert not found.verified.faults
    assert "free" in found.verified.unread


def test_encrypted_it_is_opened_and_verified_only_where_the_identity_is(bare, slot, tmp_path) -> None:
    site = bare
    ours = new_key(tmp_path)
    host = replace(site, settings=replace(site.settings, age_recipients=(ours.recipient,)))
    found = taken(host, slot)
    assert found.verified is not None
    assert "encrypted" in found.verified.unread
    files = [file for file in found.manifest.files if file.role.physical]
    assert {file.name.endswith(".age") for file in files} == {True}
    for file in files:
        assert (host.settings.folder / file.name).read_bytes().startswith(b"age-encryption.org")
    opener = replace(host, settings=replace(host.settings, age_identity=ours.file))
    assert take_base_backup(opener, slot).verified.faults == []


def test_encrypted_tablespaces_are_never_on_disk_in_the_clear(sample_site, slot, tmp_path) -> None:
    ours = new_key(tmp_path)
    settings = replace(sample_site.settings, age_recipients=(ours.recipient,))
    seen: set[str] = set()

    class Looking(Silent):
        def advance(self, amount: int) -> None:
            for path in folder.rglob("*"):
                if path.is_file() and path not in before and path.parent.name != "wal_archive":
                    seen.add(path.name)
                    assert b"age-encryption.org".startswith(path.read_bytes()[:18]), path

    folder, site = settings.folder, replace(sample_site, settings=settings)
    take_dump(site, slot)
    before = set(folder.rglob("*"))
    found = take_base_backup(replace(site, progress=Looking()), slot)
    assert isinstance(found, BaseTaken)
    assert "encrypted" in found.verified.unread
    (space, *_) = found.manifest.base.tablespaces
    assert space.file == f"{slot.backup_id}.base.{space.oid}.tar.zst.age"
    assert {name for name in seen if f".base.{space.oid}.tar" in name}
    opener = replace(sample_site, settings=replace(settings, age_identity=ours.file))
    assert take_base_backup(opener, slot).verified.faults == []


def test_a_tablespace_that_is_made_meanwhile_is_not_left_out(sample_site, slot, tmp_path, monkeypatch) -> None:
    settings = replace(sample_site.settings, age_recipients=(new_key(tmp_path).recipient,))
    site = replace(sample_site, settings=settings)
    take_dump(site, slot)
    known = physical.capability
    monkeypatch.setattr(
        physical, "capability", lambda *given, **named: replace(known(*given, **named), spaces=[_ELSEWHERE])
    )
    with pytest.raises(ToolFailed, match="made or dropped meanwhile"):
        take_base_backup(site, slot)
    assert seal(site, slot).manifest.base is None


def test_only_an_open_slot_that_has_a_dump_and_is_not_sealed_takes_one(site, shop, slot, clock) -> None:
    with pytest.raises(NotFound, match="no dump"):
        take_base_backup(site, slot)
    take_dump(site, slot)
    clock.pass_by(days=1)
    with pytest.raises(SlotError, match="closed"):
        take_base_backup(site, slot)
    seal(site, slot)
    assert isinstance(take_base_backup(site, slot), NotApplicable)


def test_a_longer_tier_takes_the_dump_over_and_not_the_base_backup(site, shop, together) -> None:
    due = site.open_slot("quarterly").due
    sealed(site, Slot("daily", due))
    take_dump(site, Slot("weekly", due))
    seal(site, Slot("weekly", due))
    weekly = archive(site, Slot("weekly", due)).manifest
    assert weekly.copy_of == Slot("daily", due).backup_id
    assert (weekly.base, [file.role for file in weekly.files if file.role.physical]) == (None, [])


def test_a_daily_that_takes_over_a_weeklys_dump_has_its_own_base_backup(site, shop, together) -> None:
    due = site.open_slot("quarterly").due
    take_dump(site, Slot("weekly", due))
    seal(site, Slot("weekly", due))
    archive(site, Slot("weekly", due))
    daily = sealed(site, Slot("daily", due))
    assert daily.copy_of is not None
    assert daily.base is not None
    assert verify_backup(site, daily.backup_id, remote=True).whole


@pytest.mark.usefixtures("same_time")
def test_it_is_pruned_with_its_backup(site, shop, slot, clock, bucket) -> None:
    first = sealed(site, slot)
    tiers = {name: tier.model_copy(update={"never_fewer_than": 0}) for name, tier in site.policy.tiers.items()}
    policy = site.policy.model_copy(update={"tiers": tiers})
    site = replace(site, settings=replace(site.settings, policy=policy))
    clock.pass_by(days=40)
    sealed(site, site.open_slot("daily"))
    prune(site)
    prune(site)
    assert not list(site.settings.folder.glob(f"{first.backup_id}.base*"))
    assert not [key for key in bucket.keys("daily/") if first.backup_id in key]
