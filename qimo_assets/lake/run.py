"""A run that writes the lake: the live stream until it is stopped, a bounded catch-up, or a replay
of the quarantine.
"""

from __future__ import annotations

import logging
import re
import signal
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import dagster as dg
from dagster_pyspark import LazyPySparkResource
from pyspark.errors import StreamingQueryException
from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from qimo_assets.errors import QimoError
from qimo_assets.lake import pending
from qimo_assets.lake.background import repeated
from qimo_assets.lake.continuity import WAYS_ON, LinesLost, open_checkpoint
from qimo_assets.lake.epoch import Epoch
from qimo_assets.lake.fence import Fence, open_clock
from qimo_assets.lake.gaps import Gaps
from qimo_assets.lake.migrate import migrate
from qimo_assets.lake.mode import Mode
from qimo_assets.lake.pace import Pace
from qimo_assets.lake.replay import replay
from qimo_assets.lake.reporter import (
    Reporter,
    StreamReporter,
    sent_again_reporter,
    table_reporter,
)
from qimo_assets.lake.services import Services, serving
from qimo_assets.lake.stream import LakeStream, topic_name
from qimo_assets.lake.tables import QUARANTINE, TABLES, Table
from qimo_assets.lake.timeline import pending_services
from qimo_assets.lake.watch import Watch, watching
from qimo_assets.lake.write import TableWriter, roll_back
from qimo_assets.lake.writer_lock import WriterLock, WriterLockHeld
from qimo_assets.resources.kafka import KafkaResource
from qimo_assets.resources.mysql import MySQLResource
from qimo_assets.resources.spark import in_step
from qimo_assets.settings import Settings
from qimo_assets.timeouts import BATCH_STOP_SECONDS, STREAM_STALLED_SECONDS

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
LOCK_SECONDS = 15


def run_stream(
    context: dg.AssetExecutionContext,
    settings: Settings,
    tables: dict[dg.AssetKey, Table],
    sent_again: dg.AssetKey,
    mode: Mode,
    spark: LazyPySparkResource,
    kafka: KafkaResource,
    mysql: MySQLResource,
    pace: Pace,
    make_writer: Callable[..., TableWriter],
) -> None:
    """Write the topic's lines into the lake.

    Args:
        context: The run.
        settings: The platform's settings.
        tables: Asset key of each table that the query writes.
        sent_again: Asset key of the table that tells what came again.
        mode: On until stopped, or up to the offsets of now, or no line of the topic but those in
            quarantine. When a live run holds the writer's lock, a catch-up waits until that run has
            come so far.
        spark: Gives the session.
        kafka: The topic.
        mysql: Holds the writer's lock.
        pace: How often things are done beside the writing.
        make_writer: Makes the writer of the tables.

    Raises:
        QimoError: The query failed, or another live run writes already; the message says what to
            do.
    """
    try:
        with WriterLock(mysql, settings.lake.database) as lock, _session(spark) as session:
            session.sparkContext.setLogLevel("WARN")
            fence = _take_over(session, settings, lock)
            writer = make_writer(settings.lake, fence, pace.options)
            services = [Services(session, settings.lake, table, fence, pace) for table in TABLES]
            if mode is Mode.REPLAY:
                for one in services:
                    one.finish()
                _replay(context, settings, tables, session, writer)
            else:
                stream = LakeStream(
                    session,
                    settings,
                    open_checkpoint(session, settings.lake, kafka),
                    writer,
                    pace,
                )
                again = sent_again_reporter(
                    context, session, settings, sent_again, lambda: stream.sent_again, writer
                )
                reporters: list[Reporter] = [
                    table_reporter(context, session, settings, table, key)
                    for key, table in tables.items()
                ]
                # Last, because it writes: the days that the metrics wait for are told first.
                reporter = StreamReporter([*reporters, again], kafka)
                _stream(context, session, stream, mode, services, pace, reporter, lock, fence)
    except WriterLockHeld as error:
        if mode is not Mode.CATCH_UP:
            raise WriterLockHeld(f"{error} This run ends; the other one goes on.") from error
        _wait_for_live_run(context, kafka)


