"""What is measured of each tier's newest archived backup, and how many there are: by the records and manifests here."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from desbuquei_backups.core.manifest import Manifest
from desbuquei_backups.core.metric_names import Sample
from desbuquei_backups.core.slots import slot_of
from desbuquei_backups.operations.folder_names import names
from desbuquei_backups.operations.metadata_file import Line, find, lines
from desbuquei_backups.operations.site import Site
from desbuquei_backups.operations.tier_status import TierStatus
from desbuquei_backups.storage import catalog


def backup_samples(site: Site, tiers: Sequence[TierStatus]) -> Iterator[Sample]:
    """Sizes, durations and rates by tier and stage; counts by tier and place. DiskError."""
    yield from _counts(site)
    newest = {tier.tier: tier.last_good for tier in tiers if tier.last_good is not None}
    known = find(site.settings.folder, set(newest.values())).lines
    for tier, backup_id in newest.items():
        if (line := known.get(backup_id)) is None:
            continue
        if isinstance(size := line.get("total_size"), int):
            yield Sample("desbuquei_backup_size_bytes", size, {"tier": tier})
        found = catalog.on_disk(site.settings.folder, backup_id)
        for stage, (seconds, read) in _stages(line, found.manifest if found is not None else None).items():
            labels = {"tier": tier, "stage": stage}
            yield Sample("desbuquei_backup_duration_seconds", seconds, labels)
            if read and seconds:
                yield Sample("desbuquei_backup_rate_bytes_per_second", read / seconds, labels)


def _counts(site: Site) -> Iterator[Sample]:
    folder = site.settings.folder
    counted = Counter((str(line.get("backup_type")), "s3") for line in lines(folder) if line.get("s3_uri"))
    counted.update((slot.tier, "disk") for name in names(folder).dumps if (slot := slot_of(name.partition(".")[0])))
    for tier in site.policy.tiers:
        for place in ("disk", "s3"):
            yield Sample("desbuquei_backups", counted[tier, place], {"tier": tier, "place": place})


def _stages(line: Line, manifest: Manifest | None) -> Mapping[str, tuple[float, int]]:
    """Seconds and bytes of each stage that is known: taking it as a whole, its parts, archiving it, restoring it."""
    plain = sum(file.plain_size for file in manifest.logical) if manifest is not None else 0
    # Of WAL and what has changed there is no SQL: what it was read at says nothing.
    read = plain if manifest is not None and manifest.point is None else 0
    found: dict[str, tuple[object, object]] = {"backup": (line.get("duration_seconds"), read)}
    if manifest is not None:
        found |= {
            stage: (seconds, plain if stage == "dump" else 0) for stage, seconds in manifest.stage_seconds.items()
        }
        if manifest.base is not None:
            found["base_backup"] = (manifest.base.duration_seconds, manifest.base.size)
    found["archive"] = (line.get("archive_seconds"), line.get("total_size"))
    found["restore"] = (line.get("restore_seconds"), plain)
    return {
        stage.replace(" ", "_"): (float(seconds), read if isinstance(read, int) else 0)
        for stage, (seconds, read) in found.items()
        if isinstance(seconds, int | float)
    }
