"""The metrics, by name: base units, a help text, and their labels beside `database`. All of them are gauges."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Kind:
    """What a metric says, and its labels."""

    said: str
    labels: tuple[str, ...] = ("database",)


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of a metric; `labels` has those of its kind, but for `database`."""

    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


_TIER, _STAGE = ("database", "tier"), ("database", "tier", "stage")

KINDS: Mapping[str, Kind] = {
    f"desbuquei_{name}": kind
    for name, kind in {
        "safety": Kind("1 for the answer that `desbuquei status` gives, 0 for the others.", ("database", "state")),
        "last_success_timestamp_seconds": Kind("When what the tier's newest archived backup holds was current.", _TIER),
        "backup_age_seconds": Kind("The age of the tier's newest archived backup.", _TIER),
        "backup_size_bytes": Kind("All files of the tier's newest archived backup.", _TIER),
        "backup_duration_seconds": Kind("How long a stage took of the tier's newest archived backup.", _STAGE),
        "backup_rate_bytes_per_second": Kind("How fast that stage was: bytes before compression, or sent.", _STAGE),
        "backup_proven": Kind("Whether the tier's newest archived backup was proven by restoring it.", _TIER),
        "missed_slots": Kind("Closed slots without a backup, of those that would still be kept.", _TIER),
        "next_due_timestamp_seconds": Kind("When the tier falls due next.", _TIER),
        "backups": Kind("How many backups there are in a place, by the records.", ("database", "tier", "place")),
        "recovery_point_age_seconds": Kind("How much would be lost if the database died now."),
        "recovery_point_objective_seconds": Kind("How much may be lost, by the policy."),
        "recovery_time_seconds": Kind("How long a recovery takes from the newest backup, by what was measured."),
        "recovery_time_objective_seconds": Kind("How long a recovery may take, by the policy."),
        "drill_timestamp_seconds": Kind("When the last recovery drill was."),
        "drill_recovery_seconds": Kind("How long the last drill took from the first byte to accepting connections."),
        "drill_faults": Kind("What was wrong with the copy that the last drill recovered."),
        "wal_lag_seconds": Kind("How much of the latest WAL is not in S3; 0 if nothing was written since."),
        "wal_gaps": Kind("Gaps in the WAL since the first base backup of the window."),
        "wal_waiting_segments": Kind("WAL files that are here and not in S3 yet."),
        "wal_waiting_bytes": Kind("The bytes of the WAL that is here and not in S3 yet."),
        "wal_slot_held_bytes": Kind("How much WAL the replication slot keeps from being removed."),
        "disk_used_bytes": Kind("Bytes in use on the disk of the backup folder."),
        "disk_free_bytes": Kind("Bytes that are free on the disk of the backup folder."),
        "disk_full_timestamp_seconds": Kind("When that disk is full if it goes on as lately; absent if it is not."),
        "check_passed": Kind("Whether a check was true the last time; absent if it could not be compared.", (
            "database", "asset", "check")),
        "check_timestamp_seconds": Kind("When a check was judged last.", ("database", "asset", "check")),
        "condition": Kind("1 for each thing that is wrong now.", ("database", "condition", "severity", "subject")),
        "conditions": Kind("How many things are wrong now.", ("database", "severity")),
        "up": Kind("Whether the database, and S3, could be used.", ("database", "service")),
        "collected_timestamp_seconds": Kind("When these values were collected."),
    }.items()
}  # fmt: skip
