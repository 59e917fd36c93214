"""Reading a metric from its view: the instant of the lake first, then the rows of whole days."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qimo_assets.metrics.catalog import Metric
from qimo_assets.resources.hive import HiveSession
from qimo_assets.views.sql import SNAPSHOT

NO_INSTANT = "0" * 17


def source_instant(session: HiveSession, database: str, tables: Sequence[str]) -> str:
    """Return the instant of the newest commit of the lake's tables; ask before querying, so that rows are never older than it.

    Args:
        session: A session on HiveServer2.
        database: Hive database of the tables.
        tables: The tables that the metric is made from.
    """
    newest = [session.query(f"CALL show_commits(table => '{database}.{table}{SNAPSHOT}', limit => 1)") for table in tables]
    return max((str(commits[0]["commit_time"]) for commits in newest if commits), default=NO_INSTANT)


def read_days(session: HiveSession, database: str, metric: Metric, days: Sequence[str]) -> list[tuple[Any, ...]]:
    """Return a metric's rows of the given days, in the catalog's column order."""
    names = [column.name for column in metric.columns]
    columns = ", ".join(f"`{name}`" for name in names)
    rows = session.query(f"SELECT {columns} FROM {database}.{metric.name} WHERE day IN %(days)s", {"days": list(days)})
    return [tuple(row[name] for name in names) for row in rows]
