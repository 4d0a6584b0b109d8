"""One question, one Great Expectations suite: are these findings what they should be?"""

import gc
import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from desbuquei_backups.core.comparison import Finding, Verdict, overall, tally

_COLUMNS = ("subject", "expected", "found")


@dataclass(frozen=True, slots=True)
class Judgement:
    """The answer to one check: its verdict, a sentence for a person, what was compared, and the suite's own record."""

    check: str
    verdict: Verdict
    summary: str
    findings: Sequence[Finding]
    record: Mapping[str, Any]


def judge(check: str, findings: Sequence[Finding]) -> Judgement:
    """Validate `findings` with Great Expectations and tell the three verdicts apart.

    What could not be compared is kept out of the frame: it can neither fail the suite nor pass it. Of no findings at
    all, or of a suite that could not run, nothing is claimed: UNCOMPARED.
    """
    compared = [finding for finding in findings if finding.verdict is not Verdict.UNCOMPARED]
    if not compared:
        return Judgement(check, Verdict.UNCOMPARED, f"nothing could be compared ({tally(findings)})", findings, {})
    record = _validate(check, compared)
    verdict = overall(findings)
    if (problem := exception_in(record)) and verdict is not Verdict.DIFFERS:
        return Judgement(check, Verdict.UNCOMPARED, f"could not validate: {problem}", findings, record)
    if bool(record["success"]) is (verdict is Verdict.DIFFERS):
        # Two judges that disagree are a fault of this program: nothing is green on the strength of one of them.
        verdict = Verdict.DIFFERS
    return Judgement(check, verdict, tally(findings), findings, record)


def _validate(check: str, compared: Sequence[Finding]) -> dict[str, Any]:
    """Run the suite in a context of its own: contexts and definitions shared between threads give wrong verdicts."""
    gx, gxe, pd = imported()

    frame = pd.DataFrame([(f.subject, f.source, f.restored) for f in compared], columns=list(_COLUMNS), dtype=object)
    subject, expected, found = _COLUMNS
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    batches = context.data_sources.add_pandas("copies").add_dataframe_asset(check)
    suite = gx.ExpectationSuite(
        name=check,
        expectations=[
            # An empty frame, or one that lost a subject, would pass everything that follows.
            gxe.ExpectTableRowCountToEqual(value=len(compared)),
            gxe.ExpectColumnDistinctValuesToEqualSet(column=subject, value_set=sorted({f.subject for f in compared})),
            gxe.ExpectColumnValuesToNotBeNull(column=expected),
            gxe.ExpectColumnValuesToNotBeNull(column=found),
            gxe.ExpectColumnPairValuesToBeEqual(column_A=expected, column_B=found, ignore_row_if="neither"),
        ],
    )
    context.suites.add(suite)
    batch = batches.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    return dict(batch.validate(suite).to_json_dict())


def imported() -> tuple[Any, Any, Any]:
    """Great Expectations, its expectations, and pandas: seconds to import, a fifth fewer without garbage collection."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    collecting = gc.isenabled()
    gc.disable()
    try:
        import great_expectations as gx
        import pandas as pd
        from great_expectations import expectations as gxe
    finally:
        if collecting:
            gc.enable()
    return gx, gxe, pd


def import_meanwhile() -> None:
    """Import them while PostgreSQL's programs work; what fails is told where it is needed."""

    def work() -> None:
        with suppress(Exception):
            imported()

    threading.Thread(target=work, name="importing Great Expectations", daemon=True).start()


def exception_in(record: Any) -> str | None:
    """The message of an expectation that raised instead of answering, wherever Great Expectations put it."""
    if isinstance(record, Mapping):
        if record.get("raised_exception") is True:
            return str(record.get("exception_message"))
        values: Sequence[Any] = list(record.values())
    elif isinstance(record, list):
        values = record
    else:
        return None
    return next((found for value in values if (found := exception_in(value)) is not None), None)
