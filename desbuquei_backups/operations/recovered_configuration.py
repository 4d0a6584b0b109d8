"""Configure a recovered cluster so that it cannot touch its source; seen to be so before it is ever started."""

import json
import os
from collections.abc import Mapping, Sequence

from desbuquei_backups.core.errors import IntegrityError
from desbuquei_backups.core.recovered_settings import (
    appended,
    contained,
    limits,
    no_replay,
    replay_settings,
    safe_settings,
    wrong_settings,
)
from desbuquei_backups.core.recovery import Plan
from desbuquei_backups.operations.recovery_folder import WORK, RecoveryFolder
from desbuquei_backups.postgres.cluster import Cluster
from desbuquei_backups.storage.disk import disk_errors

_AUTO = "postgresql.auto.conf"
_CONF, _HBA, _IDENT = "postgresql.conf", "pg_hba.conf", "pg_ident.conf"
_MINIMAL = {
    _CONF: "# Made by desbuquei recover: the backup had none.\n",
    _HBA: "local all all peer\nhost all all 127.0.0.1/32 scram-sha-256\n",
    _IDENT: "",
}
# Local files alone, by a path that is relative to the data directory.
RESTORE_COMMAND = f'test -f "{WORK}/wal/%f" && cp "{WORK}/wal/%f" "%p"'
# Names of files that the server would read; all must lie in the data directory.
_FILES = ("config_file", "hba_file", "ident_file", "data_directory")


def transient(folder: RecoveryFolder, *, throw_away: bool) -> dict[str, str]:
    """For our own runs: the only door is a socket in a folder that nobody else may enter; the log says what happens.

    `throw_away`: nobody needs the cluster after a power cut.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "listen_addresses": "",
        "unix_socket_directories": WORK,
        "hba_file": str(folder.work / _HBA),
        "shared_buffers": f"{min(max(memory // 10, 128 << 20), 1 << 30) >> 20}MB",
        "max_wal_size": "8GB",
        "checkpoint_timeout": "1h",
        "log_min_messages": "warning",
        "log_line_prefix": "%m ",
        "log_timezone": "UTC",
        "restart_after_crash": "off",
        **({"fsync": "off", "full_page_writes": "off"} if throw_away else {}),
    }


def configure(cluster: Cluster, folder: RecoveryFolder, configuration: Mapping[str, str]) -> list[str]:
    """Put in place the files that a cluster is configured by; what is worth saying of it.

    `configuration`: the source's own files, as they were beside the backup; Debian keeps them outside the data
    directory.
    """
    notes = []
    data = cluster.data
    with disk_errors(data):
        for name, minimal in _MINIMAL.items():
            path = data / name
            if path.is_file() and not path.is_symlink():
                text = path.read_text(errors="surrogateescape")
            else:
                text = configuration.get(name, minimal)
                whose = "the source's, which was kept beside the backup" if name in configuration else "a minimal one"
                notes.append(f"{name} was not in the data directory: it is {whose}")
            if name == _CONF and (kept := contained(text)) != text:
                notes.append("in postgresql.conf, what leads out of the data directory is a comment now")
                text = kept
            folder.write(path, text)
        # A standby's backup would go on as a standby.
        (data / "standby.signal").unlink(missing_ok=True)
        folder.write(folder.work / _HBA, "local all all trust\n")
    return notes


def parse_configuration(content: bytes) -> dict[str, str]:
    """The source's own files, by name; IntegrityError if that cannot be read."""
    try:
        found = json.loads(content)
        return {str(name): str(text) for name, text in found.items()}
    except (ValueError, AttributeError):
        raise IntegrityError(
            "the source's configuration, beside the backup, cannot be read", remedy="take the copy in the other place"
        ) from None


def to_replay(
    cluster: Cluster,
    folder: RecoveryFolder,
    plan: Plan,
    control: Mapping[str, str],
    *,
    port: int,
    preload: Sequence[str],
    to_the_end: bool,
    given: Mapping[str, str],
) -> None:
    """Let the next start replay to the target. IntegrityError, before any start, if a setting would not hold.

    `control`: what pg_controldata said before the first start: then it is the source's. `given`: what it starts with.
    """
    settings = {
        **safe_settings(cluster.programs.major, port=port, preload=preload),
        **limits(control),
        **replay_settings(plan, RESTORE_COMMAND, to_the_end=to_the_end),
    }
    _append(folder, settings)
    folder.write(folder.data / "recovery.signal", "")
    _see(cluster, settings, given)


def to_stay(
    cluster: Cluster, folder: RecoveryFolder, control: Mapping[str, str], *, port: int, preload: Sequence[str]
) -> None:
    """When all is replayed: what a person finds who starts it. IntegrityError as before."""
    settings = {
        **no_replay(),
        **safe_settings(cluster.programs.major, port=port, preload=preload),
        **limits(control, prepared=sum(1 for _ in (cluster.data / "pg_twophase").iterdir())),
    }
    _append(folder, settings, remark=True)
    _see(cluster, settings, {})


def _append(folder: RecoveryFolder, settings: Mapping[str, str], *, remark: bool = False) -> None:
    path = folder.data / _AUTO
    with disk_errors(path):
        own = path.read_text(errors="surrogateescape") if path.is_file() and not path.is_symlink() else ""
    folder.write(path, appended(contained(own), settings, remark=remark))


def _see(cluster: Cluster, settings: Mapping[str, str], given: Mapping[str, str]) -> None:
    """By what PostgreSQL itself says it would use."""
    wanted = {**settings, **{name: given[name] for name in ("listen_addresses", "unix_socket_directories") if given}}
    found = cluster.settings([*wanted, *_FILES], given)
    wrong = wrong_settings(wanted, found)
    real = cluster.data.resolve()
    wrong += [
        f"{name} is {found[name]}, outside {cluster.data}"
        for name in _FILES
        if not (cluster.data / found[name]).resolve().is_relative_to(real)
    ]
    if wrong:
        raise IntegrityError(
            f"the recovered cluster could touch its source: {'; '.join(wrong)}",
            remedy="it was not started; look at its postgresql.conf and postgresql.auto.conf, and please report it",
        )
