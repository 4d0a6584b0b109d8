"""pg_waldump: what replaying WAL would do outside the data directory."""

import re
import subprocess
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from desbuquei_backups.core.wal import Segment
from desbuquei_backups.postgres.programs import Programs, clean_environment

_CREATED = re.compile(r'lsn: (?P<at>[0-9A-F]+/[0-9A-F]+).*desc: CREATE \d+ "(?P<path>.*)"$')


def tablespaces_created(programs: Programs, folder: Path, segments: Sequence[Segment]) -> list[tuple[str, str]]:
    """The tablespaces outside the data directory that replaying these segments would make: position and path of each.

    Replay links to the very folder that the source made, and then writes there. Where the WAL cannot be read on, it
    cannot be replayed either.
    """
    found = []
    for _, run in groupby(segments, lambda segment: segment.timeline):
        names = [segment.name for segment in run]
        done = subprocess.run(
            [programs.path("pg_waldump"), "--rmgr=Tablespace", f"--path={folder}", names[0], names[-1]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            env=clean_environment(),
            check=False,
        )
        created = (_CREATED.search(line) for line in done.stdout.splitlines())
        found += [(match["at"], match["path"]) for match in created if match and match["path"]]
    return found
