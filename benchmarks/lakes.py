"""A lake of a benchmark's own: a Spark driver as the stream's, a database, and the stream itself
with all that it does beside writing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import dagster as dg
import psutil
from pyspark import SparkContext
from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from qimo_assets.lake.assets import SENT_AGAIN_KEY, TABLES
from qimo_assets.lake.continuity import open_checkpoint
from qimo_assets.lake.pace import Pace
from qimo_assets.lake.reporter import (
    Reporter,
    StreamReporter,
    sent_again_reporter,
    table_reporter,
)
from qimo_assets.lake.run import POLL_SECONDS
from qimo_assets.lake.services import BEHIND_SECONDS, LIMITS, Services, serving
from qimo_assets.lake.stream import LakeStream
from qimo_assets.lake.tables import BATCH_TABLES, MESSAGE, directory
from qimo_assets.lake.timeline import file_system, hadoop_path
from qimo_assets.lake.write import TableWriter
from qimo_assets.resources.hive import HiveResource
from qimo_assets.resources.kafka import KafkaResource
from qimo_assets.resources.spark import spark_resource
from qimo_assets.settings import Settings

JVM_END_SECONDS = 30


@contextmanager
def spark_session(settings: Settings) -> Generator[SparkSession, None, None]:
    """Start a driver with the stream's own properties in this process, and end it with its JVM."""
    session = spark_resource(settings).spark_session
    session.sparkContext.setLogLevel("ERROR")
    try:
        yield session
    finally:
        end_driver(session)


def end_driver(session: SparkSession) -> None:
    """End a driver with its JVM: in the next one that uses it, its properties would hold."""
    session.stop()
    gateway: Any = SparkContext._gateway
    gateway.shutdown()
    # The JVM ends when this pipe does.
    gateway.proc.stdin.close()
    gateway.proc.wait(JVM_END_SECONDS)
    SparkContext._gateway = SparkContext._jvm = None


@contextmanager
def own_lake(spark: SparkSession, settings: Settings, name: str) -> Generator[Settings, None, None]:
    """Give the settings of an empty lake, and delete what was written to it; the metastore goes on
    knowing its tables.
    """
    lake = settings.lake.model_copy(
        update={"database": name, "checkpoint": f"{settings.lake.checkpoint}-{name}"}
    )
    kafka = settings.kafka.model_copy(update={"progress_group": name})
    try:
        yield settings.model_copy(update={"lake": lake, "kafka": kafka})
    finally:
        for path in (directory(lake), lake.checkpoint):
            file_system(spark, path).delete(hadoop_path(spark, path), True)


def lake_stream(spark: SparkSession, settings: Settings) -> LakeStream:
    """Return the platform's stream into a lake."""
    kafka = KafkaResource.from_settings(settings.kafka)
    checkpoint = open_checkpoint(spark, settings.lake, kafka)
    return LakeStream(spark, settings, checkpoint, TableWriter(settings.lake), Pace())


def services_of(spark: SparkSession, settings: Settings) -> list[Services]:
    """Return what serves each table beside the stream."""
    return [Services(spark, settings.lake, table, nullcontext, Pace()) for table in BATCH_TABLES]


def put_together(spark: SparkSession, settings: Settings, day: str) -> None:
    """Put all files of a day of the messages together, however few they are."""
    Services(spark, settings.lake, MESSAGE, nullcontext, Pace()).put_together(
        len(LIMITS) - 1, [day]
    )


def reporters(spark: SparkSession, settings: Settings, stream: LakeStream) -> list[Reporter]:
    """Return what reports beside the stream: the touched days of each table, and last what came
    again. Dagster's events go to a storage in memory.
    """
    instance = dg.DagsterInstance.ephemeral()
    emit = instance.report_runless_asset_event
    with dg.build_asset_context(instance=instance) as context:
        tables: list[Reporter] = [
            replace(table_reporter(context, spark, settings, table, key), emit=emit)
            for key, table in TABLES.items()
        ]
        again = sent_again_reporter(
            context,
            spark,
            settings,
            SENT_AGAIN_KEY,
            lambda: stream.sent_again,
            TableWriter(settings.lake),
        )
        return [*tables, replace(again, emit=emit)]


def stream_all(
    spark: SparkSession,
    settings: Settings,
    look: Callable[[StreamingQuery], object] | None = None,
    *,
    until_served: bool = False,
) -> float:
    """Run the platform's stream until it has written all that the topic holds.

    Args:
        spark: The driver's session.
        settings: They name topic and lake.
        look: Called with the query twice a second.
        until_served: Whether to wait until the services have done what they leave while the stream
            is behind.

    Returns:
        Seconds from the start of the query to its end, which comes with the last commit, and those
        of what the services then do.
    """
    kafka = KafkaResource.from_settings(settings.kafka)
    began = time.monotonic()
    stream = lake_stream(spark, settings)
    reporter = StreamReporter(reporters(spark, settings, stream), kafka)
    query = stream.start(until_caught_up=True)
    services = services_of(spark, settings)
    with ThreadPoolExecutor(1) as pool, serving(services, Pace()):
        ended = pool.submit(_end_of, query)
        try:
            while not ended.done():
                time.sleep(POLL_SECONDS)
                reporter.report(query)
                if look:
                    look(query)
        finally:
            # A benchmark that is ended would wait here for all the lines that are left.
            query.stop()
            stream.end()
        reporter.report(query, at_once=True)
        seconds = ended.result() - began
    if until_served:
        time.sleep(BEHIND_SECONDS)
        began = time.monotonic()
        # In a thread of its own: what the thread starts next would be of the services' pool.
        with ThreadPoolExecutor(1) as pool:
            pool.submit(_serve, services).result()
        seconds += time.monotonic() - began
    return seconds


def query_seconds(settings: Settings, day: str, queries: int) -> list[float]:
    """Return the times of one question, asked of the Thrift server so often: how many messages of a
    day each province has.
    """
    statement = (
        f"SELECT sender_province, count(*) AS messages FROM {settings.lake.database}."
        f"{MESSAGE.name} WHERE day = '{day}' GROUP BY sender_province"
    )
    times = []
    # A new session each time, as each metric has: Spark lists the files of a Hudi table once a
    # session.
    for _ in range(queries):
        with HiveResource.from_settings(settings.hive).session() as session:
            began = time.monotonic()
            session.query(statement)
            times.append(time.monotonic() - began)
    return times


def resident() -> int:
    """Return the resident memory of the driver's JVM, in bytes."""
    gateway: Any = SparkContext._gateway
    return psutil.Process(gateway.proc.pid).memory_info().rss


def _serve(services: Iterable[Services]) -> None:
    for one in services:
        while one.look():
            pass


def _end_of(query: StreamingQuery) -> float:
    query.awaitTermination()
    return time.monotonic()
