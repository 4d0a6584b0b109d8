"""Thawing, on moto's S3 server: the embedded one serves frozen objects at once and knows no RestoreObject."""

import hashlib
import json
from collections.abc import Iterator
from datetime import timedelta
from urllib.request import Request, urlopen

import pytest

from desbuquei_backups.core.errors import ConfigurationError, Frozen, NotFound
from desbuquei_backups.core.slots import Slot
from desbuquei_backups.core.thawing import LONGEST, Speed, State
from desbuquei_backups.core.tiers import StorageClass
from desbuquei_backups.operations import inventory, records, thaws
from desbuquei_backups.operations.catalog_rebuild import rebuild
from desbuquei_backups.operations.copies import Place, find_copy
from desbuquei_backups.operations.reproof import prove_due
from desbuquei_backups.operations.seal import seal
from desbuquei_backups.operations.settings import S3_URL
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.status import status
from desbuquei_backups.operations.thaw import thaw
from desbuquei_backups.storage.archives import Archive
from desbuquei_backups.storage.catalog import key_of
from desbuquei_backups_tests.moto_server import moto_server
from desbuquei_backups_tests.operations.tiers import QUARTERLY, fill

pytestmark = pytest.mark.usefixtures("shop", "together")


@pytest.fixture
def glacier() -> Iterator[str]:
    """The endpoint of moto's server, whose thaws are done after they were looked at twice."""
    with moto_server() as url:
        _post(
            f"{url}/moto-api/state-manager/set-transition",
            {"model_name": "s3::keyrestore", "transition": {"progression": "manual", "times": 3}},
        )
        yield url


def _post(url: str, content: object) -> None:
    with urlopen(Request(url, json.dumps(content).encode(), {"Content-Type": "application/json"})) as answer:  # noqa: S310
        assert answer.status in (200, 201)


@pytest.fixture
def site(make_site, source_url, glacier) -> Site:
    """A site whose quarterly is archived, frozen, on moto's server."""
    aws = {"AWS_ENDPOINT_URL_S3": glacier, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}
    site = make_site(source_url, aws=aws, urls={S3_URL: "s3://vault/backups"})
    site.bucket.client.create_bucket(Bucket="vault")
    fill(site, QUARTERLY)
    manifest = seal(site, QUARTERLY).manifest
    # moto's checksums of uploads in parts are wrong, and our upload would refuse them: the objects are put whole.
    for file in manifest.files:
        content = (site.settings.folder / file.name).read_bytes()
        frozen = file is manifest.dump or file.name == manifest.dump.name
        site.bucket.client.put_object(
            Bucket="vault",
            Key=f"backups/{key_of(file.name)}",
            Body=content,
            StorageClass="DEEP_ARCHIVE" if frozen else "STANDARD",
            Metadata={"sha256": hashlib.sha256(content).hexdigest()},
        )
    site.bucket.client.put_object(
        Bucket="vault",
        Key=f"backups/quarterly/{QUARTERLY.backup_id}.manifest.json",
        Body=manifest.to_bytes(),
    )
    records.change(site, QUARTERLY.backup_id, s3_uri="s3://vault/x", storage_class="DEEP_ARCHIVE")
    return site


def ask(site: Site, **changed: object):
    return thaw(site, QUARTERLY.backup_id, **{"days": 7, "speed": Speed.STANDARD, **changed})  # type: ignore[arg-type]


def test_a_frozen_backup_is_thawed_and_then_read(site, clock) -> None:
    with pytest.raises(Frozen, match="DEEP_ARCHIVE") as refused:
        find_copy(site, QUARTERLY.backup_id, Place.S3)
    assert "desbuquei thaw ID" in refused.value.remedy
    asked = ask(site)
    assert (asked.state, asked.asked) == (State.THAWING, True)
    assert asked.readable_by == clock.now + timedelta(hours=12)
    clock.pass_by(hours=1)
    again = ask(site)
    assert (again.state, again.asked, again.readable_by) == (State.THAWING, False, asked.readable_by)
    states = [ask(site).state for _ in range(4)]
    assert states[-1] is State.THAWED
    assert ask(site).until is not None
    copy = find_copy(site, QUARTERLY.backup_id, Place.S3)
    assert b"pedidos" in b"".join(copy.read(copy.manifest.dump.role))


def test_bulk_takes_longer_and_deep_archive_has_no_express(site, clock) -> None:
    with pytest.raises(ConfigurationError, match="expedited") as refused:
        ask(site, speed=Speed.EXPEDITED)
    assert "standard, bulk" in refused.value.remedy
    assert ask(site, speed=Speed.BULK).readable_by == clock.now + timedelta(hours=48)


