"""Point-in-time recovery on real servers: exact under a write load, and never a byte of the source touched."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from zstandard import ZstdCompressor

from desbuquei_backups.core.errors import (
    Busy,
    ConfigurationError,
    IdentityError,
    IntegrityError,
    OutOfReach,
    TargetRefused,
)
from desbuquei_backups.core.manifest import Manifest
from desbuquei_backups.core.targets import Target, parse_target
from desbuquei_backups.core.wal import Segment, show_lsn
from desbuquei_backups.operations.copies import Place
from desbuquei_backups.operations.recovered_copy import Wanted, recovered_copy
from desbuquei_backups.operations.recovery_folder import WORK, recovery_folder
from desbuquei_backups.storage import catalog
from desbuquei_backups.storage.s3 import Bucket
from desbuquei_backups_tests.keys import new_key
from desbuquei_backups_tests.operations.altered_base import with_members
from desbuquei_backups_tests.operations.losses import Watching, flip
from desbuquei_backups_tests.operations.origin import SEGMENT
from desbuquei_backups_tests.operations.story import (
    POINT,
    Story,
    killed_while_its_server_runs,
    ledger_of,
    store_wal,
    taken,
)
from desbuquei_backups_tests.operations.test_encryption import with_keys

Change = Callable[[bytes], bytes]
_LATEST = Wanted(Target(), throw_away=True)


def from_disk(to: str) -> Wanted:
    return Wanted(parse_target(to), Place.DISK, throw_away=True)


def replaced(path: Path, change: Change) -> None:
    """With other content, and without touching what has the same bytes under another name."""
    content = change(path.read_bytes())
    path.unlink()
    path.write_bytes(content)


def refused(story: Story, wanted: Wanted, kind: type[Exception], match: str) -> Exception:
    """See that it is refused, and that nothing was fetched for it."""
    data = story.free()
    with pytest.raises(kind, match=match) as caught, recovered_copy(story.site, wanted, data):
        pass
    assert not data.exists() or {path.name for path in data.iterdir()} <= {WORK}
    return caught.value


def test_recovered_to_a_moment_it_has_all_that_was_committed_by_then_and_nothing_later(story: Story) -> None:
    own = story.ledger
    pairs = [
        (first, second)
        for first, second in itertools.pairwise(each for each in story.commits if each.xid in own)
        if first.position > story.point
    ]
    last, _ = max(pairs[: len(pairs) // 2], key=lambda pair: pair[1].at - pair[0].at)
    with recovered_copy(story.site, from_disk(last.at.isoformat()), story.free()) as copy:
        assert ledger_of(copy) == story.before(last.position + 1)
        assert copy.reached.committed_at == last.at
        assert copy.reached.timeline == 2
        assert not copy.reached.at_the_end


def test_recovered_to_a_position_it_has_what_was_written_before_it(story: Story) -> None:
    at = story.commits[len(story.commits) // 2].position
    with recovered_copy(story.site, from_disk(show_lsn(at)), story.free()) as copy:
        assert ledger_of(copy) == story.before(at)
        assert copy.reached.position == at


def test_recovered_to_a_restore_point_from_nothing_but_the_bucket_even_after_it_was_cut_off(story: Story) -> None:
    data, elsewhere = story.free(), story.ground / "nothing here"
    settings = replace(story.site.settings, backup_dir=elsewhere, urls={"DESBUQUEI_S3_URL": story.site.settings.s3_url})
    wanted = Wanted(Target(name=POINT))

    def cut() -> None:
        raise KeyboardInterrupt

    watching = Watching(at={"verifying the base backup": cut})
    site = replace(story.site, settings=settings, progress=watching)
    with pytest.raises(KeyboardInterrupt), recovered_copy(site, wanted, data):
        pass
    assert (data / "PG_VERSION").exists()
    (data / "left over").write_text("of the first try")
    with recovered_copy(replace(site, progress=Watching()), wanted, data) as copy:
        assert ledger_of(copy) == story.before(story.point)
        assert not (data / "left over").exists()
    assert not elsewhere.exists()


def test_killed_while_it_replays_it_leaves_no_server_and_is_simply_run_again(story: Story) -> None:
    data = story.free()
    asked = ["recover", "--to", POINT, "--data-dir", str(data), "--json"]
    killed_while_its_server_runs(story.command(*asked), lambda: data)
    assert (data / WORK).exists()
    with story.command(*asked) as again:
        _, wrong = again.communicate()
    assert again.returncode == 0, wrong
    assert not (data / WORK).exists()
    assert not (data / "recovery.signal").exists()


def test_where_nothing_was_committed_after_a_moment_the_end_of_the_wal_is_that_moment(story: Story) -> None:
    bucket = Bucket(f"{story.site.settings.s3_url}/idle", story.site.settings.aws)
    settings = replace(story.site.settings, urls={"DESBUQUEI_S3_URL": f"{story.site.settings.s3_url}/idle"})
    site = replace(story.site, settings=settings)
    store(site, story.site.settings.folder, story.manifest)
    at = story.commits[-1].at + timedelta(minutes=10)
    store_wal(bucket, story.manifest, story.segments, current_at=at)
    with recovered_copy(site, Wanted(Target(at=at)), story.free()) as copy:
        assert ledger_of(copy) == story.before(story.end)
        assert copy.reached.at_the_end


def test_a_moment_that_the_wal_does_not_show_is_not_taken_for_its_end(story: Story) -> None:
    with story.changed() as changed:
        # The newest segment was written later than its last commit: what happened between, nothing tells.
        at = story.commits[-1].at + timedelta(milliseconds=1)
        replaced(changed.segments[-1], lambda content: content)
        with (
            pytest.raises(OutOfReach, match="is not in the WAL") as caught,
            recovered_copy(changed.site, from_disk(at.isoformat()), story.free()),
        ):
            pass
        assert f"its last commit was at {story.commits[-1].at:%Y-%m-%d %H:%M:%S.%f} UTC" in caught.value.what


def refused_after_replay(story: Story, wanted: Wanted) -> OutOfReach:
    with (
        pytest.raises(OutOfReach, match="is not in the WAL") as caught,
        recovered_copy(story.site, wanted, story.free()),
    ):
        pass
    assert caught.value.backup_id == story.slot.backup_id
    return caught.value


def test_an_instant_without_its_zone_is_bad_usage_and_makes_no_folder(story: Story) -> None:
    data = story.free()
    with story.command("recover", "--to", "2026-02-02T12:00:00", "--data-dir", str(data)) as process:
        _, wrong = process.communicate()
    assert process.returncode == 2
    assert "has no zone" in wrong
    assert not data.exists()


def test_what_cannot_be_reached_is_refused_with_what_can_before_anything_is_fetched(story: Story) -> None:
    base = story.manifest.base
    assert base is not None
    early = story.commits[0].at - timedelta(days=1)
    for to, why in (
        (early.isoformat(), "before the oldest base backup"),
        ((base.stopped_at - timedelta(milliseconds=1)).isoformat(), "before the oldest base backup"),
        (base.start_lsn, "lies within the base backup"),
        ("2126-02-02T00:00:00Z", "after the newest WAL"),
        ("F0/0", "after the newest WAL"),
    ):
        error = refused(story, from_disk(to), OutOfReach, why)
        assert f"{base.stopped_at:%Y-%m-%d %H:%M:%S} UTC to " in error.remedy
        assert f"({base.stop_lsn} to {show_lsn(story.end)}), from {story.slot.backup_id}" in error.remedy
    with story.changed() as changed:
        lost = changed.segments[-2]
        lost.unlink()
        error = refused(changed, from_disk(story.commits[-1].at.isoformat()), OutOfReach, "WAL is missing after")
        assert lost.name in error.what


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda content: content[: len(content) // 2], "it has"),
        (lambda content: bytes(8192) + content[8192:], "does not begin as a WAL segment does"),
        (lambda content: content[:24] + b"\7" * 8 + content[32:], "of the cluster"),
    ],
    ids=["truncated", "blank", "of another cluster"],
)
def test_a_segment_that_is_not_what_it_should_be_is_named_and_nothing_is_started(
    story: Story, change: Change, said: str
) -> None:
    with story.changed() as changed:
        replaced(changed.segments[-1], change)
        data = story.free()
        with (
            pytest.raises(IntegrityError, match=said) as caught,
            recovered_copy(changed.site, from_disk("latest"), data),
        ):
            pass
        assert changed.segments[-1].name in caught.value.what
        assert not (data / "recovery.signal").exists()


def test_a_segment_that_was_altered_in_the_bucket_is_named_and_without_one_nothing_is_fetched(story: Story) -> None:
    url = f"{story.site.settings.s3_url}/altered"
    site = replace(story.site, settings=replace(story.site.settings, urls={"DESBUQUEI_S3_URL": url}))
    store(site, story.site.settings.folder, story.manifest)
    store_wal(site.bucket, story.manifest, story.segments)
    altered = story.segments[-2]
    key = f"wal/{story.manifest.server.system_identifier}/{altered.name}.zst"
    name, whole = site.bucket.where(key)
    # One bit, in a whole object that bears the checksum of the right one.
    other = ZstdCompressor(level=1).compress(flip(altered.read_bytes()))
    said = dict(site.bucket.head(key).metadata)
    site.bucket.client.put_object(Bucket=name, Key=whole, Body=other, Metadata=said)
    data = story.free()
    with pytest.raises(IntegrityError, match="is not what was archived") as caught, recovered_copy(site, _LATEST, data):
        pass
    assert site.bucket.uri(key) in caught.value.what
    assert not (data / "recovery.signal").exists()
    site.bucket.delete(key)
    error = refused(replace(story, site=site), _LATEST, OutOfReach, f"WAL is missing after .*{altered.name}")
    assert f"to {show_lsn(begin_of(altered))})" in error.remedy


def begin_of(segment: Path) -> int:
    """Where it begins."""
    return Segment.of_name(segment.name, SEGMENT).start


def test_damage_within_a_record_is_not_taken_for_the_end_of_the_wal(story: Story) -> None:
    with story.changed() as changed:
        # In the last segment, within what is written there, and not in a page's head.
        at = story.commits[-40].position % SEGMENT + 20
        assert story.commits[-40].position // SEGMENT == story.end // SEGMENT - 1
        replaced(changed.segments[-1], lambda content: content[:at] + flip(content[at : at + 8]) + content[at + 8 :])
        with (
            pytest.raises(IntegrityError, match=r"the WAL is damaged: .*checksum in record"),
            recovered_copy(changed.site, from_disk("latest"), story.free()),
        ):
            pass


def test_a_base_backup_with_an_altered_file_is_never_started(story: Story) -> None:
    with story.changed() as changed:
        folder = changed.site.settings.folder
        with_members(folder, story.manifest, lambda name, content: flip(content) if name == "global/1260" else content)
        data = story.free()
        with (
            pytest.raises(IntegrityError, match=r"pg_verifybackup .*global/1260"),
            recovered_copy(changed.site, from_disk("latest"), data),
        ):
            pass
        assert not (data / "recovery.signal").exists()


def test_encrypted_base_and_wal_want_their_identity(story: Story, tmp_path: Path) -> None:
    key = new_key(tmp_path)
    settings = replace(
        story.site.settings,
        backup_dir=story.ground / "encrypted",
        urls={**story.site.settings.urls, "DESBUQUEI_S3_URL": f"{story.site.settings.s3_url}/encrypted"},
    )
    host = with_keys(replace(story.site, settings=settings), key)
    manifest = taken(host, story.slot)
    story.origin.write(10)
    story.origin.switch()
    begin = len(story.segments)
    newer = sorted(path for path in story.origin.archive.iterdir() if len(path.name) == 24)[begin:]
    store_wal(host.bucket, manifest, newer, recipients=(key.recipient,))
    wanted = Wanted(Target())
    refused(replace(story, site=with_keys(host)), wanted, IdentityError, "no identity is named")
    stranger = with_keys(host, identity=new_key(tmp_path, "stranger"))
    refused(replace(story, site=stranger), wanted, IdentityError, "none of its keys")
    with recovered_copy(with_keys(host, identity=key), wanted, story.free()) as copy:
        assert ledger_of(copy) == story.ledger


def test_no_folder_of_anybody_elses_is_recovered_into(story: Story, tmp_path: Path) -> None:
    data = story.free()
    data.mkdir()
    (data / "precious").write_text("mine")
    with pytest.raises(TargetRefused, match="not empty"), recovery_folder(data, doing="a test"):
        pass
    assert [path.name for path in data.iterdir()] == ["precious"]
    with pytest.raises(TargetRefused, match="is not there"), recovery_folder(data / "a" / "b", doing="a test"):
        pass
    free = story.free()
    with (
        recovery_folder(free, doing="a test"),
        pytest.raises(Busy, match="still runs"),
        recovery_folder(free, doing="another"),
    ):
        pass


def test_of_several_clusters_under_one_prefix_none_is_chosen(story: Story) -> None:
    with story.changed() as changed:
        other = story.manifest.model_copy(
            update={
                "backup_id": "daily-2026-02-03-020000",
                "server": story.manifest.server.model_copy(update={"system_identifier": "42"}),
            }
        )
        folder = changed.site.settings.folder
        catalog.manifest_path(folder, other.backup_id).write_bytes(other.to_bytes())
        (folder / f"{other.backup_id}.base.tar.zst").touch()
        error = refused(changed, from_disk("latest"), ConfigurationError, "2 clusters")
        assert "--system-identifier" in error.remedy


def store(site, folder: Path, manifest: Manifest) -> None:
    """The backup's files under another prefix."""
    for file in manifest.files:
        name, key = site.bucket.where(catalog.key_of(file.name))
        site.bucket.client.put_object(Bucket=name, Key=key, Body=(folder / file.name).read_bytes())
    site.bucket.put_bytes(f"daily/{manifest.backup_id}.manifest.json", manifest.to_bytes(), tags={})
