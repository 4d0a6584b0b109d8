"""The settings of a recovered cluster: what replays to the target, and what keeps it from touching its source.

They are written after the source's own in postgresql.auto.conf, where the last line wins: the source's ALTER SYSTEM
wrote there, and that beats postgresql.conf.
"""

import re
from collections.abc import Mapping, Sequence

from desbuquei_backups.core.recovery import Plan
from desbuquei_backups.core.wal import show_lsn

BEGIN = "# desbuquei recover: what follows keeps this cluster from touching the one that it is a copy of."
_REMARK = """\
# Before it takes that one's place: look at archive_command (an archive of its own!), listen_addresses, port and
# shared_preload_libraries, and remove these lines.
"""
# In the source's own files these lead out of the data directory, or to files that this machine has not.
_LEADING_OUT = re.compile(
    r"^(?=\s*(include|include_if_exists|include_dir|data_directory|config_file|hba_file|ident_file|external_pid_file)"
    r"[\s='])",
    re.IGNORECASE | re.MULTILINE,
)
# What replay, or a later start, must not have less of than the source: by their names in pg_controldata.
_LIMITS = {
    "max_connections": "max_connections setting",
    "max_worker_processes": "max_worker_processes setting",
    "max_wal_senders": "max_wal_senders setting",
    "max_prepared_transactions": "max_prepared_xacts setting",
    "max_locks_per_transaction": "max_locks_per_xact setting",
}
_KINDS = ("", "_time", "_lsn", "_name", "_xid")
PREPARED = 256  # while WAL is replayed, in which the source may have been given more of them


def safe_settings(major: int, *, port: int, preload: Sequence[str] = ()) -> dict[str, str]:
    """What is kept for as long as nobody says otherwise: no way to the source, loopback alone, a port of its own."""
    return {
        "archive_mode": "off",
        "archive_command": "",
        **({"archive_library": ""} if major >= 15 else {}),
        "archive_cleanup_command": "",
        "recovery_end_command": "",
        "primary_conninfo": "",
        "primary_slot_name": "",
        "synchronous_standby_names": "",
        "max_logical_replication_workers": "0",
        "max_sync_workers_per_subscription": "0",
        # At a timeline's end the summarizer asks for a segment that never was, and holds a shutdown up for 10 seconds.
        **({"sync_replication_slots": "off", "event_triggers": "off", "summarize_wal": "off"} if major >= 17 else {}),
        "shared_preload_libraries": ",".join(preload),
        "session_preload_libraries": "",
        "local_preload_libraries": "",
        "external_pid_file": "",
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": ".",
        "ssl": "off",
        "logging_collector": "off",
        "log_destination": "stderr",
        "huge_pages": "try",
        "lc_messages": "C",
    }


def limits(control: Mapping[str, str], *, prepared: int = PREPARED) -> dict[str, str]:
    """As pg_controldata says that the source had them when the backup was taken; at least so many `prepared` ones."""
    found = {name: control[said] for name, said in _LIMITS.items() if said in control}
    if "max_prepared_transactions" in found:
        found["max_prepared_transactions"] = str(max(int(found["max_prepared_transactions"]), prepared))
    return found


def replay_settings(plan: Plan, restore_command: str, *, to_the_end: bool = False) -> dict[str, str]:
    """What replays up to the target and no further; `to_the_end`: all the WAL that was fetched.

    A position is that of the first byte that is not replayed, as pg_current_wal_lsn() tells it; a moment is included.
    A name whose position is known is sought by that.
    """
    at, position, name = plan.target.at, plan.target.position, plan.target.name
    if name is not None and plan.certain:
        # Several databases of one cluster each have a restore point of that name: replay would stop at the first.
        name, position = None, plan.until
    chosen: dict[str, str] = {}
    if not to_the_end and at is not None:
        chosen = {"recovery_target_time": f"{at:%Y-%m-%d %H:%M:%S.%f}+00"}
    elif not to_the_end and position is not None:
        chosen = {"recovery_target_lsn": show_lsn(position)}
    elif not to_the_end and name is not None:
        chosen = {"recovery_target_name": name}
    return {
        "restore_command": restore_command,
        # The chosen one last: PostgreSQL refuses two, and takes even an empty one after it for a second.
        **{name: "" for kind in _KINDS if (name := f"recovery_target{kind}") not in chosen},
        **chosen,
        "recovery_target_inclusive": "off" if position is not None else "on",
        "recovery_target_timeline": str(plan.timeline),
        "recovery_target_action": "promote",
        "recovery_min_apply_delay": "0",
        "hot_standby": "off",
        "allow_in_place_tablespaces": "on",
    }


def no_replay() -> dict[str, str]:
    """The same settings when all is replayed: nothing is left that a later recovery would take for its own."""
    return {
        "restore_command": "",
        **{f"recovery_target{kind}": "" for kind in _KINDS},
        "recovery_target_timeline": "latest",
    }


def appended(own: str, settings: Mapping[str, str], *, remark: bool = False) -> str:
    """The source's postgresql.auto.conf with these after it, in place of what was appended before."""
    kept = own.partition(BEGIN)[0].rstrip("\n")
    lines = [f"{name} = '{_quoted(value)}'" for name, value in settings.items()]
    return "\n".join([*([kept] if kept else []), BEGIN, *([_REMARK.rstrip()] if remark else []), *lines]) + "\n"


def contained(conf: str) -> str:
    """The source's configuration without what leads out of the data directory, which stays as a comment."""
    return _LEADING_OUT.sub("# left by desbuquei recover: ", conf)


def wrong_settings(wanted: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Those of `wanted` that the server would not use so, by what `postgres -C` says."""
    wrong = []
    for name, value in wanted.items():
        said = found.get(name)
        # With archiving off, PostgreSQL says of a command whatever it is that it is disabled.
        if said != value and not (name == "archive_command" and said == "(disabled)"):
            wrong.append(f"{name} would be {said!r}, not {value!r}")
    return wrong


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")