def test_what_is_not_frozen_needs_no_thawing_and_what_is_not_there_is_not_found(site) -> None:
    with pytest.raises(NotFound, match="not archived"):
        thaw(site, "daily-2023-09-30-020000", days=7, speed=Speed.STANDARD)
    key = f"backups/quarterly/{QUARTERLY.backup_id}.sql.gz"
    content = site.bucket.client.get_object(
        Bucket="vault", Key=f"backups/{key_of(f'{QUARTERLY.backup_id}.manifest.json')}"
    )
    assert content["ContentLength"] > 0
    site.bucket.client.put_object(Bucket="vault", Key=key, Body=b"x", StorageClass="STANDARD")
    assert ask(site).state is State.NEVER_FROZEN


def test_a_thaw_that_somebody_else_asked_for_is_known_without_its_hour(site) -> None:
    site.bucket.thaw(key_of(f"{QUARTERLY.backup_id}.sql.gz"), days=3, speed="Bulk")
    found = ask(site)
    assert (found.state, found.readable_by) == (State.THAWING, None)


def test_every_frozen_class_says_how_long_it_takes() -> None:
    assert LONGEST.keys() == {each for each in StorageClass if each.frozen}
    assert all(Speed.STANDARD in speeds for speeds in LONGEST.values())


def thaws_said(site: Site) -> dict[str, tuple[str | None, object]]:
    """State and hour of what is listed as thawing or thawed, by the store, by the records, and in the status."""
    listings = {"remote": inventory.remote(site), "local": inventory.local(site)}
    found: dict[str, tuple[str | None, object]] = {}
    for name, listing in listings.items():
        for each in listing.held:
            if each.thaw is not None:
                found[name] = each.thaw.state.value, each.thaw.readable_by
    for thaw_ in status(site).thaws:
        found["status"] = thaw_.state.value, thaw_.readable_by
    return found


def test_list_and_status_say_how_far_a_thaw_is(site, clock, make_site, tmp_path) -> None:
    assert thaws_said(site) == {}
    assert [str(each.thaw) for each in status(site).recoveries] == ["12:00:00"]
    by = ask(site).readable_by
    # moto's thaw is done when it was looked at often enough: the store's clock is not ours.
    assert thaws_said(site) == dict.fromkeys(("remote", "local", "status"), ("thawing", by))
    clock.pass_by(hours=5)
    elsewhere = make_site(None, urls=site.settings.urls, aws=site.settings.aws, folder=tmp_path / "new")
    while (found := thaws_said(elsewhere))["status"][0] == "thawing":
        assert found["status"] == ("thawing", by)
    assert found == {"remote": ("thawed", None), "status": ("thawed", None)}
    assert [each.thaw for each in status(site).recoveries] == [timedelta()]
    # What was asked for from here is known by the clock alone, even where S3 does not answer.
    assert thaws_said(site)["local"] == ("thawing", by)
    clock.pass_by(hours=8)
    assert thaws_said(site)["local"] == ("thawed", by)
    clock.pass_by(days=8)
    assert "local" not in thaws_said(site)


def test_the_store_is_asked_for_the_thaws_that_were_asked_for_and_for_no_other_backup(site, monkeypatch) -> None:
    ask(site)
    archives = [
        Archive(Slot("quarterly", QUARTERLY.due), thaws=["quarterly/x.thaw-20200101T000000Z.json"]),
        Archive(Slot("quarterly", QUARTERLY.due), thaws=["quarterly/x.thaw-odd.json"]),
        *(Archive(Slot("hourly", QUARTERLY.due + timedelta(hours=hour))) for hour in range(100)),
    ]
    monkeypatch.setattr(type(site.bucket), "head", None)
    assert thaws.under_way(site, archives) == {}


def test_the_record_made_again_knows_of_the_thaw(site, make_site, tmp_path) -> None:
    by = ask(site).readable_by
    new = make_site(None, urls=site.settings.urls, aws=site.settings.aws, folder=tmp_path / "new")
    rebuild(new)
    (held,) = inventory.local(new).held
    assert held.thaw is not None
    assert (held.thaw.state, held.thaw.readable_by, held.storage_class) == (State.THAWING, by, "DEEP_ARCHIVE")


def test_a_frozen_copy_that_is_to_be_proven_is_thawed_in_one_run_and_restored_in_another(site) -> None:
    first, *again = (list(prove_due(site)) for _ in range(4))
    assert [each.thaw.asked for each in first] == [True]
    assert [each.due.slot for each in first] == [QUARTERLY]
    done = next(each for (each,) in again if each.proof is not None)
    assert (done.proof.restored, done.proof.seconds["restore"] > 0) == (QUARTERLY.backup_id, True)
    assert list(prove_due(site)) == []
