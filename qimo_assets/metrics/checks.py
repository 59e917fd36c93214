"""The metrics' invariants as asset checks, asked of MySQL."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import dagster as dg
from mysql.connector import ProgrammingError, errorcode

from qimo_assets.automation.checks import EVALUATED, REPORT_TTL_SECONDS
from qimo_assets.metrics.catalog import METRICS, TOTAL, Metric
from qimo_assets.metrics.publish import SQL_DIR
from qimo_assets.metrics.specs import metric_key
from qimo_assets.resources.mysql import MySQLResource
from qimo_assets.views.sql import render

MAX_FOUND = 20
ADDS_UP = "adds_up_to_total"
INVARIANTS = {
    ADDS_UP: f"The messages add up to those of {TOTAL}, on each day that both published within a "
    "day from one instant.",
    "figures_are_sound": "Of the days published within a day no figure is negative, no part larger "
    "than its whole, no text empty where 未知 belongs.",
    "is_published_whole": "The rows of the days published within a day are those recorded, and no "
    f"day is missing that {TOTAL} has had for long.",
}
REPAIR = (
    "Materialize the days named in `differences` again. Where it comes back, ./qimo verify says "
    "which figures are wrong."
)
PACE = (
    "in each run that publishes the metric, and by the sensor freshness_watch within a minute when "
    f"something newer hides that, and after {REPORT_TTL_SECONDS // 60} minutes"
)


def invariant_specs(metrics: Sequence[Metric] = METRICS) -> list[dg.AssetCheckSpec]:
    """Return the invariants of metrics."""
    return [
        dg.AssetCheckSpec(
            check,
            asset=metric_key(metric.name),
            additional_deps=[metric_key(TOTAL)] if check == ADDS_UP else None,
            description=INVARIANTS[check],
            metadata={EVALUATED: PACE},
        )
        for metric in metrics
        for check in _invariants(metric)
    ]


def evaluate(
    mysql: MySQLResource, keys: Collection[dg.AssetCheckKey]
) -> Iterator[dg.AssetCheckResult]:
    """Yield the results of some invariants.

    Args:
        mysql: Where the metrics are published.
        keys: Which invariants.
    """
    metrics = {metric_key(metric.name): metric for metric in METRICS}
    if not keys:
        return
    with mysql.connect() as connection, connection.cursor(dictionary=True) as cursor:
        for key in sorted(keys, key=str):
            statement = _invariants(metrics[key.asset_key])[key.name]
            found: list[Any] = _fetch_or_nothing(cursor, statement)
            yield _result(
                key, *(_not_added_up(found) if key.name == ADDS_UP else _wrong_rows(found))
            )


def _fetch_or_nothing(cursor: Any, statement: str) -> list[Any]:
    """Return the rows of a query; none where the total's table is still to come, as in the first
    minute of a new database.
    """
    try:
        cursor.execute(statement)
    except ProgrammingError as error:
        if error.errno == errorcode.ER_NO_SUCH_TABLE:
            return []
        raise
    return cursor.fetchall()


@cache
def _invariants(metric: Metric) -> dict[str, str]:
    """Return the queries for what breaks the invariants of a metric, by the names of the checks."""
    queries = {
        "figures_are_sound": render(SQL_DIR / "unsound.sql", metric=metric),
        "is_published_whole": render(SQL_DIR / "incomplete.sql", metric=metric, total=TOTAL),
    }
    return (
        {**queries, ADDS_UP: render(SQL_DIR / "additive.sql", metric=metric.name, total=TOTAL)}
        if metric.additive == "sum"
        else queries
    )


def _wrong_rows(found: Sequence[Mapping[str, Any]]) -> tuple[list[str], dict[str, int]]:
    return [", ".join(f"{column} {value}" for column, value in row.items()) for row in found], {}


def _not_added_up(days: Sequence[Mapping[str, Any]]) -> tuple[list[str], dict[str, int]]:
    wrong = [
        f"{day['day']}: {day['actual']} instead of {day['expected']}"
        for day in days
        if day["actual"] != day["expected"]
    ]
    return wrong, {"days_compared": len(days)}


def _result(
    key: dg.AssetCheckKey, wrong: Sequence[str], metadata: dict[str, int]
) -> dg.AssetCheckResult:
    # A commit between the two reads of one instant makes a difference to the total that the next
    # refresh mends.
    severity = dg.AssetCheckSeverity.WARN if key.name == ADDS_UP else dg.AssetCheckSeverity.ERROR
    found = {"found": len(wrong), "differences": list(wrong[:MAX_FOUND])}
    return dg.AssetCheckResult(
        asset_key=key.asset_key,
        check_name=key.name,
        passed=not wrong,
        severity=severity,
        description=REPAIR if wrong else None,
        metadata={**metadata, **found},
    )
