"""The figures of large days, made from what their links add up to: the sums of cells, or a view
over what was counted in the place of the messages.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from qimo_assets.contract import OTHERS
from qimo_assets.metrics.catalog import MESSAGES, Metric
from qimo_assets.metrics.commits import Commits
from qimo_assets.metrics.counting import Counting
from qimo_assets.metrics.facts import PARTIAL, SEPARATOR, SQL_SEPARATOR, Facts, set_names
from qimo_assets.metrics.links import Counted, names_of
from qimo_assets.metrics.publish import SQL_DIR
from qimo_assets.metrics.rows import Row, Rows, read_rows
from qimo_assets.metrics.sessions import SessionPool
from qimo_assets.resources.hive import HiveError, HiveSession
from qimo_assets.views.sql import has_part, query_over, render

TABLE = "chat_figure"
# Messages and members by the names of the measures.
_Figures = dict[str, int]
_Cells = Mapping[str, Sequence[Mapping[str, Any]]]
# Reads links by their names.
_Read = Callable[[Sequence[str], HiveSession], Rows]


class Figures:
    """The figures of a lake's large days.

    Args:
        sessions: Sessions of HiveServer2: the first counts, all read.
        database: Hive database of the tables and views.
        metrics: All metrics of the catalog that add up.

    Attributes:
        counting: Counts the days.
    """

    def __init__(
        self, sessions: Sequence[HiveSession], database: str, metrics: Sequence[Metric]
    ) -> None:
        self.counting = Counting(sessions[0], database, TABLE, Facts(database, metrics))
        self._sessions = sessions
        self._database = database

    def read(
        self,
        metrics: Sequence[Metric],
        days: Sequence[str],
        *,
        again: bool = False,
        seen: Mapping[str, Commits] | None = None,
    ) -> Generator[tuple[Rows, dict[str, Counted]], None, None]:
        """Count what is new of some days, and yield metrics with their rows of these days as they
        are read, and what is counted of each day: first those that are sums of cells, which most
        are, and which take least.

        Args:
            metrics: The metrics.
            days: The days.
            again: Whether the days are counted from the beginning, whatever is known of them.
            seen: The commits of days that were looked at before.

        Raises:
            HiveError: The days cannot be counted or read.
        """

        def count(is_first: bool) -> dict[str, Counted]:
            return self.counting.bring_up_to_date(
                days, again=days if again and is_first else (), seen=seen
            )

        of_cells = [metric for metric in metrics if _is_of_cells(metric)]
        first = [partial(self._rows_of_cells, of_cells, days)] if of_cells else []
        then = [
            partial(self._rows_of_partial, metric, days)
            for metric in metrics
            if not _is_of_cells(metric)
        ]
        return self.counting.unbroken(
            count, [partial(self._rows, reads) for reads in (first, then) if reads]
        )

    def _rows(self, reads: Sequence[_Read], counted: Mapping[str, Counted]) -> Rows:
        links = names_of(counted.values())
        return self._in_all_sessions([partial(read, links) for read in reads])

    def _in_all_sessions(self, reads: Sequence[Callable[[HiveSession], Rows]]) -> Rows:
        """Return what is read, one reading in each session at a time: a server plans a query on one
        processor.
        """
        sessions = SessionPool(self._sessions)

        def read_in_one(read: Callable[[HiveSession], Rows]) -> Rows:
            with sessions.take() as session:
                self.counting.look_again(session)
                return read(session)

        with ThreadPoolExecutor(len(self._sessions)) as pool:
            return [row for rows in pool.map(read_in_one, reads) for row in rows]

    def _rows_of_cells(
        self,
        metrics: Sequence[Metric],
        days: Sequence[str],
        links: Sequence[str],
        session: HiveSession,
    ) -> Rows:
        cells: dict[str, list[dict[str, Any]]] = {}
        for row in session.query(
            render(SQL_DIR / "cells.sql", rows=self.counting.rows, days=days, links=links)
        ):
            cells.setdefault(row["set_name"], []).append(row)
        return [
            (metric, _or_error(partial(self._rows_of_metric, metric, cells, links, session)))
            for metric in metrics
        ]

    def _rows_of_metric(
        self, metric: Metric, of_set: _Cells, links: Sequence[str], session: HiveSession
    ) -> list[Row]:
        cells = _cells_of(metric, of_set)
        most = metric.max_values
        rows: list[Row] = []
        crowded: dict[str, dict[str, _Figures]] = {}
        for day, of_day in cells.items():
            if most is None or len(of_day) <= most:
                rows += [_row(metric, day, cell, of_cell) for cell, of_cell in of_day.items()]
            else:
                crowded[day] = of_day
        return rows + (self._crowded_rows(metric, crowded, links, session) if crowded else [])

    def _crowded_rows(
        self,
        metric: Metric,
        cells: Mapping[str, dict[str, _Figures]],
        links: Sequence[str],
        session: HiveSession,
    ) -> list[Row]:
        """Return the rows of days that have more values than are told apart."""
        [(name, _)] = set_names(metric)
        told_apart = {
            day: [cell for cell in _ranked(of_day)[: metric.max_values] if cell != OTHERS]
            for day, of_day in cells.items()
        }
        members = session.query(
            render(
                SQL_DIR / "others.sql",
                rows=self.counting.rows,
                name=name,
                days=list(told_apart),
                links=links,
            ),
            told_apart,
        )
        rows = [
            _row(metric, day, cell, cells[day][cell])
            for day, of_day in told_apart.items()
            for cell in of_day
        ]
        return rows + [
            _row(
                metric,
                row["day"],
                OTHERS,
                {
                    MESSAGES.name: sum(
                        figures[MESSAGES.name]
                        for cell, figures in cells[row["day"]].items()
                        if cell not in told_apart[row["day"]]
                    ),
                    name.rpartition(".")[2]: row["members"],
                },
            )
            for row in members
        ]

    def _rows_of_partial(
        self, metric: Metric, days: Sequence[str], links: Sequence[str], session: HiveSession
    ) -> Rows:
        counted = render(
            SQL_DIR / "partial.sql",
            rows=self.counting.rows,
            name=metric.name,
            columns=metric.partial,
            separator=SQL_SEPARATOR,
            days=days,
            links=links,
        )
        before = query_over(metric.name, PARTIAL, self._database, counted)
        read = partial(read_rows, session, metric, days, f"`{metric.name}`", before)
        return [(metric, _or_error(read))]


def _is_of_cells(metric: Metric) -> bool:
    return not has_part(metric.name, PARTIAL)


def _or_error(read: Callable[[], list[Row]]) -> list[Row] | HiveError:
    try:
        return read()
    except HiveError as error:
        return error


def _cells_of(metric: Metric, of_set: _Cells) -> dict[str, dict[str, _Figures]]:
    """Return day -> cell -> its figures by the names of the measures."""
    cells: dict[str, dict[str, _Figures]] = {}
    for name, _ in set_names(metric):
        for row in of_set.get(name, ()):
            figures = cells.setdefault(row["day"], {}).setdefault(row["cell"], {})
            figures[MESSAGES.name] = row["messages"]
            figures[name.rpartition(".")[2]] = row["members"] or row["messages"]
    return cells


def _ranked(cells: Mapping[str, _Figures]) -> list[str]:
    """Return cells of one text each by messages descending, then by text."""
    return sorted(cells, key=lambda cell: (-cells[cell][MESSAGES.name], cell))


def _row(metric: Metric, day: str, cell: str, figures: _Figures) -> Row:
    texts = cell.split(SEPARATOR) if metric.grain else ()
    return (
        day,
        *(
            text if column.is_text else int(text)
            for column, text in zip(metric.grain, texts, strict=True)
        ),
        *(figures[column.name] for column in metric.measures),
    )
