"""Tells Dagster and Kafka how far the stream has come: materializations of the touched days, and
the committed offsets.

What was touched is asked of Hudi's timeline since the last reported instant, which stands in the
events themselves: a stream that dies between a commit and its report leaves nothing unreported,
because the next run asks from the same instant.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import dagster as dg
from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from qimo_assets.lake.events import INSTANT, emit_days
from qimo_assets.lake.sent_again import SENT_AGAIN_SCHEMA, SentAgainReporter, Total, Totals
from qimo_assets.lake.stream import end_offsets
from qimo_assets.lake.tables import SENT_AGAIN, Table
from qimo_assets.lake.timeline import Touched, has_commits, together, touched_days
from qimo_assets.lake.write import Operation, TableWriter
from qimo_assets.resources.kafka import KafkaResource
from qimo_assets.settings import Settings

# The broker forgets the progress of a group without members partition by partition, seven days
# after it was committed.
COMMITTED_AGAIN_SECONDS = 3600
EVENTS_PER_PAGE = 100
logger = logging.getLogger(__name__)


class Reporter(Protocol):
    """Tells something of the stream's commits, each now and then."""

    def is_due(self) -> bool:
        """Return whether the last report is old enough for the next one."""
        ...

    def report(self, *, at_once: bool = False) -> int:
        """Report what is new, when it is due or at once; return the number of days that it
        concerns.
        """
        ...


@dataclass
class TableReporter:
    """Reports the touched days of one table, each at most once in `report_seconds`.

    What cannot be told is kept and told later: a timeline that archives its commits meanwhile would
    leave every day of history to be told.
    """

    table: Table
    key: dg.AssetKey
    find: Callable[[str | None], Touched]
    emit: Callable[[dg.AssetMaterialization], None]
    interval: float
    since: str | None
    clock: Callable[[], float] = time.monotonic
    reported_at: float | None = None
    untold: Touched = field(default_factory=lambda: Touched({}, None))

    def is_due(self) -> bool:
        """Return whether the last report is old enough for the next one."""
        return self.reported_at is None or self.clock() - self.reported_at >= self.interval

    def report(self, *, at_once: bool = False) -> int:
        """Emit one materialization for each day touched since the last report; return
        their number.
        """
        if not at_once and not self.is_due():
            return 0
        self.untold = together(self.untold, self.find(self.untold.instant or self.since))
        told = {
            day: {"rows written": rows, **self.untold.reasons.get(day, {})}
            for day, rows in self.untold.rows.items()
        }
        emit_days(self.emit, self.key, told, {INSTANT: self.since}, {INSTANT: self.untold.instant})
        if told:
            self.since, self.untold = self.untold.instant, Touched({}, None)
            self.reported_at = self.clock()
        return len(told)


@dataclass
class StreamReporter:
    """Reports the tables and the offsets while a query runs."""

    tables: Sequence[Reporter]
    kafka: KafkaResource
    clock: Callable[[], float] = time.monotonic
    committed: dict[int, int] = field(default_factory=dict)
    reached: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin by asking each once: a run that died may have left days unreported."""
        self._waiting = list(self.tables)
        self._committed_at = self.clock()
        self._committing = threading.Lock()

    def commit(self, query: StreamingQuery) -> dict[int, int] | None:
        """Tell Kafka how far the stream has come, and return it; a thread of its own may do so
        while the tables are reported.
        """
        with self._committing:
            offsets = end_offsets(query, self.kafka.topic)
            if offsets and (offsets != self.committed or self._is_old()):
                self._try(lambda: self._commit(offsets))
        return offsets

    def report(self, query: StreamingQuery, *, at_once: bool = False) -> None:
        """Report what is new; a storage or broker that is away is tried again at the next call, the
        stream goes on.
        """
        offsets = self.commit(query)
        if offsets and offsets != self.reached:
            self.reached, self._waiting = offsets, list(self.tables)
        for table in list(self.tables if at_once else self._waiting):
            if at_once or table.is_due():
                self._try(lambda table=table: self._report(table, at_once))

    def _commit(self, offsets: dict[int, int]) -> None:
        self.kafka.commit_progress(offsets)
        self.committed = offsets
        self._committed_at = self.clock()

    def _is_old(self) -> bool:
        return self.clock() - self._committed_at >= COMMITTED_AGAIN_SECONDS

    def _report(self, table: Reporter, at_once: bool) -> None:
        table.report(at_once=at_once)
        # Asked once after each batch: what was committed until then is reported, and there is
        # nothing more to come before the next one.
        if table in self._waiting:
            self._waiting.remove(table)

    def _try(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception:  # the lines go on; the event is made later from the timeline
            logger.exception("The stream could not report")


def table_reporter(
    context: dg.AssetExecutionContext,
    spark: SparkSession,
    settings: Settings,
    table: Table,
    key: dg.AssetKey,
) -> TableReporter:
    """Return the reporter of a table, beginning at the instant that the newest event carries."""
    path = table.path(settings.lake)
    return TableReporter(
        table=table,
        key=key,
        find=lambda since: touched_days(spark, path, since),
        emit=context.log_event,
        interval=settings.lake.report_seconds,
        since=last_instant(context.instance, key),
    )


def sent_again_reporter(
    context: dg.AssetExecutionContext,
    spark: SparkSession,
    settings: Settings,
    key: dg.AssetKey,
    totals: Callable[[], Totals],
    writer: TableWriter,
) -> SentAgainReporter:
    """Return the reporter that keeps `chat_sent_again`, and knows what the table holds."""
    path = SENT_AGAIN.path(settings.lake)
    told = (
        spark.read.format("hudi").load(path).select("table_name", "day", "lines").collect()
        if has_commits(spark, path)
        else []
    )

    def write(rows: Sequence[Total]) -> None:
        frame = spark.createDataFrame(list(rows), SENT_AGAIN_SCHEMA)
        days = {row[1] for row in rows}
        writer.write(SENT_AGAIN, frame, days, operation=Operation.UPSERT)

    return SentAgainReporter(
        key=key,
        totals=totals,
        write=write,
        emit=context.log_event,
        interval=settings.lake.report_seconds,
        told={(table, day): lines for table, day, lines in told},
    )


def last_instant(instance: dg.DagsterInstance, key: dg.AssetKey, name: str = INSTANT) -> str | None:
    """Return the instant up to which a table's commits were reported, as the newest of the events
    that carry one has it under `name`.
    """
    cursor = None
    while True:
        # Catch-ups and replays add events of their own without it.
        page = instance.fetch_materializations(key, limit=EVENTS_PER_PAGE, cursor=cursor)
        for record in page.records:
            event = record.asset_materialization
            if event and (value := event.metadata.get(name)) is not None:
                return str(value.value) or None
        if not page.has_more:
            return None
        cursor = page.cursor
