"""The metrics as assets: materializing one reads its touched days from the view and publishes them to MySQL."""

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import dagster as dg
from mysql.connector import ProgrammingError, errorcode

from qimo_assets.automation import MESSAGES, metric_condition
from qimo_assets.metrics.catalog import METRICS, TOTAL, Metric
from qimo_assets.metrics.publish import SQL_DIR, PublicationResult, ensure_tables, publish
from qimo_assets.metrics.source import read_days, source_instant
from qimo_assets.partitions import daily, window
from qimo_assets.resources.hive import HiveResource
from qimo_assets.resources.mysql import MySQLResource
from qimo_assets.views.assets import view_key
from qimo_assets.views.sql import render

# Days are read and published in transactions of this many, so that a backfill of years needs no more memory than one of a month.
DAYS_PER_TRANSACTION = 31
SAMPLE_ROWS = 20


def metric_key(name: str) -> dg.AssetKey:
    """Return the asset key of a metric's table."""
    return dg.AssetKey(["mysql", name])


def build_metric_assets(database: str) -> list[dg.AssetsDefinition]:
    """Return one asset per metric of the catalog.

    Args:
        database: Hive database of the views.
    """
    return [_metric_asset(metric, database) for metric in METRICS]


def build_metric_checks() -> list[dg.AssetChecksDefinition]:
    """Return the check that messages add up to the day's total, for each metric whose messages do."""
    return [_additive_check(metric) for metric in METRICS if metric.additive == "sum"]


def _metric_asset(metric: Metric, database: str) -> dg.AssetsDefinition:
    @dg.asset(
        key=metric_key(metric.name),
        deps=[view_key(metric.name), dg.AssetDep(MESSAGES, partition_mapping=window(metric.looks_back, metric.looks_ahead))],
        partitions_def=daily,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name="metrics",
        kinds={"mysql"},
        owners=["team:data"],
        description=f"{metric.title_en} ({metric.title_zh}), published as the MySQL table {metric.name}.",
        metadata={
            "dagster/table_name": metric.name,
            "dagster/column_schema": dg.TableSchema(columns=[dg.TableColumn(column.name, column.mysql_type, column.comment_zh) for column in metric.columns]),
        },
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(minutes=metric.fail_minutes), warn_window=timedelta(minutes=metric.warn_minutes)),
        automation_condition=metric_condition(metric.every_minutes),
    )
    def table(context: dg.AssetExecutionContext, hive: HiveResource, mysql: MySQLResource) -> dg.MaterializeResult:
        return refresh(metric, database, context.partition_keys, hive, mysql)

    return table


def refresh(metric: Metric, database: str, days: Sequence[str], hive: HiveResource, mysql: MySQLResource) -> dg.MaterializeResult:
    """Read the days of a metric from its view, publish them, and tell what was done.

    Args:
        metric: The metric.
        database: Hive database of the views.
        days: The days, in any order.
        hive: Where to read.
        mysql: Where to publish.
    """
    started = time.monotonic()
    results: list[PublicationResult] = []
    sample: list[tuple[Any, ...]] = []
    # A new session each time: Spark lists the files of a Hudi table once per session and would not see later commits.
    with hive.session() as session, mysql.connect() as connection:
        ensure_tables(connection, metric)
        instant = source_instant(session, database)
        for start in range(0, len(days), DAYS_PER_TRANSACTION):
            chunk = days[start : start + DAYS_PER_TRANSACTION]
            rows = read_days(session, database, metric, chunk)
            results.append(publish(connection, metric, chunk, rows, instant))
            sample = sample or rows[:SAMPLE_ROWS]
    return dg.MaterializeResult(
        metadata={
            "rows": dg.MetadataValue.md(markdown_table([column.name for column in metric.columns], sample)),
            "days": len(days),
            "published": [day for result in results for day in result.published],
            "unchanged": [day for result in results for day in result.unchanged],
            "refused_as_older": [day for result in results for day in result.refused],
            "dagster/row_count": sum(sum(result.rows.values()) for result in results),
            "source_instant": instant,
            "seconds": round(time.monotonic() - started, 3),
        }
    )


def markdown_table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return rows as a Markdown table; text that would break the table is escaped."""
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(_cell(value) for value in line)} |" for line in lines)


def _cell(value: Any) -> str:
    return "".join(character if character.isprintable() else " " for character in str(value)).replace("|", "\\|")


def _fetch_or_nothing(cursor: Any, statement: str) -> list[Any]:
    """Return the rows of a query; none where the total's table is still to come, as in the first minute of a new database."""
    try:
        cursor.execute(statement)
    except ProgrammingError as error:
        if error.errno == errorcode.ER_NO_SUCH_TABLE:
            return []
        raise
    return cursor.fetchall()


def _additive_check(metric: Metric) -> dg.AssetChecksDefinition:
    statement = render(SQL_DIR / "additive.sql", metric=metric.name, total=TOTAL)

    @dg.asset_check(
        asset=metric_key(metric.name),
        name="adds_up_to_total",
        additional_deps=[metric_key(TOTAL)],
        description=f"The messages of {metric.name} add up to those of {TOTAL}, on each day that both published within a day from one instant.",
    )
    def check(mysql: MySQLResource) -> dg.AssetCheckResult:
        with mysql.connect() as connection, connection.cursor(dictionary=True) as cursor:
            days: list[Any] = _fetch_or_nothing(cursor, statement)
        wrong = [f"{day['day']}: {day['actual']} instead of {day['expected']}" for day in days if day["actual"] != day["expected"]]
        return dg.AssetCheckResult(
            passed=not wrong,
            # A commit between the two reads of one instant makes a difference that the next refresh mends.
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"days_compared": len(days), "differences": wrong},
        )

    return check
