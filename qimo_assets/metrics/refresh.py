"""Reading days of metrics from the views and publishing them to MySQL."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from mysql.connector import Error as MySQLServerError
from mysql.connector.abstracts import MySQLConnectionAbstract

from qimo_assets.metrics.catalog import Metric
from qimo_assets.metrics.mask import mask_account
from qimo_assets.metrics.page import pictures
from qimo_assets.metrics.publish import (
    PublicationError,
    PublicationResult,
    ensure_tables,
    publish,
)
from qimo_assets.metrics.reader import open_reader
from qimo_assets.metrics.rows import Row
from qimo_assets.metrics.specs import metric_key
from qimo_assets.resources.hive import HiveError, HiveResource
from qimo_assets.resources.mysql import MySQLResource
from qimo_assets.views.sql import MESSAGE_VIEW, lake_tables

# Days are read and published in transactions of this many, so that a backfill of years needs no
# more memory than one of a month.
DAYS_PER_TRANSACTION = 31


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

    def reaches(self, seen: str) -> None:
        """Raise the instant to the commit of messages up to which the rows were read, where they
        are of messages alone: no other instant is said of these rows then, and no others of it.
        """
        if lake_tables(self.metric.name) == lake_tables(MESSAGE_VIEW):
            self.instant = max(self.instant, seen)

    @contextmanager
    def giving_up(self) -> Generator[None, None, None]:
        """Give the metric up where a system refuses a step of it; the other metrics go on."""
        try:
            yield
        except (HiveError, PublicationError, MySQLServerError) as error:
            self.error = error

    def of_days(self) -> dict[str, dict[str, object]]:
        """Return day -> what the event of that day tells, and of no other: an event that listed the
        days of its run would grow with them, and a run of years with their square.
        """
        told: dict[str, dict[str, object]] = {
            day: {"outcome": outcome, "dagster/row_count": result.rows[day]}
            for result in self.publications
            for outcome, days in (
                ("published", result.published),
                ("unchanged", result.unchanged),
                ("refused as older", result.refused),
            )
            for day in days
        }
        if told:
            told[max(told)] |= pictures(self.metric, self.newest)
        return told

    def result(self) -> dg.MaterializeResult[Any]:
        """Return what the events of all days tell."""
        added = (
            {
                "added_columns": f"{', '.join(self.added)}: backfill the days before, on which "
                "they are NULL."
            }
            if self.added
            else {}
        )
        return dg.MaterializeResult(
            asset_key=metric_key(self.metric.name),
            metadata={"source_instant": self.instant, **added},
        )


def refresh_metrics(
    metrics: Sequence[Metric],
    database: str,
    days: Sequence[str],
    hive: HiveResource,
    mysql: MySQLResource,
    *,
    large_day: int,
    again: bool = False,
) -> list[Refresh]:
    """Read days of metrics and publish them; one that fails leaves the others alone.

    Args:
        metrics: The metrics.
        database: Hive database of the views.
        days: The days, in any order.
        hive: Where to read.
        mysql: Where to publish.
        large_day: The setting `metrics.large_day`.
        again: Whether the days are counted from their messages, whatever is known of them.
    """
    refreshes = {metric.name: Refresh(metric) for metric in metrics}
    days = sorted(days)
    with mysql.connect() as connection, open_reader(hive, database, large_day) as reader:
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
            well = [refresh.metric for refresh in refreshes.values() if refresh.error is None]
            with closing(reader.read(well, part, again=again)) as read:
                for metric, of_days, rows in read:
                    refresh = refreshes[metric.name]
                    with refresh.giving_up():
                        refresh.reaches(reader.seen)
                        _publish(connection, refresh, of_days, rows, mask=mysql.mask_accounts)
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
    refresh.newest = max(rows, refresh.newest, key=lambda rows: str(rows[-1][0]) if rows else "")


def masked(metric: Metric, rows: Sequence[Row]) -> list[Row]:
    """Return rows with their accounts hidden, as the setting `mysql.mask_accounts` asks."""
    return [
        tuple(
            mask_account(value) if column.is_account else value
            for column, value in zip(metric.columns, row, strict=True)
        )
        for row in rows
    ]
