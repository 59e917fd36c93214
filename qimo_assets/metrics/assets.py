"""The metrics as assets: materializing one reads its touched days from the view and publishes them to MySQL."""

import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import dagster as dg
from mysql.connector import ProgrammingError, errorcode

from qimo_assets.automation import metric_condition
from qimo_assets.metrics.catalog import METRICS, TOTAL, Metric
from qimo_assets.metrics.mask import mask_account
from qimo_assets.metrics.publish import SQL_DIR, PublicationResult, ensure_tables, publish
from qimo_assets.metrics.source import read_days, source_instant
from qimo_assets.partitions import daily, window
from qimo_assets.resources.hive import HiveResource
from qimo_assets.resources.mysql import MySQLResource
from qimo_assets.views.assets import lake_keys, view_key
from qimo_assets.views.sql import lake_tables, render, view_statement

# Days are read and published in transactions of this many, so that a backfill of years needs no more memory than one of a month.
DAYS_PER_TRANSACTION = 31
# Dagster's page folds away a table that is much longer; a chart may hold the hours of a day.
TABLE_ROWS = 10
CHART_ROWS = 24
BAR_LENGTH = 16
MOST_FOUND = 20
ADDS_UP = "adds_up_to_total"
INVARIANTS = {
    ADDS_UP: f"The messages add up to those of {TOTAL}, on each day that both published within a day from one instant.",
    "figures_are_sound": "Of the days published within a day no figure is negative, no part larger than its whole, no text empty where 未知 belongs.",
    "is_published_whole": f"The rows of the days published within a day are those recorded, and no day is missing that {TOTAL} has had for long.",
}

Row = tuple[Any, ...]


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
    """Return each metric's invariants; the three of one metric are one step of a run."""
    return [_invariants(metric) for metric in METRICS]


