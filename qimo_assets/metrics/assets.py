"""The metrics as assets: materializing some reads their touched days from the views and publishes
them to MySQL.
"""

import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import dagster as dg
from mysql.connector import Error as MySQLServerError
from mysql.connector import ProgrammingError, errorcode
from mysql.connector.abstracts import MySQLConnectionAbstract

from qimo_assets.automation.conditions import metric_condition
from qimo_assets.metrics.catalog import METRICS, TOTAL, Metric
from qimo_assets.metrics.mask import mask_account
from qimo_assets.metrics.publish import (
    SQL_DIR,
    PublicationError,
    PublicationResult,
    ensure_tables,
    publish,
)
from qimo_assets.metrics.source import Row, open_reader
from qimo_assets.partitions import daily, window
from qimo_assets.resources.hive import HiveError, HiveResource
from qimo_assets.resources.mysql import MySQLResource
from qimo_assets.views.assets import lake_keys, view_key
from qimo_assets.views.sql import lake_tables, render, view_statement

# Days are read and published in transactions of this many, so that a backfill of years needs no
# more memory than one of a month.
DAYS_PER_TRANSACTION = 31
# Dagster's page folds away a table that is much longer; a chart may hold the hours of a day.
TABLE_ROWS = 10
CHART_ROWS = 24
BAR_LENGTH = 16
MOST_FOUND = 20
# What means something in Markdown, and is a character after a backslash.
MARKUP = re.compile(r"[\\`*_\[\]()#!|<>~&:@]")
ADDS_UP = "adds_up_to_total"
INVARIANTS = {
    ADDS_UP: f"The messages add up to those of {TOTAL}, on each day that both published within a "
    "day from one instant.",
    "figures_are_sound": "Of the days published within a day no figure is negative, no part larger "
    "than "
    "its "
    "whole, no text empty where 未知 belongs.",
    "is_published_whole": "The rows of the days published within a day are those recorded, and no "
    "day "
    "is "
    f"missing that {TOTAL} has had for long.",
}


def metric_key(name: str) -> dg.AssetKey:
    """Return the asset key of a metric's table."""
    return dg.AssetKey(["mysql", name])


def build_metric_assets(database: str) -> list[dg.AssetsDefinition]:
    """Return the assets of the catalog's metrics. Those of one window are one step of a run: what
    they are made from is read once.

    Args:
        database: Hive database of the views.
    """
    windows = sorted({(metric.looks_back, metric.looks_ahead) for metric in METRICS})
    return [_metrics_of(back, ahead, database) for back, ahead in windows]


def _metrics_of(looks_back: int, looks_ahead: int, database: str) -> dg.AssetsDefinition:
    own = [
        metric
        for metric in METRICS
        if (metric.looks_back, metric.looks_ahead) == (looks_back, looks_ahead)
    ]
    days = 1 + looks_back + looks_ahead

    @dg.multi_asset(
        name=f"metrics_of_{days}_day{'s' if days > 1 else ''}",
        specs=[_spec(metric, database) for metric in own],
        partitions_def=daily,
        backfill_policy=dg.BackfillPolicy.single_run(),
        can_subset=True,
    )
    def metrics(context: dg.AssetExecutionContext, hive: HiveResource, mysql: MySQLResource):
        wanted = [
            metric for metric in own if metric_key(metric.name) in context.selected_asset_keys
        ]
        failed: dict[str, Exception] = {}
        for refresh in refresh_metrics(wanted, database, context.partition_keys, hive, mysql):
            if refresh.error is None:
                yield refresh.result()
            else:
                failed[refresh.metric.name] = refresh.error
        if failed:
            reasons = "\n".join(f"{name}: {error}" for name, error in failed.items())
            raise dg.Failure(
                f"Not published: {', '.join(failed)}. The others are.\n{reasons}"
            ) from next(iter(failed.values()))

    return metrics


