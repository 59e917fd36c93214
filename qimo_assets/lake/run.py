"""A run that writes the lake: the live stream until it is stopped, a bounded catch-up, or a replay
of the quarantine.
"""

from __future__ import annotations

import logging
import re
import signal
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from enum import Enum

import dagster as dg
from dagster_pyspark import LazyPySparkResource
from pyspark.errors import StreamingQueryException
from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from qimo_assets.errors import QimoError
from qimo_assets.lake.beside import repeated
from qimo_assets.lake.cadence import Cadence
from qimo_assets.lake.compaction import compacting
from qimo_assets.lake.continuity import WAYS_ON, LinesLost, open_reading
from qimo_assets.lake.fence import Fence, open_clock
from qimo_assets.lake.replay import replay
from qimo_assets.lake.reporter import Reporter, StreamReporter, arrival_reporter, table_reporter
from qimo_assets.lake.services import watching_services
from qimo_assets.lake.stream import start_query
from qimo_assets.lake.tables import ARRIVAL, BATCH_TABLES, QUARANTINE, Table
from qimo_assets.lake.timeline import pending_services
from qimo_assets.lake.writer_lock import WriterLock, WriterLockHeld
from qimo_assets.resources.kafka import KafkaResource
from qimo_assets.resources.mysql import MySQLResource
from qimo_assets.settings import Settings
from qimo_assets.timeouts import BATCH_STOP_SECONDS, STREAM_STALLED_SECONDS

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
LOCK_SECONDS = 15


class Mode(str, Enum):
    """What a run writes, and how long it goes on."""

    LIVE = "live"
    CATCH_UP = "catch_up"
    REPLAY = "replay"


def run_stream(
    context: dg.AssetExecutionContext,
    settings: Settings,
    tables: dict[dg.AssetKey, Table],
    arrivals: dg.AssetKey,
    mode: Mode,
    spark: LazyPySparkResource,
    kafka: KafkaResource,
    mysql: MySQLResource,
) -> None:
    """Write the topic's lines into the lake.

    Args:
        context: The run.
        settings: The platform's settings.
        tables: Asset key of each table that the query writes.
        arrivals: Asset key of the table that keeps what arrived.
        mode: On until stopped, or up to the offsets of now, or no line of the topic but those in
            quarantine. When a live run holds the writer's lock, a catch-up waits until that run has
            come so far.
        spark: Gives the session.
        kafka: The topic.
        mysql: Holds the writer's lock.

    Raises:
        QimoError: The query failed, or another live run writes already; the message says what to
            do.
    """
    try:
        with WriterLock(mysql, settings.lake.database) as lock:
            if mode is Mode.REPLAY:
                _replay(context, settings, tables, spark, lock)
            else:
                _write(context, settings, tables, arrivals, mode, spark, kafka, lock)
    except WriterLockHeld as error:
        if mode is not Mode.CATCH_UP:
            raise WriterLockHeld(f"{error} This run ends; the other one goes on.") from error
        _wait_for_live_run(context, kafka)


def _write(
    context: dg.AssetExecutionContext,
    settings: Settings,
    tables: dict[dg.AssetKey, Table],
    arrivals: dg.AssetKey,
    mode: Mode,
    spark: LazyPySparkResource,
    kafka: KafkaResource,
    lock: WriterLock,
) -> None:
    session = _session(spark)
    session.sparkContext.setLogLevel("WARN")
    reading = open_reading(session, settings.lake, kafka)
    cadence, fence = Cadence(), _fence(session, settings, lock)
    query = start_query(
        session, settings, reading, cadence, fence, until_caught_up=mode is Mode.CATCH_UP
    )
    context.log.info(
        f"Streaming query {query.id} started in mode {mode.value}; checkpoint {reading.checkpoint}"
    )
    reporters: list[Reporter] = [
        table_reporter(context, session, settings, table, key) for key, table in tables.items()
    ]
    # Last, because it writes: the days that the metrics wait for are told first.
    reporter = StreamReporter(
        [*reporters, arrival_reporter(context, session, settings, arrivals, fence)], kafka
    )
    try:
        # The query stops before a compaction is waited for: it would begin another batch meanwhile.
        with (
            compacting(session, settings.lake, [*tables.values(), ARRIVAL], cadence, fence),
            watching_services(
                context.instance,
                lambda: {
                    table.name: pending_services(session, table.path(settings.lake))
                    for table in (*tables.values(), ARRIVAL)
                },
            ),
            _stopped_at_the_end(query),
            _committing(query, reporter),
        ):
            _follow(context, query, reporter, lock, fence)
    finally:
        reporter.report(query, at_once=True)
        session.stop()


