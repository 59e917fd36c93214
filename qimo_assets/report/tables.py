"""Reading the metric tables of MySQL: what is published, and the rows of days. Writes nothing,
anywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

from mysql.connector.abstracts import MySQLConnectionAbstract, MySQLCursorAbstract

from qimo_assets.metrics.catalog import TOTAL, Metric

ACCOUNT = "account"
# The day in progress, the one before, which late lines still change, and one that is ahead.
DAYS_TOLD = 3


@dataclass(frozen=True)
class Table:
    """A metric's table as it is there; columns that the catalog has and the table has not yet are
    left out.
    """

    metric: Metric
    columns: tuple[str, ...]

    @property
    def grain(self) -> list[str]:
        """What a row stands for, after the day."""
        return [column.name for column in self.metric.grain if column.name in self.columns]

    @property
    def measures(self) -> list[dict[str, Any]]:
        """The other columns, with what they mean and whether they may be added over days."""
        return [
            {
                "name": column.name,
                "zh": column.comment_zh,
                "en": column.comment_en,
                "adds": column.adds,
            }
            for column in self.metric.measures
            if column.name in self.columns
        ]

    @property
    def account_place(self) -> int | None:
        """Where in a row the account stands."""
        return self.columns.index(ACCOUNT) if ACCOUNT in self.columns else None

    def description(self) -> dict[str, Any]:
        """Return what the page needs to know of the table."""
        metric = self.metric
        identity = ["account_id"] if self.account_place is not None else []
        return {
            "name": metric.name,
            "zh": metric.title_zh,
            "en": metric.title_en,
            "unit": metric.unit,
            "columns": [*self.columns, *identity],
            "grain": self.grain,
            "measures": self.measures,
        }


@dataclass(frozen=True)
class Published:
    """What MySQL holds.

    Attributes:
        tables: The metrics' tables that are there.
        days: For each day a digest of the content of all its tables.
        newest: The newest day that has messages; one after it may have figures that are made from
            the days before it.
        state: What changes with every publication.
        at: When the newest publication was, in Shanghai; None when there is none.
        instant: The newest instant of the lake from which a publication was made.
        newest_days: When the totals of the newest days were published, in Shanghai: that far the
            figures of a day in progress go.
    """

    tables: tuple[Table, ...]
    days: dict[str, str]
    newest: str | None
    state: str | None
    at: datetime | None
    instant: str | None
    newest_days: dict[str, datetime] = field(default_factory=dict)


def published(cursor: MySQLCursorAbstract, metrics: Sequence[Metric]) -> Published:
    """Return what MySQL holds now of these metrics; nothing where the first publication is still to
    come.
    """
    present = _columns(cursor)
    tables = tuple(
        Table(
            metric,
            tuple(
                column.name for column in metric.columns[1:] if column.name in present[metric.name]
            ),
        )
        for metric in metrics
        if metric.name in present
    )
    if "publication" not in present:
        return Published((), {}, None, None, None, None)
    cursor.execute(
        "SELECT `day`, `metric`, `checksum`, `published_at`, `source_instant`, `row_count` "
        "FROM `publication` WHERE `checksum` <> '' ORDER BY `day`, `metric`"
    )
    rows = _fetch(cursor)
    contents: dict[str, list[str]] = {}
    for day, metric, checksum, *_ in rows:
        contents.setdefault(str(day), []).append(f"{metric} {checksum}")
    return Published(
        tables,
        {
            day: hashlib.sha256("\n".join(content).encode()).hexdigest()[:16]
            for day, content in contents.items()
        },
        max((str(row[0]) for row in rows if row[1] == TOTAL and row[5]), default=None),
        state(cursor),
        max((row[3] for row in rows), default=None),
        max((row[4] for row in rows), default=None),
        dict([(str(row[0]), row[3]) for row in rows if row[1] == TOTAL and row[5]][-DAYS_TOLD:]),
    )


def state(cursor: MySQLCursorAbstract) -> str | None:
    """Return what changes with every publication, whichever day and metric it is of; None before
    the first.
    """
    if "publication" not in _columns(cursor):
        return None
    cursor.execute(
        "SELECT max(`published_at`), count(*), sum(crc32(concat_ws(' ', `metric`, `day`, "
        "`checksum`))) FROM `publication` WHERE `checksum` <> ''"
    )
    ((at, count, content),) = _fetch(cursor)
    return f"{at} {count} {content}" if count else None


def read_rows(
    cursor: MySQLCursorAbstract, table: Table, days: Sequence[str]
) -> dict[str, list[list[Any]]]:
    """Return a table's rows of the given days in the order of their key, without the day, as JSON
    takes them.
    """
    names = ", ".join(f"`{name}`" for name in table.columns)
    order = ", ".join(f"`{name}`" for name in ("day", *table.grain))
    places = ", ".join(["%s"] * len(days))
    cursor.execute(
        f"SELECT `day`, {names} FROM `{table.metric.name}` WHERE `day` IN ({places}) ORDER "  # nosec B608  # the catalog's names
        f"BY {order}",
        tuple(days),
    )
    rows: dict[str, list[list[Any]]] = {}
    for day, *values in _fetch(cursor):
        rows.setdefault(str(day), []).append(
            [float(value) if isinstance(value, Decimal) else value for value in values]
        )
    return rows


def snapshot(connection: MySQLConnectionAbstract) -> None:
    """Begin a transaction in which every read sees the same instant of all tables."""
    connection.rollback()
    connection.start_transaction(
        consistent_snapshot=True, isolation_level="REPEATABLE READ", readonly=True
    )


def _columns(cursor: MySQLCursorAbstract) -> dict[str, set[str]]:
    cursor.execute(
        "SELECT `table_name`, `column_name` FROM information_schema.columns WHERE "
        "`table_schema` = DATABASE()"
    )
    present: dict[str, set[str]] = {}
    for table, column in _fetch(cursor):
        present.setdefault(str(table), set()).add(str(column))
    return present


def _fetch(cursor: MySQLCursorAbstract) -> list[tuple[Any, ...]]:
    return cast("list[tuple[Any, ...]]", cursor.fetchall())