def build_metric_checks() -> dg.AssetChecksDefinition:
    """Return the metrics' invariants, which are one step of a run."""
    statements = {metric.name: _invariants(metric) for metric in METRICS}
    specs = [
        dg.AssetCheckSpec(
            check,
            asset=metric_key(metric.name),
            additional_deps=[metric_key(TOTAL)] if check == ADDS_UP else None,
            description=INVARIANTS[check],
        )
        for metric in METRICS
        for check in statements[metric.name]
    ]

    @dg.multi_asset_check(name="invariants", specs=specs, can_subset=True)
    def invariants(
        context: dg.AssetCheckExecutionContext, mysql: MySQLResource
    ) -> Iterator[dg.AssetCheckResult]:
        with mysql.connect() as connection, connection.cursor(dictionary=True) as cursor:
            for key in sorted(context.selected_asset_check_keys, key=str):
                found: list[Any] = _fetch_or_nothing(
                    cursor, statements[key.asset_key.path[-1]][key.name]
                )
                yield _result(
                    key, *(_not_added_up(found) if key.name == ADDS_UP else _wrong_rows(found))
                )

    return invariants


def _spec(metric: Metric, database: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=metric_key(metric.name),
        deps=[
            view_key(metric.name),
            *(
                dg.AssetDep(key, partition_mapping=window(metric.looks_back, metric.looks_ahead))
                for key in lake_keys(metric.name)
            ),
        ],
        # One of them may be asked for without the others.
        skippable=True,
        group_name="metrics",
        kinds={"mysql"},
        owners=["team:data"],
        description=f"{metric.title_en} ({metric.title_zh}), published as the MySQL table "
        f"{metric.name}.",
        metadata={
            "dagster/table_name": metric.name,
            "sql": dg.MetadataValue.md(f"```sql\n{view_statement(metric.name, database)}\n```"),
            "dagster/column_schema": dg.TableSchema(
                columns=[
                    dg.TableColumn(column.name, column.mysql_type, column.comment_zh)
                    for column in metric.columns
                ]
            ),
        },
        freshness_policy=dg.FreshnessPolicy.time_window(
            fail_window=timedelta(minutes=metric.fail_minutes),
            warn_window=timedelta(minutes=metric.warn_minutes),
        ),
        automation_condition=metric_condition(
            metric.rest, beside=None if metric.rest or metric.name == TOTAL else metric_key(TOTAL)
        ),
    )


@dataclass
class Refresh:
    """What a run did for a metric.

    Attributes:
        metric: The metric.
        instant: Instant of the lake that its rows are at least as new as.
        added: Measures that were added to its table.
        publications: What was done, a part of the days each.
        newest: Its newest rows.
        error: Why it was given up; None while it is well.
    """

    metric: Metric
    instant: str = ""
    added: list[str] = field(default_factory=list)
    publications: list[PublicationResult] = field(default_factory=list)
    newest: list[Row] = field(default_factory=list)
    error: Exception | None = None

    @contextmanager
    def giving_up(self) -> Generator[None, None, None]:
        """Give the metric up where a system refuses a step of it; the other metrics go on."""
        try:
            yield
        except (HiveError, PublicationError, MySQLServerError) as error:
            self.error = error

    def result(self) -> dg.MaterializeResult:
        """Return what the metric's page shows."""
        done = self.publications
        added = (
            {
                "added_columns": f"{', '.join(self.added)}: backfill the days before, on which "
                "they "
                "are "
                "NULL."
            }
            if self.added
            else {}
        )
        return dg.MaterializeResult(
            asset_key=metric_key(self.metric.name),
            metadata={
                **pictures(self.metric, self.newest),
                "days": sum(len(result.rows) for result in done),
                "published": [day for result in done for day in result.published],
                "unchanged": [day for result in done for day in result.unchanged],
                "refused_as_older": [day for result in done for day in result.refused],
                "dagster/row_count": sum(sum(result.rows.values()) for result in done),
                "source_instant": self.instant,
                **added,
            },
        )


