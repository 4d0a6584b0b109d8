"""Policies made from the packaged one, as an operator would make them: by editing its text."""

import re
from datetime import datetime
from importlib import resources
from pathlib import Path

PACKAGED = (resources.files("desbuquei_backups.core") / "policy.toml").read_text()
YEARLY = """
[tiers.yearly]
cron = "0 2 1 1 *"
kept_in_s3 = "10 years"
never_fewer_than = 2
storage_class = "DEEP_ARCHIVE"
"""
WITH_YEARLY = PACKAGED + YEARLY


def with_crons(crons: dict[str, str], text: str = PACKAGED) -> str:
    """The policy, with those tiers due at other times."""
    for tier, cron in crons.items():
        text, replaced = re.subn(rf'(\[tiers\.{tier}\]\ncron = )"[^"]*"', rf'\1"{cron}"', text)
        assert replaced == 1, tier
    return text


def with_egress(gb: float, text: str = PACKAGED) -> str:
    """The policy, with another egress budget."""
    text, replaced = re.subn(r"(?m)^max_monthly_egress_gb = .*$", f"max_monthly_egress_gb = {gb:.12f}", text)
    assert replaced == 1
    return text


def due_together(instant: datetime, *, hourly: datetime | None = None) -> dict[str, str]:
    """Crons of all tiers that last fell due at that full hour (UTC), with hours left till the next due time.

    The hourly may be given another hour.
    """
    at = f"0 {instant.hour}"
    hours = ",".join(str(((hourly or instant).hour + 6 * quarter) % 24) for quarter in range(4))
    months = ",".join(str((instant.month - 1 + 3 * quarter) % 12 + 1) for quarter in range(4))
    return {
        "hourly": f"0 {hours} * * *",
        "daily": f"{at} * * *",
        "weekly": f"{at} * * {instant.isoweekday() % 7}",
        "monthly": f"{at} {instant.day} * *",
        "quarterly": f"{at} {instant.day} {months} *",
    }


def written(folder: Path, text: str) -> Path:
    """The file that DESBUQUEI_POLICY is to name."""
    path = folder / "policy.toml"
    path.write_text(text)
    return path
