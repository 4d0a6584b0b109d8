"""Which clauses a control supports: a table of data, that its owner replaces by a file of his own."""

import tomllib
from collections.abc import Collection, Mapping
from importlib import resources
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from desbuquei_backups.audit.model import Clause
from desbuquei_backups.core.errors import ConfigurationError
from desbuquei_backups.operations.settings import REPORT_CLAUSES


class _Clause(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    framework: str = Field(min_length=1)
    clause: str = Field(min_length=1)
    about: str = ""
    controls: list[str]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    clause: list[_Clause]


def load_clauses(path: Path | None, controls: Collection[str]) -> Mapping[str, list[Clause]]:
    """The clauses of each control, by `path` or the packaged table; ConfigurationError if it is bad, and why.

    `controls`: the names that there are.
    """
    where = str(path) if path is not None else "the packaged table"
    try:
        text = (path or resources.files(__package__) / "clauses.toml").read_text(encoding="utf-8")
        table = _Table.model_validate(tomllib.loads(text))
    except OSError as error:
        raise ConfigurationError(
            f"the clauses {where} cannot be read: {error.strerror}", remedy=f"correct {REPORT_CLAUSES}"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the clauses {where} are not TOML: {error}", remedy="mend that line") from None
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ConfigurationError(f"the clauses {where} are refused: {faults}", remedy="mend it") from None
    found: dict[str, list[Clause]] = {name: [] for name in controls}
    for each in table.clause:
        for name in each.controls:
            if name not in found:
                raise ConfigurationError(
                    f"the clauses {where} name no control of the report: {name!r}, at {each.framework} {each.clause}",
                    remedy=f"the controls are {', '.join(found)}",
                )
            found[name].append(Clause(each.framework, each.clause, each.about))
    return found