def _metric_asset(metric: Metric, database: str) -> dg.AssetsDefinition:
    @dg.asset(
        key=metric_key(metric.name),
        deps=[view_key(metric.name), *(dg.AssetDep(key, partition_mapping=window(metric.looks_back, metric.looks_ahead)) for key in lake_keys(metric.name))],
        partitions_def=daily,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name="metrics",
        kinds={"mysql"},
        owners=["team:data"],
        description=f"{metric.title_en} ({metric.title_zh}), published as the MySQL table {metric.name}.",
        metadata={
            "dagster/table_name": metric.name,
            "sql": dg.MetadataValue.md(f"```sql\n{view_statement(metric.name, database)}\n```"),
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
    newest: list[Row] = []
    # A new session each time: Spark lists the files of a Hudi table once per session and would not see later commits.
    with hive.session() as session, mysql.connect() as connection:
        added = ensure_tables(connection, metric)
        instant = source_instant(session, database, lake_tables(metric.name))
        days = sorted(days)
        for start in range(0, len(days), DAYS_PER_TRANSACTION):
            chunk = days[start : start + DAYS_PER_TRANSACTION]
            rows = sorted(read_days(session, database, metric, chunk), key=lambda row: row[: len(metric.key_columns)])
            rows = masked(metric, rows) if mysql.mask_accounts else rows
            results.append(publish(connection, metric, chunk, rows, instant))
            newest = rows or newest
    return dg.MaterializeResult(
        metadata={
            **pictures(metric, newest),
            "days": len(days),
            "published": [day for result in results for day in result.published],
            "unchanged": [day for result in results for day in result.unchanged],
            "refused_as_older": [day for result in results for day in result.refused],
            "dagster/row_count": sum(sum(result.rows.values()) for result in results),
            "source_instant": instant,
            **({"added_columns": f"{', '.join(added)}: backfill the days before, on which they are NULL."} if added else {}),
            "seconds": round(time.monotonic() - started, 3),
        }
    )


def masked(metric: Metric, rows: Sequence[Row]) -> list[Row]:
    """Return rows with their accounts hidden, as the setting `mysql.mask_accounts` asks."""
    return [tuple(mask_account(value) if column.is_account else value for column, value in zip(metric.columns, row, strict=True)) for row in rows]


def pictures(metric: Metric, rows: Sequence[Row]) -> dict[str, dg.MetadataValue]:
    """Return what the metric's page shows of the newest rows: a table of them, and bars of their first figure.

    Of a metric with a grain these are the rows of the newest day, the greatest first where the grain has no order of its own.

    Args:
        metric: The metric.
        rows: Its rows in the order of their keys.
    """
    columns = metric.columns
    figure = next(place for place, column in enumerate(columns) if column in metric.measures and not column.is_text)
    labels = [place for place, column in enumerate(columns) if column in metric.grain or column.is_text] or [0]
    shown = list(reversed(rows))
    if metric.grain:
        newest = [row for row in rows if row[0] == rows[-1][0]]
        shown = sorted(newest, key=lambda row: -row[figure]) if metric.grain[0].is_text else newest
    shown = shown[:CHART_ROWS]
    lengths = [(" ".join(str(row[place]) for place in labels), row[figure]) for row in shown]
    return {
        "rows": dg.MetadataValue.md(markdown_table([column.name for column in columns], shown[:TABLE_ROWS])),
        "chart": dg.MetadataValue.md(bars(columns[figure].comment_zh, lengths)),
    }


def bars(title: str, figures: Sequence[tuple[str, int]]) -> str:
    """Return figures as bars in a Markdown table, the longest for the greatest."""
    greatest = max((figure for _, figure in figures), default=0) or 1
    return markdown_table(["", title], [(label, f"{'█' * round(BAR_LENGTH * figure / greatest)} {figure:,}") for label, figure in figures])


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


def _invariants(metric: Metric) -> dg.AssetChecksDefinition:
    key = metric_key(metric.name)
    found = {
        "figures_are_sound": render(SQL_DIR / "unsound.sql", metric=metric),
        "is_published_whole": render(SQL_DIR / "incomplete.sql", metric=metric, total=TOTAL),
    }
    additive = render(SQL_DIR / "additive.sql", metric=metric.name, total=TOTAL)
    specs = [dg.AssetCheckSpec(name, asset=key, description=INVARIANTS[name]) for name in found]
    if metric.additive == "sum":
        specs.append(dg.AssetCheckSpec(ADDS_UP, asset=key, additional_deps=[metric_key(TOTAL)], description=INVARIANTS[ADDS_UP]))

    @dg.multi_asset_check(name=f"invariants_of_{metric.name}", specs=specs)
    def check(mysql: MySQLResource) -> Iterator[dg.AssetCheckResult]:
        with mysql.connect() as connection, connection.cursor(dictionary=True) as cursor:
            for name, statement in found.items():
                wrong: list[Any] = _fetch_or_nothing(cursor, statement)
                yield _result(key, name, [", ".join(f"{column} {value}" for column, value in row.items()) for row in wrong], {})
            if metric.additive == "sum":
                days: list[Any] = _fetch_or_nothing(cursor, additive)
                wrong = [f"{day['day']}: {day['actual']} instead of {day['expected']}" for day in days if day["actual"] != day["expected"]]
                yield _result(key, ADDS_UP, wrong, {"days_compared": len(days)})

    return check


def _result(key: dg.AssetKey, name: str, wrong: Sequence[str], metadata: dict[str, int]) -> dg.AssetCheckResult:
    # A commit between the two reads of one instant makes a difference to the total that the next refresh mends.
    severity = dg.AssetCheckSeverity.WARN if name == ADDS_UP else dg.AssetCheckSeverity.ERROR
    found = {"found": len(wrong), "differences": list(wrong[:MOST_FOUND])}
    return dg.AssetCheckResult(asset_key=key, check_name=name, passed=not wrong, severity=severity, metadata={**metadata, **found})