def run_migration(
    settings: Settings,
    spark: LazyPySparkResource,
    kafka: KafkaResource,
    mysql: MySQLResource,
    say: Callable[[str], object],
) -> dict[str, int]:
    """Move the tables of an earlier release over, in this process.

    Args:
        settings: The platform's settings.
        spark: Gives the session.
        kafka: The topic.
        mysql: Holds the writer's lock.
        say: Told of each step.

    Returns:
        Table -> rows that it has; empty where there was nothing to move.

    Raises:
        QimoError: Another run writes the lake, or rows are missing; the message says what to do.
    """
    with WriterLock(mysql, settings.lake.database) as lock, _session(spark) as session:
        session.sparkContext.setLogLevel("ERROR")
        fence = _take_over(session, settings, lock)
        topic = topic_name(settings, open_checkpoint(session, settings.lake, kafka))
        writer = TableWriter(settings.lake, fence)
        ends = {state.partition: state.high for state in kafka.state()}
        return migrate(session, settings.lake, topic, ends, writer, say)


def _stream(
    context: dg.AssetExecutionContext,
    session: SparkSession,
    stream: LakeStream,
    mode: Mode,
    services: Sequence[Services],
    pace: Pace,
    reporter: StreamReporter,
    lock: WriterLock,
    fence: Fence,
) -> None:
    query = stream.start(until_caught_up=mode is Mode.CATCH_UP)
    context.log.info(f"Streaming query {query.id} started in mode {mode.value}")
    try:
        # The query stops before a service is waited for: it would begin another batch meanwhile.
        with (
            serving(services, pace),
            watching(_watches(context.instance, stream, services)),
            _stopped_at_the_end(query, stream),
            in_step(session),
            _committing(query, reporter),
        ):
            _follow(context, query, reporter, lock, fence)
    finally:
        reporter.report(query, at_once=True)


def _watches(
    instance: dg.DagsterInstance, stream: LakeStream, services: Sequence[Services]
) -> list[Watch]:
    def judge_services(now: float) -> dg.AssetCheckResult:
        planned = {
            one.table.name: pending_services(one.spark, one.table.path(one.lake)).planned_at
            for one in services
        }
        return pending.judge(planned, now)

    return [Watch(instance, judge_services), Watch(instance, Gaps(stream.state.known).judge)]


def _replay(
    context: dg.AssetExecutionContext,
    settings: Settings,
    tables: dict[dg.AssetKey, Table],
    session: SparkSession,
    writer: TableWriter,
) -> None:
    replayed = replay(session, settings, writer)
    for key, table in tables.items():
        table_reporter(context, session, settings, table, key).report(at_once=True)
        if table == QUARANTINE:
            context.log_event(
                dg.AssetObservation(
                    key,
                    metadata={name: dict(counts) for name, counts in vars(replayed).items()},
                )
            )


def _take_over(session: SparkSession, settings: Settings, lock: WriterLock) -> Fence:
    """Have another writer begin no write any more, end what it has begun, so that it cannot be
    committed, and return what each write has to pass; a clock that is far behind ends the run
    before anything is written.
    """
    clock = open_clock(session, settings.lake, TABLES)
    # Else one that lost the lock while its driver started would end the epoch of who has it now.
    with Fence(clock, [lock.check])():
        epoch = Epoch(session, settings.lake)
    fence = Fence(clock, [lock.check, epoch.check])
    for table in TABLES:
        with fence():
            roll_back(session, settings.lake, table)
    return fence


@contextmanager
def _session(spark: LazyPySparkResource) -> Generator[SparkSession, None, None]:
    """Start the session, and stop it at the end. Leave interrupts to Dagster: PySpark's own handler
    cancels the jobs of the batch that is to be let end.
    """
    handler = signal.getsignal(signal.SIGINT)
    session = spark.spark_session
    signal.signal(signal.SIGINT, handler)
    try:
        with in_step(session):
            yield session
    finally:
        session.stop()


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
        # Something else may have been refused long before.
        if fence.refused is not None and str(fence.refused) in str(error):
            raise fence.refused from error
        raise _failed(error) from error


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
def _stopped_at_the_end(query: StreamingQuery, stream: LakeStream) -> Generator[None, None, None]:
    """Stop the query at the end of the block, and let the batch under way end before; then have
    what is known written down, unless another writer may be at work.
    """
    may_write = True
    try:
        yield
    except QimoError:
        may_write = False
        raise
    finally:
        deadline = time.monotonic() + BATCH_STOP_SECONDS
        while query.isActive and query.status["isTriggerActive"] and time.monotonic() < deadline:
            time.sleep(0.05)
        query.stop()
        if may_write and query.exception() is None:
            stream.end()


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
