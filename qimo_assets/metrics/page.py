"""What a metric's page shows of its newest rows: a table, and bars in Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import dagster as dg

from qimo_assets.metadata import Value, table
from qimo_assets.metrics.catalog import Metric

# Dagster's page folds away a table that is much longer; a chart may hold the hours of a day.
TABLE_ROWS = 10
CHART_ROWS = 24
BAR_LENGTH = 16
# What means something in Markdown, and is a character after a backslash.
MARKUP = re.compile(r"[\\`*_\[\]()#!|<>~&:@]")

Row = tuple[Any, ...]


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
        "rows": table(
            [column.name for column in columns],
            [[_plain(value) for value in row] for row in shown[:TABLE_ROWS]],
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


def _plain(value: Any) -> Value:
    return value if isinstance(value, str | int | float | None) else str(value)


def _cell(value: Any) -> str:
    # A nickname may be a link, or an image that the reader's browser would fetch from somewhere.
    return MARKUP.sub(
        r"\\\g<0>",
        "".join(character if character.isprintable() else " " for character in str(value)),
    )
