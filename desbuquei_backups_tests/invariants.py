"""Files of invariants, as a shop would write them."""

from collections.abc import Mapping
from pathlib import Path

from desbuquei_backups.core.invariants import Invariant, load_invariants


def asked(folder: Path, text: str) -> Mapping[str, Invariant]:
    """What the file says: it is written and loaded."""
    return load_invariants(written(folder, text))


def written(folder: Path, text: str) -> Path:
    """The file that DESBUQUEI_INVARIANTS is to name."""
    path = folder / "invariants.toml"
    path.write_text(text)
    return path
