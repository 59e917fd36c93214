"""Reading metrics: the instants of the lake first, then the rows of whole days.

The messages of small days are read once and cached by the server while the metrics are made
from them, each by the definition of its own view. Of a large day the messages that are new are
counted, and the rest is known (figures.py); accounts of other days are known as well (accounts.py).
Any other metric is asked of its view.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue

from qimo_assets.metrics.accounts import Accounts
from qimo_assets.metrics.cached_rows import cache_rows, drop_cached
from qimo_assets.metrics.catalog import METRICS, Metric
from qimo_assets.metrics.commits import Commits
from qimo_assets.metrics.facts import ACCOUNT_DAYS, FACTS, Facts, rows_over
from qimo_assets.metrics.figures import Figures
from qimo_assets.metrics.links import Counted, overdue
from qimo_assets.metrics.look import look, newest_entries, reading_of
from qimo_assets.metrics.rows import Row, Rows, read_rows
from qimo_assets.metrics.sessions import SessionPool
from qimo_assets.resources.hive import HiveError, HiveResource, HiveSession
from qimo_assets.views.sql import SNAPSHOT, has_part

logger = logging.getLogger(__name__)

NO_INSTANT = "0" * 17
# What changes the rows of a table, by Hudi's names. What is under way and what was cleaned stand
# between them in a timeline, so that a few entries are asked for.
COMMITS = {"commit", "deltacommit", "replacecommit"}
NEWEST_ENTRIES, ALL_ENTRIES = 30, 1_000_000
# While one query is planned another runs. Figures of large days are counted in one and read in
# four, one for each query; the accounts of other days are asked for meanwhile.
SESSIONS, FIGURE_SESSIONS = 5, 4
CACHED = "cached_message"


@dataclass(frozen=True)
class Part:
    """Metrics and days that are read at once.

    Attributes:
        metrics: The metrics.
        days: The days.
        read: Yields their rows.
    """

    metrics: Sequence[Metric]
    days: Sequence[str]
    read: Callable[[], Iterable[Rows]]


class Reader:
    """Reads metrics in a few sessions at once.

    The sessions are as young as the run: Spark lists the files of a Hudi table once per session and
    would not see later commits.

    Attributes:
        seen: Instant of the newest commit of messages that the rows which it yields hold; empty
            where it did not look.
    """

    def __init__(
        self,
        database: str,
        large_day: int,
        sessions: Sequence[HiveSession],
        pool: ThreadPoolExecutor,
    ) -> None:
        self._database = database
        self._large_day = large_day
        self._pool = pool
        self._afterwards: list[Callable[[], None]] = []
        self.seen = ""
        self._sessions = SessionPool(sessions)

    def instants(self, tables: Iterable[str]) -> dict[str, str]:
        """Return the instant of the newest commit of each of the lake's tables; ask before reading,
        so that rows are never older than it.
        """
        tables = list(tables)
        return dict(zip(tables, self._pool.map(self._newest_commit, tables), strict=True))

    def _newest_commit(self, table: str) -> str:
        commits: list[str] = []
        for limit in (NEWEST_ENTRIES, ALL_ENTRIES):
            with self._sessions.take() as session:
                entries = newest_entries(session, f"{self._database}.{table}{SNAPSHOT}", limit)
            commits = [
                str(entry["instant_time"])
                for entry in entries
                if entry["state"] == "COMPLETED" and entry["action"] in COMMITS
            ]
            if commits or len(entries) < limit:
                break
        return max(commits, default=NO_INSTANT)

    def read(
        self, metrics: Sequence[Metric], days: Sequence[str], *, again: bool = False
    ) -> Generator[tuple[Metric, Sequence[str], list[Row] | HiveError], None, None]:
        """Yield metrics with some of the given days and their rows of these, in the catalog's
        column order, or with the error that came instead; each metric and day once.

        Args:
            metrics: The metrics; they come as they are read.
            days: The days.
            again: Whether the days are counted from their messages, whatever is known of them.

        Raises:
            HiveError: The lake cannot be read.
        """
        of_messages = [metric for metric in metrics if has_part(metric.name, FACTS)]
        # One look at the days: how large they are, and what of them is new to figures and accounts.
        seen = self._look(days) if of_messages else {}
        self.seen = max((commits.newest for commits in seen.values()), default="")
        large = [day for day in seen if seen[day].messages >= self._large_day]
        small = {day: commits for day, commits in seen.items() if day not in large}
        with self._messages(of_messages, small) as messages:
            yield from self._as_they_come(
                [
                    *self._large_parts(of_messages, large, again, seen),
                    *self._other_parts(metrics, days, again, seen),
                    *self._small_parts(of_messages, list(small), messages),
                ]
            )
        # Once the rows are published: they do not wait for it.
        while self._afterwards:
            self._afterwards.pop()()

    def _as_they_come(
        self, parts: Sequence[Part]
    ) -> Generator[tuple[Metric, Sequence[str], list[Row] | HiveError], None, None]:
        """Read parts side by side, and yield the rows of each metric once they are there."""
        come: SimpleQueue[tuple[Part, Rows] | None] = SimpleQueue()

        def read(part: Part) -> None:
            left = {metric.name: metric for metric in part.metrics}
            try:
                for rows in part.read():
                    come.put((part, rows))
                    for metric, _ in rows:
                        del left[metric.name]
            except HiveError as error:
                come.put((part, [(metric, error) for metric in left.values()]))
            finally:
                come.put(None)

        reading = [self._pool.submit(read, part) for part in parts]
        ended = 0
        while ended < len(parts):
            if (found := come.get()) is None:
                ended += 1
            else:
                part, rows = found
                yield from ((metric, part.days, of_metric) for metric, of_metric in rows)
        for each in reading:
            each.result()

    def _large_parts(
        self,
        metrics: Sequence[Metric],
        days: Sequence[str],
        again: bool,
        seen: Mapping[str, Commits],
    ) -> Iterator[Part]:
        if days:
            yield Part(metrics, days, partial(self._read_figures, metrics, days, again, seen))

    def _other_parts(
        self,
        metrics: Sequence[Metric],
        days: Sequence[str],
        again: bool,
        seen: Mapping[str, Commits],
    ) -> Iterator[Part]:
        for metric in metrics:
            if has_part(metric.name, ACCOUNT_DAYS):
                yield Part([metric], days, partial(self._read_accounts, metric, days, again, seen))
            elif not has_part(metric.name, FACTS):
                yield Part([metric], days, partial(self._read_view, metric, days))

    def _small_parts(
        self, metrics: Sequence[Metric], days: Sequence[str], messages: str
    ) -> Iterator[Part]:
        for metric in metrics if days else ():
            yield Part([metric], days, partial(self._read_small, metric, days, messages))

    def _look(self, days: Sequence[str]) -> dict[str, Commits]:
        with self._sessions.take() as session:
            return look(session, self._database, days)

    def _read_view(self, metric: Metric, days: Sequence[str]) -> Iterator[Rows]:
        with self._sessions.take() as session:
            rows = read_rows(session, metric, days, f"{self._database}.{metric.name}")
        yield [(metric, rows)]

    def _read_small(self, metric: Metric, days: Sequence[str], messages: str) -> Iterator[Rows]:
        before = rows_over(metric, self._database, messages)
        with self._sessions.take() as session:
            rows = read_rows(session, metric, days, f"`{metric.name}`", before)
        yield [(metric, rows)]

    @contextmanager
    def _messages(
        self, metrics: Sequence[Metric], seen: Mapping[str, Commits]
    ) -> Generator[str, None, None]:
        """Give the messages of small days as what a query reads: the server caches them meanwhile,
        so that they are listed and read once, and the figures of all metrics add up.
        """
        spans = [(day, "", commits.newest) for day, commits in seen.items()]
        reading = reading_of(list(seen.values()))
        query = Facts(self._database, metrics).messages(spans, reading) if spans else ""
        if not spans or len(metrics) == 1:
            yield f"({query})"
            return
        with self._sessions.take() as session:
            name = cache_rows(session, CACHED, query)
        try:
            yield name
        finally:
            with self._sessions.take() as session:
                drop_cached(session, name)

    def _read_figures(
        self,
        metrics: Sequence[Metric],
        days: Sequence[str],
        again: bool,
        seen: Mapping[str, Commits],
    ) -> Iterator[Rows]:
        counted: dict[str, Counted] = {}
        with self._figures() as figures, figures.counting.holding():
            for rows, counted in figures.read(metrics, days, again=again, seen=seen):  # noqa: B007  # the last is asked for below
                yield rows
        self._merge_afterwards(self._figures, counted)

    def _read_accounts(
        self, metric: Metric, days: Sequence[str], again: bool, seen: Mapping[str, Commits]
    ) -> Iterator[Rows]:
        with self._accounts() as accounts:
            rows, counted = accounts.read(metric, days, again=again, seen=seen)
        self._merge_afterwards(self._accounts, counted)
        yield [(metric, rows)]

    def _merge_afterwards(
        self,
        opened: Callable[[], AbstractContextManager[Figures | Accounts]],
        counted: Mapping[str, Counted],
    ) -> None:
        """Have links put together where a day has many."""
        if days := [day for day, known in counted.items() if overdue(known)]:
            self._afterwards.append(partial(_merge, opened, days))

    @contextmanager
    def _figures(self) -> Generator[Figures, None, None]:
        with ExitStack() as stack:
            sessions = [stack.enter_context(self._sessions.take()) for _ in range(FIGURE_SESSIONS)]
            figures = Figures(sessions, self._database, METRICS)
            figures.counting.open()
            yield figures

    @contextmanager
    def _accounts(self) -> Generator[Accounts, None, None]:
        with self._sessions.take() as session:
            accounts = Accounts(session, self._database)
            accounts.counting.open()
            yield accounts


def _merge(
    opened: Callable[[], AbstractContextManager[Figures | Accounts]], days: Sequence[str]
) -> None:
    """Put the links of days together. It may fail: they count as they are, and the next run tries
    it again.
    """
    try:
        with opened() as holder:
            for day in days:
                holder.counting.merge(day)
    except HiveError as error:
        logger.warning("Links are not put together: %s", error)


@contextmanager
def open_reader(hive: HiveResource, database: str, large_day: int) -> Generator[Reader, None, None]:
    """Open the sessions of a reader, and close them at the end.

    Args:
        hive: HiveServer2.
        database: Hive database of the tables and views.
        large_day: The setting `metrics.large_day`.
    """
    with ExitStack() as stack:
        # All are opened or refused before any is closed.
        with ThreadPoolExecutor(SESSIONS) as opening:
            opened = opening.map(lambda _: stack.enter_context(hive.session()), range(SESSIONS))
        sessions = list(opened)
        pool = ThreadPoolExecutor(SESSIONS)
        # A run that is ended waits for the queries under way and begins no other.
        stack.callback(pool.shutdown, cancel_futures=True)
        yield Reader(database, large_day, sessions, pool)
