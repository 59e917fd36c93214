"""Reading metrics from their views: the instants of the lake first, then the rows of whole days.

The messages of the days are read from the lake once and kept in the server's memory while the
metrics are made from them, each by the definition of its own view. One that looks at other days as
well is made, by its definition too, from what it needs of them. One that is read alone is asked of
its view.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager, suppress
from datetime import date, timedelta
from queue import SimpleQueue
from typing import Any

from qimo_assets.metrics.catalog import Metric
from qimo_assets.metrics.kept import drop, drop_what_was_left, keep
from qimo_assets.metrics.remembered import Memory, commits_until
from qimo_assets.resources.hive import HiveError, HiveResource, HiveSession
from qimo_assets.views.sql import (
    MESSAGE_VIEW,
    SNAPSHOT,
    lake_tables,
    message_columns,
    reads,
    session_statement,
)

NO_INSTANT = "0" * 17
# Two at once keep two processors busy: while one is planned the other runs.
SESSIONS = 2
KEPT = "kept_message"

Row = tuple[Any, ...]


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
        self, metrics: Sequence[Metric], days: Sequence[str], instants: Mapping[str, str]
    ) -> Generator[tuple[Metric, list[Row] | HiveError], None, None]:
        """Yield the metrics with their rows of the given days, in the catalog's column order, or
        with the error that came instead.

        Args:
            metrics: The metrics; they come as they are read.
            days: The days.
            instants: What `instants` returned before anything was read.
        """
        of_their_days = [
            metric
            for metric in metrics
            if not (metric.looks_back or metric.looks_ahead) and MESSAGE_VIEW in reads(metric.name)
        ]
        with self._kept_messages(of_their_days, days) as messages:
            under_way = {
                self._pool.submit(
                    self._read_one,
                    metric,
                    days,
                    messages if metric in of_their_days else None,
                    instants,
                ): metric
                # The metric of many days takes longest, and begins first.
                for metric in sorted(metrics, key=lambda metric: -metric.looks_back)
            }
            for future in as_completed(under_way):
                yield under_way[future], future.result()

    def _read_one(
        self, metric: Metric, days: Sequence[str], messages: str | None, instants: Mapping[str, str]
    ) -> list[Row] | HiveError:
        names = [column.name for column in metric.columns]
        columns = ", ".join(f"`{name}`" for name in names)
        try:
            with (
                self._session() as session,
                self._recalled(session, metric, days, instants) as recalled,
            ):
                source = messages or recalled
                if source:
                    session.execute(session_statement(metric.name, self._database, source))
                view = f"`{metric.name}`" if source else f"{self._database}.{metric.name}"
                rows = session.query(
                    f"SELECT {columns} FROM {view} WHERE day IN %(days)s",  # nosec B608  # names of the catalog
                    {"days": list(days)},
                )
        except HiveError as error:
            return error
        return [tuple(row[name] for name in names) for row in rows]

    @contextmanager
    def _recalled(
        self, session: HiveSession, metric: Metric, days: Sequence[str], instants: Mapping[str, str]
    ) -> Generator[str | None, None, None]:
        """Make a view for the session of what a metric needs of all messages, where that is less
        than all of them, and give its name.
        """
        if not metric.remembers:
            yield None
            return
        memory = Memory(self._database, metric.remembers)
        [table] = lake_tables(metric.name)
        first = date.fromisoformat(min(days)) - timedelta(days=metric.looks_back)
        last = date.fromisoformat(max(days)) + timedelta(days=metric.looks_ahead)
        try:
            yield memory.recall(
                session,
                first.isoformat(),
                last.isoformat(),
                commits_until(session, self._database, instants[table]),
            )
        except HiveError:
            # Whatever it was, the next run begins anew: what is lost with an executor would be read
            # again from files that are no more.
            with suppress(HiveError):
                memory.forget(session)
            raise

    @contextmanager
    def _kept_messages(
        self, metrics: Sequence[Metric], days: Sequence[str]
    ) -> Generator[str | None, None, None]:
        """Keep the columns that metrics read of the days' messages in the server's memory, under
        the name that is given.
        """
        if len(metrics) < 2:
            yield None
            return
        columns = ", ".join(message_columns([metric.name for metric in metrics], self._database))
        listed = ", ".join(f"'{day}'" for day in days)
        with self._session() as session:
            drop_what_was_left(session, KEPT)
            name = keep(
                session,
                KEPT,
                f"SELECT {columns} FROM {self._database}.{MESSAGE_VIEW} WHERE day IN ({listed})",  # nosec B608  # names of the catalog
            )
        try:
            yield name
        finally:
            with self._session() as session:
                drop(session, name)

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
