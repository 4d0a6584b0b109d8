"""An expectation that a user names, of what an invariant's query returned: Great Expectations judges it whole."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from desbuquei_backups.core.answers import Rows, uncompared
from desbuquei_backups.core.comparison import Finding, Verdict
from desbuquei_backups.core.invariants import Invariant
from desbuquei_backups.validation.judge import exception_in, imported

_SHOWN = 20


def meets(invariant: Invariant, found: Rows) -> Finding:
    """Whether the result meets the invariant's expectation; it could not be compared if that cannot be asked of it.

    Numerics are judged as double precision. Of no rows at all, nothing is claimed of a column's values.
    """
    if not found.rows and not str(invariant.expectation).startswith("expect_table_"):
        return uncompared(invariant, "it returned no rows: there is nothing to judge")
    gx, gxe, pd = imported()
    kinds = {getattr(kind, "expectation_type", None): kind for kind in vars(gxe).values()}
    try:
        expectation = kinds[invariant.expectation](**invariant.kwargs)
    except (KeyError, TypeError, ValueError) as error:
        return uncompared(invariant, f"{invariant.expectation}: {error}")
    frame = pd.DataFrame([[_plain(value) for value in row] for row in found.rows], columns=list(found.columns))
    # A context of its own: those shared between threads give wrong verdicts.
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    batches = context.data_sources.add_pandas("answers").add_dataframe_asset("answer")
    batch = batches.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    record = dict(batch.validate(expectation).to_json_dict())
    if problem := exception_in(record):
        return uncompared(invariant, problem)
    wanted, said = invariant.wanted, _said(record.get("result") or {}, secret=found.secret)
    if record["success"] is True:
        return Finding("answer", wanted, wanted, Verdict.MATCHES, said)
    return Finding("answer", wanted, "not met", Verdict.DIFFERS, said)


def _plain(value: object) -> object:
    return float(value) if isinstance(value, Decimal) else value


def _said(result: Mapping[str, Any], *, secret: bool) -> str:
    """What was observed, or how many values are not as expected and which: `2 of 50 values: -1.0, -3.5`."""
    if "observed_value" in result and not secret:
        return f"observed: {result['observed_value']}"
    count = result.get("unexpected_count")
    values = ", ".join(map(str, (result.get("partial_unexpected_list") or [])[:_SHOWN]))
    values = "they are not shown, the backup is encrypted" if secret else values
    said = f"{count or 0:,} of {result.get('element_count', 0):,} values"
    return f"{said}: {values}" if count else f"{said} are not as expected"