def _replay(
    context: dg.AssetExecutionContext,
    settings: Settings,
    tables: dict[dg.AssetKey, Table],
    spark: LazyPySparkResource,
    lock: WriterLock,
) -> None:
    session = _session(spark)
    session.sparkContext.setLogLevel("WARN")
    try:
        replayed = replay(session, settings, _fence(session, settings, lock))
        for key, table in tables.items():
            table_reporter(context, session, settings, table, key).report(at_once=True)
            if table == QUARANTINE:
                context.log_event(
                    dg.AssetObservation(
                        key,
                        metadata={name: dict(counts) for name, counts in vars(replayed).items()},
                    )
                )
    finally:
        session.stop()


def _fence(session: SparkSession, settings: Settings, lock: WriterLock) -> Fence:
    """Return what each write has to pass; a clock that is far behind ends the run here."""
    clock = open_clock(session, settings.lake, (*BATCH_TABLES, ARRIVAL))
    clock.wait()
    return Fence(clock, lock.check)


def _session(spark: LazyPySparkResource) -> SparkSession:
    """Start the session, and leave interrupts to Dagster: PySpark's own handler cancels the jobs of
    the batch that is to be let end.
    """
    handler = signal.getsignal(signal.SIGINT)
    session = spark.spark_session
    signal.signal(signal.SIGINT, handler)
    return session


@contextmanager
def _committing(query: StreamingQuery, reporter: StreamReporter) -> Generator[None, None, None]:
    """Commit the offsets in a thread of its own while the reports are written.

    A report that writes took 222 s on a machine that was overloaded; without a word of its batches
    the supervisor ended a stream that moved.
    """
    with repeated(lambda: reporter.commit(query), POLL_SECONDS, "progress"):
        yield


def _follow(
    context: dg.AssetExecutionContext,
    query: StreamingQuery,
    reporter: StreamReporter,
    lock: WriterLock,
    fence: Fence,
) -> None:
    renewed = time.monotonic()
    while query.isActive:
        time.sleep(POLL_SECONDS)
        reporter.report(query)
        if time.monotonic() - renewed > LOCK_SECONDS:
            lock.check()
            if _was_ended(context):
                raise dg.DagsterExecutionInterruptedError
            renewed = time.monotonic()
    error = query.exception()
    if error is not None:
        raise fence.refused or _failed(error) from error


def _was_ended(context: dg.AssetExecutionContext) -> bool:
    """Return whether Dagster ended this run, or wants it ended, without reaching its process.

    So it is when a person forces the end, and when the code server that launched the run died: its
    successor does not know the process.
    """
    try:
        run = context.instance.get_run_by_id(context.run_id)
    except Exception as error:  # noqa: BLE001  # the storage is away, and with it any word of an end
        logger.warning("The run's own status is not known: %s", error)
        return False
    return run is None or run.is_finished or run.status is dg.DagsterRunStatus.CANCELING


def _failed(error: StreamingQueryException) -> QimoError:
    text = str(error)
    # Spark has no type of its own for lines that are gone (IllegalStateException).
    if (
        "Some data may have been lost" in text
        or "failOnDataLoss" in text
        or "OffsetOutOfRange" in text
    ):
        return LinesLost(
            "The topic no longer holds lines that the lake has not read: retention deleted "
            f"them, or the topic was made anew. {WAYS_ON}\n{text[:1500]}"
        )
    return QimoError(
        "The streaming query failed; the supervising sensor starts it again from its "
        f"checkpoint. {_root_cause(text)}\n{text[:3000]}"
    )


def _root_cause(text: str) -> str:
    """Return the innermost cause of a Java error; the text begins with Python's own frames,
    thousands of characters of them.
    """
    causes = re.findall(r"Caused by: (.+)", text)
    return causes[-1] if causes else ""


@contextmanager
def _stopped_at_the_end(query: StreamingQuery) -> Generator[None, None, None]:
    """Stop the query at the end of the block, and let the batch under way end before."""
    try:
        yield
    finally:
        deadline = time.monotonic() + BATCH_STOP_SECONDS
        while query.isActive and query.status["isTriggerActive"] and time.monotonic() < deadline:
            time.sleep(0.05)
        query.stop()


def _wait_for_live_run(
    context: dg.AssetExecutionContext,
    kafka: KafkaResource,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait until the live run has written what the topic held when this run began."""
    targets = {partition.partition: partition.high for partition in kafka.state()}
    context.log.info(
        "A live run writes the lake; waiting until it has caught up with the topic of now."
    )
    seen, moved_at = None, time.monotonic()
    while missing := {
        item.partition: targets[item.partition] - (item.progress or 0)
        for item in kafka.state()
        if (item.progress or 0) < targets[item.partition]
    }:
        if missing != seen:
            seen, moved_at = missing, time.monotonic()
        elif time.monotonic() - moved_at > STREAM_STALLED_SECONDS:
            raise QimoError(
                f"The live run has not moved for {STREAM_STALLED_SECONDS} s and "
                f"{sum(missing.values())} lines are missing; look at its log."
            )
        sleep(2)
