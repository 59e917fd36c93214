"""Reading metrics from their views: the instants of the lake first, then the rows of whole days.

The messages of the days are read from the lake once and kept in the server's memory while the metrics are made from them, each by the
definition of its own view. One that looks at other days as well is made, by its definition too, from what it needs of them. One that is read alone is
asked of its view.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from datetime import date, timedelta
from queue import SimpleQueue
from typing import Any
from uuid import uuid4

from qimo_assets.metrics.catalog import Metric
from qimo_assets.metrics.publish import SQL_DIR
from qimo_assets.resources.hive import HiveError, HiveResource, HiveSession
from qimo_assets.views.sql import MESSAGE_VIEW, SNAPSHOT, message_columns, reads, render, session_statement

NO_INSTANT = "0" * 17
# Two at once keep two processors busy: while one is planned the other runs.
SESSIONS = 2
KEPT = "kept_message"
REMEMBERED = "remembered_message"
# Longer than any run: what is left from before was kept by a run that was killed.
LEFT_SECONDS = 7200

Row = tuple[Any, ...]


class Reader:
    """Reads metrics in a few sessions at once.

    The sessions are as young as the run: Spark lists the files of a Hudi table once per session and would not see later commits.
    """

    def __init__(self, database: str, sessions: Sequence[HiveSession], pool: ThreadPoolExecutor) -> None:
        self._database = database
        self._pool = pool
        self._idle: SimpleQueue[HiveSession] = SimpleQueue()
        for session in sessions:
            self._idle.put(session)

    def instants(self, tables: Iterable[str]) -> dict[str, str]:
        """Return the instant of the newest commit of each of the lake's tables; ask before reading, so that rows are never older than it."""
        with self._session() as session:
            found = {table: session.query(f"CALL show_commits(table => '{self._database}.{table}{SNAPSHOT}', limit => 1)") for table in tables}
        return {table: str(commits[0]["commit_time"]) if commits else NO_INSTANT for table, commits in found.items()}

    def read(self, metrics: Sequence[Metric], days: Sequence[str]) -> Generator[tuple[Metric, list[Row] | HiveError], None, None]:
        """Yield the metrics with their rows of the given days, in the catalog's column order, or with the error that came instead.

        Args:
            metrics: The metrics; they come as they are read.
            days: The days.
        """
        of_their_days = [metric for metric in metrics if not (metric.looks_back or metric.looks_ahead) and MESSAGE_VIEW in reads(metric.name)]
        with self._kept_messages(of_their_days, days) as messages:
            under_way = {
                self._pool.submit(self._read_one, metric, days, messages if metric in of_their_days else None): metric
                # The metric of many days takes longest, and begins first.
                for metric in sorted(metrics, key=lambda metric: -metric.looks_back)
            }
            for future in as_completed(under_way):
                yield under_way[future], future.result()

    def _read_one(self, metric: Metric, days: Sequence[str], messages: str | None) -> list[Row] | HiveError:
        names = [column.name for column in metric.columns]
        columns = ", ".join(f"`{name}`" for name in names)
        try:
            with self._session() as session:
                source = messages or self._remembered(session, metric, days)
                if source:
                    session.execute(session_statement(metric.name, self._database, source))
                view = f"`{metric.name}`" if source else f"{self._database}.{metric.name}"
                rows = session.query(f"SELECT {columns} FROM {view} WHERE day IN %(days)s", {"days": list(days)})  # nosec B608  # names of the catalog
        except HiveError as error:
            return error
        return [tuple(row[name] for name in names) for row in rows]

    def _remembered(self, session: HiveSession, metric: Metric, days: Sequence[str]) -> str | None:
        """Make a view for the session of what a metric needs of all messages, where that is less than all of them, and return its name.

        Of 9 million messages of 90 days active_user has 1.5 million pairs of a day and an account to sort, and of those of 31 days a third.
        """
        if not metric.remembers:
            return None
        first = date.fromisoformat(min(days)) - timedelta(days=metric.looks_back)
        last = date.fromisoformat(max(days)) + timedelta(days=metric.looks_ahead)
        messages = f"{self._database}.{MESSAGE_VIEW}"
        session.execute(render(SQL_DIR / "remembered.sql", name=REMEMBERED, column=metric.remembers, messages=messages, first=first, last=last))
        return REMEMBERED

    @contextmanager
    def _kept_messages(self, metrics: Sequence[Metric], days: Sequence[str]) -> Generator[str | None, None, None]:
        """Keep the columns that metrics read of the days' messages in the server's memory, under the name that is given."""
        if len(metrics) < 2:
            yield None
            return
        name = f"{KEPT}_{int(time.time())}_{uuid4().hex[:8]}"
        columns = ", ".join(message_columns([metric.name for metric in metrics], self._database))
        with self._session() as session:
            _drop_what_was_left(session)
            # What is kept is found again by its plan, and the plan of a view that is read anew has a listing of files of its own.
            session.execute("SET spark.sql.legacy.storeAnalyzedPlanForView=true")
            listed = ", ".join(f"'{day}'" for day in days)
            session.execute(f"CREATE GLOBAL TEMPORARY VIEW {name} AS SELECT {columns} FROM {self._database}.{MESSAGE_VIEW} WHERE day IN ({listed})")  # nosec B608  # names of the catalog
            try:
                session.execute(f"CACHE TABLE global_temp.{name}")
            except HiveError:
                _drop(session, name)
                raise
        try:
            yield f"global_temp.{name}"
        finally:
            with self._session() as session:
                _drop(session, name)

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


def _drop(session: HiveSession, name: str) -> None:
    session.execute(f"DROP VIEW IF EXISTS global_temp.{name}")


def _drop_what_was_left(session: HiveSession) -> None:
    names = [str(row["viewName"]) for row in session.query(f"SHOW VIEWS IN global_temp LIKE '{KEPT}_*'")]
    for name in names:
        if time.time() - int(name.split("_")[-2]) > LEFT_SECONDS:
            _drop(session, name)
