"""The asset `audit_report`: once a day what was promised is held against what can be shown, for an auditor."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from desbuquei_backups.core.errors import BackupError, ConfigurationError
from desbuquei_backups.core.tiers import Policy
from desbuquei_backups.defs.daily import daily
from desbuquei_backups.defs.rendering_report import report_metadata
from desbuquei_backups.defs.resources import Backups
from desbuquei_backups.defs.steps import failure
from desbuquei_backups.operations import said
from desbuquei_backups.operations.site import Site


class Asked(dg.Config):
    """The period, as UTC days: from the first until before the second; the month of yesterday, if nothing is said."""

    start: str | None = None
    end: str | None = None


def audit_report(policy: Policy, *, retry_delay: float) -> dg.AssetsDefinition:
    """The asset of one database."""

    @daily(
        policy.database,
        "audit_report",
        group="evidence",
        kinds={"html"},
        after=[["evidence_anchor"]],
        description=(
            "The compliance report: a verdict for each control, with its promise, its evidence and its "
            "exceptions, as HTML, JSON and PDF in `reports/` of the backup folder, a file a month. What cannot "
            "be known says so; nothing holds by default.\n\nThe policy is said in the chain of evidence, so that "
            "a change of it shows. Run it with `start` and `end` for any other period."
        ),
        retry_delay=retry_delay,
    )
    def audit_report(context: dg.AssetExecutionContext, backups: Backups, config: Asked) -> dg.MaterializeResult[None]:
        try:
            with backups.site(context.log, policy.database) as site:
                return dg.MaterializeResult(metadata=_reported(site, config, context.log))
        except BackupError as error:
            raise failure(error) from None

    return audit_report


def _reported(site: Site, asked: Asked, log: dg.DagsterLogManager) -> Mapping[str, Any]:
    from desbuquei_backups.audit import report as reports

    if asked.start is None and asked.end is None:
        report, written = reports.of_this_month(site)
    else:
        said.policy(site)
        report = reports.make(site, reports.period_of(_day(asked.start), _day(asked.end), site.now()))
        written = reports.write(report, site.settings.folder / reports.FOLDER)
    if written.no_pdf is not None:
        log.warning(str(written.no_pdf))
    return report_metadata(report, written)


def _day(given: str | None) -> datetime | None:
    try:
        return datetime.strptime(given, "%Y-%m-%d").replace(tzinfo=UTC) if given is not None else None
    except ValueError:
        raise ConfigurationError(f"{given!r} is no day", remedy="write it like 2026-02-02") from None
