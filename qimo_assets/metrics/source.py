"""Reading metrics: the instants of the lake first, then the rows of whole days.

Metrics that add up are made from the partial figures of the days, which grow by the messages that
are new. Any other is asked of its view.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from queue import SimpleQueue

from qimo_assets.metrics.catalog import METRICS, Metric
from qimo_assets.metrics.facts import adds_up
from qimo_assets.metrics.figures import Figures, Row, Rows, rows_of
from qimo_assets.metrics.links import Counted, overdue
from qimo_assets.resources.hive import HiveError, HiveResource, HiveSession
from qimo_assets.views.sql import SNAPSHOT

logger = logging.getLogger(__name__)

NO_INSTANT = "0" * 17
# Two at once keep two processors busy: while one is planned the other runs.
SESSIONS = 2


class Reader:
    """Reads metrics in a few sessions at once.

    The sessions are as young as the run: Spark lists the files of a Hudi table once per session and
    would not see later commits.
    """

    def __init__(
        self, database: str, sessions: Sequence[HiveSession], pool: ThreadPoolExecutor
    ) -> None:
        self._database = database
        self._pool = pool
        self._idle: SimpleQueue[HiveSession] = SimpleQueue()
        for session in sessions:
            self._idle.put(session)

    def instants(self, tables: Iterable[str]) -> dict[str, str]:
        """Return the instant of the newest commit of each of the lake's tables; ask before reading,
        so that rows are never older than it.
        """
        with self._session() as session:
            found = {
                table: session.query(
                    f"CALL show_commits(table => '{self._database}.{table}{SNAPSHOT}', limit => 1)"
                )
                for table in tables
            }
        return {
            table: str(commits[0]["commit_time"]) if commits else NO_INSTANT
            for table, commits in found.items()
        }

    def read(
        self, metrics: Sequence[Metric], days: Sequence[str], *, again: bool = False
    ) -> Generator[tuple[Metric, list[Row] | HiveError], None, None]:
        """Yield the metrics with their rows of the given days, in the catalog's column order, or
        with the error that came instead.

        Args:
            metrics: The metrics; they come as they are read.
            days: The days.
            again: Whether the days are counted from their messages, whatever is known of them.
        """
        adding = [metric for metric in metrics if adds_up(metric)]
        under_way = [
            self._pool.submit(self._read_one, metric, days)
            for metric in metrics
            if metric not in adding
        ]
        counted: dict[str, Counted] = {}
        if adding:
            under_way.append(self._pool.submit(self._read_figures, adding, days, again, counted))
        for future in as_completed(under_way):
            yield from future.result()
        # Once the rows are published: they do not wait for it.
        if many := [day for day, known in counted.items() if overdue(known)]:
            self._merge(many)

    def _merge(self, days: Sequence[str]) -> None:
        """Put the links of days together. It may fail: they count as they are, and the next run
        tries it again.
        """
        try:
            with self._figures() as figures:
                for day in days:
                    figures.counting.merge(day)
        except HiveError as error:
            logger.warning("Links are not put together: %s", error)

    def _read_figures(
        self,
        metrics: Sequence[Metric],
        days: Sequence[str],
        again: bool,
        counted: dict[str, Counted],
    ) -> Rows:
        """Return the rows of metrics that add up, and add to what is counted."""
        try:
            with self._figures() as figures:
                rows, found = figures.read(metrics, days, again=again)
        except HiveError as error:
            return [(metric, error) for metric in metrics]
        counted |= found
        return rows

    def _read_one(self, metric: Metric, days: Sequence[str]) -> Rows:
        try:
            with self._session() as session:
                view = f"{self._database}.{metric.name}"
                return [(metric, rows_of(session, metric, view, days))]
        except HiveError as error:
            return [(metric, error)]

    @contextmanager
    def _figures(self) -> Generator[Figures, None, None]:
        with ExitStack() as stack:
            sessions = [stack.enter_context(self._session()) for _ in range(SESSIONS)]
            figures = Figures(sessions, self._database, [m for m in METRICS if adds_up(m)])
            figures.counting.open()
            yield figures

    @contextmanager
    def _session(self) -> Generator[HiveSession, None, None]:
        session = self._idle.get()
        try:
            yield session
        finally:
            self._idle.put(session)


@contextmanager
def open_reader(hive: HiveResource, database: str) -> Generator[Reader, None, None]:
    """Open the sessions of a reader, and close them at the end.

    Args:
        hive: HiveServer2.
        database: Hive database of the tables and views.
    """
    with ExitStack() as stack:
        sessions = [stack.enter_context(hive.session()) for _ in range(SESSIONS)]
        pool = ThreadPoolExecutor(SESSIONS)
        # A run that is ended waits for the queries under way and begins no other.
        stack.callback(pool.shutdown, cancel_futures=True)
        yield Reader(database, sessions, pool)