def refresh_metrics(
    metrics: Sequence[Metric],
    database: str,
    days: Sequence[str],
    hive: HiveResource,
    mysql: MySQLResource,
) -> list[Refresh]:
    """Read days of metrics from their views and publish them; one that fails leaves the others
    alone.

    Args:
        metrics: The metrics.
        database: Hive database of the views.
        days: The days, in any order.
        hive: Where to read.
        mysql: Where to publish.
    """
    refreshes = {metric.name: Refresh(metric) for metric in metrics}
    days = sorted(days)
    with mysql.connect() as connection, open_reader(hive, database) as reader:
        for refresh in refreshes.values():
            with refresh.giving_up():
                refresh.added = ensure_tables(connection, refresh.metric)
        instants = reader.instants(
            {table for metric in metrics for table in lake_tables(metric.name)}
        )
        for refresh in refreshes.values():
            refresh.instant = max(instants[table] for table in lake_tables(refresh.metric.name))
        for start in range(0, len(days), DAYS_PER_TRANSACTION):
            part = days[start : start + DAYS_PER_TRANSACTION]
            with closing(
                reader.read(
                    [refresh.metric for refresh in refreshes.values() if refresh.error is None],
                    part,
                    instants,
                )
            ) as read:
                for metric, rows in read:
                    with refreshes[metric.name].giving_up():
                        _publish(
                            connection, refreshes[metric.name], part, rows, mask=mysql.mask_accounts
                        )
    return list(refreshes.values())


def _publish(
    connection: MySQLConnectionAbstract,
    refresh: Refresh,
    days: Sequence[str],
    rows: list[Row] | HiveError,
    *,
    mask: bool,
) -> None:
    if isinstance(rows, HiveError):
        raise rows
    metric = refresh.metric
    rows = sorted(rows, key=lambda row: row[: len(metric.key_columns)])
    rows = masked(metric, rows) if mask else rows
    refresh.publications.append(publish(connection, metric, days, rows, refresh.instant))
    refresh.newest = rows or refresh.newest


def masked(metric: Metric, rows: Sequence[Row]) -> list[Row]:
    """Return rows with their accounts hidden, as the setting `mysql.mask_accounts` asks."""
    return [
        tuple(
            mask_account(value) if column.is_account else value
            for column, value in zip(metric.columns, row, strict=True)
        )
        for row in rows
    ]


def pictures(metric: Metric, rows: Sequence[Row]) -> dict[str, dg.MetadataValue]:
    """Return what the metric's page shows of the newest rows: a table of them, and bars of their
    first figure.

    Of a metric with a grain these are the rows of the newest day, the greatest first where the
    grain has no order of its own.

    Args:
        metric: The metric.
        rows: Its rows in the order of their keys.
    """
    columns = metric.columns
    figure = next(
        place
        for place, column in enumerate(columns)
        if column in metric.measures and not column.is_text
    )
    labels = [
        place for place, column in enumerate(columns) if column in metric.grain or column.is_text
    ] or [0]
    shown = list(reversed(rows))
    if metric.grain:
        newest = [row for row in rows if row[0] == rows[-1][0]]
        shown = sorted(newest, key=lambda row: -row[figure]) if metric.grain[0].is_text else newest
    shown = shown[:CHART_ROWS]
    lengths = [(" ".join(str(row[place]) for place in labels), row[figure]) for row in shown]
    return {
        "rows": dg.MetadataValue.md(
            markdown_table([column.name for column in columns], shown[:TABLE_ROWS])
        ),
        "chart": dg.MetadataValue.md(bars(columns[figure].comment_zh, lengths)),
    }


def bars(title: str, figures: Sequence[tuple[str, int]]) -> str:
    """Return figures as bars in a Markdown table, the longest for the greatest."""
    greatest = max((figure for _, figure in figures), default=0) or 1
    return markdown_table(
        ["", title],
        [
            (label, f"{'█' * round(BAR_LENGTH * figure / greatest)} {figure:,}")
            for label, figure in figures
        ],
    )


def markdown_table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return rows as a Markdown table; text that would break the table is escaped."""
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(_cell(value) for value in line)} |" for line in lines)


def _cell(value: Any) -> str:
    # A nickname may be a link, or an image that the reader's browser would fetch from somewhere.
    return MARKUP.sub(
        r"\\\g<0>",
        "".join(character if character.isprintable() else " " for character in str(value)),
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
    found = {"found": len(wrong), "differences": list(wrong[:MOST_FOUND])}
    return dg.AssetCheckResult(
        asset_key=key.asset_key,
        check_name=key.name,
        passed=not wrong,
        severity=severity,
        metadata={**metadata, **found},
    )
