"""Rows of metrics, as queries return them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qimo_assets.metrics.catalog import Metric
from qimo_assets.resources.hive import HiveError, HiveSession

Row = tuple[Any, ...]
# Metrics with their rows, in the catalog's column order, or with the error that came instead.
Rows = list[tuple[Metric, list[Row] | HiveError]]


def read_rows(
    session: HiveSession, metric: Metric, days: Sequence[str], view: str, before: str = ""
) -> list[Row]:
    """Return the rows that a view has of some days, in the catalog's column order.

    Args:
        session: A session of HiveServer2.
        metric: The metric.
        days: The days.
        view: The view.
        before: What the query begins with, where that says what the view is.
    """
    names = [column.name for column in metric.columns]
    columns = ", ".join(f"`{name}`" for name in names)
    listed = "', '".join(days)
    query = f"{before}SELECT {columns} FROM {view} WHERE day IN ('{listed}')"  # nosec B608  # names of the catalog
    return [tuple(row[name] for name in names) for row in session.query(query)]
