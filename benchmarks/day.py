"""day: one day in one lake, and whether what a line costs follows what the day already holds.

The lines come in parts, each of which ends when the day holds a certain number of rows. A part is
carried into the topic first and then streamed as a catch-up is, in batches of the stream's largest
size, with services and reports beside it. Services then do what they leave while a stream is
behind. Of the end of each part are told

- **batch**: the lines per second of the batches in its last third, their median,
- **services**: the processor time of Spark's tasks that put files together, and the rows that they
  wrote, for each row that is new in the part,
- **query**: the messages of each province of the day, asked of the Thrift server while lines are
  written (at two thirds of the part) and after its last line,
- **files** of the day, and the driver's **resident memory**,
- **stream**: its lines a second from start to end, the time of the services after it included,
- **refresh**, unless there is to be none: all metrics of the day, from the lake to MySQL, after
  some lines more, and the processor time of the Thrift server for it; what the part brought is
  counted before, and a few refreshes come before, unmeasured. Beside it stands what DuckDB takes to
  count the same figures of the whole day out of the same files.

The first subject of each figure is the whole day; the others are the parts before.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from benchmarks import hdfs
from benchmarks.another_engine import count_day
from benchmarks.ingest import one_day
from benchmarks.lakes import own_lake, query_seconds, resident, spark_session, stream_all
from benchmarks.measure import Figure
from benchmarks.plans import DayPlan
from benchmarks.testbed import BenchError, Testbed, say
from benchmarks.topic import fill, topic
from qimo_assets.clients import librdkafka_options
from qimo_assets.lake.services import POOL
from qimo_assets.lake.tables import MESSAGE
from qimo_assets.lake.timeline import Kind, news_since
from qimo_assets.metrics.catalog import METRICS
from qimo_assets.metrics.refresh import refresh_metrics
from qimo_assets.resources.hive import HiveResource
from qimo_assets.resources.kafka import KafkaResource
from qimo_assets.resources.mysql import MySQLResource
from qimo_assets.settings import Settings
from qimo_assets.views.sql import view_names, view_statement

# More than there are marks: each filling has a seed of its own.
MAX_PARTS = 10
MARKS = (1_000_000, 3_000_000, 10_000_000, 30_000_000)
# Of a part, its last third is measured: before it the driver may be cold.
MEASURED_FROM = 2 / 3
# Each look asks the driver for every stage that it still knows.
LOOK_SECONDS = 10.0
MIB, NANOSECONDS, MICROSECONDS = 2**20, 10**9, 10**6


@dataclass
class Part:
    """What was seen of the lines up to a mark.

    Attributes:
        rows: Rows of the lake at its end.
        lines: Rows that are new in it.
        seconds: From the start of its stream to its end, and what the services then took.
        rates: Lines per second of each of its last batches.
        written: Seconds of each query while lines are written.
        at_rest: Seconds of each query after the last line.
        tasks: Seconds of processor time of the services' tasks.
        rewritten: Rows that services wrote.
        files: Files of the day.
        memory: Resident memory of the driver's JVM, in bytes.
        refreshes: Seconds of each refresh of all metrics.
        processor: Seconds of the Thrift server's processor time of each.
        counted: Seconds of DuckDB's processor time for the whole day.
    """

    rows: int
    lines: int
    seconds: float = 0.0
    rates: list[float] = field(default_factory=list)
    written: list[float] = field(default_factory=list)
    at_rest: list[float] = field(default_factory=list)
    tasks: float = 0.0
    rewritten: int = 0
    files: int = 0
    memory: int = 0
    refreshes: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    counted: float = 0.0


class Watch:
    """Looks at the stream while it writes a part."""

    def __init__(self, spark: SparkSession, settings: Settings, queries: int, day: str) -> None:
        self._spark, self._settings = spark, settings
        self._queries, self._day = queries, day
        self._stages: dict[int, float] = {}
        self._seen: str | None = None
        self._looked_at = 0.0
        self._batches: set[tuple[str, int]] = set()
        self._streamed = 0
        self.part = Part(0, 0)

    def begin(self, part: Part) -> None:
        """Look at a part from now on."""
        self.part = part
        self._streamed = 0

    def look(self, query: StreamingQuery) -> None:
        """Keep what was done since the last look."""
        if time.monotonic() - self._looked_at > LOOK_SECONDS:
            self._keep_services()
        for progress in query.recentProgress:
            batch = (str(progress["runId"]), int(progress["batchId"]))
            if not progress["numInputRows"] or batch in self._batches:
                continue
            self._batches.add(batch)
            self._streamed += progress["numInputRows"]
            if self._streamed > MEASURED_FROM * self.part.lines:
                seconds = progress["durationMs"]["triggerExecution"] / 1000
                self.part.rates.append(progress["numInputRows"] / seconds)
        if not self.part.written and self._streamed > MEASURED_FROM * self.part.lines:
            self.part.written = query_seconds(self._settings, self._day, self._queries)

    def end(self, bed: Testbed) -> None:
        """Look at what is there after the last line of the part."""
        self._keep_services()
        part = self.part
        part.at_rest = query_seconds(self._settings, self._day, self._queries)
        part.tasks, self._stages = sum(self._stages.values()), {}
        table = urlsplit(MESSAGE.path(self._settings.lake)).path
        part.files = hdfs.content(bed.layout, f"{table}/day={self._day}").files
        part.memory = resident()

    def _keep_tasks(self) -> None:
        """Keep the processor time of those stages of the services that Spark still knows."""
        context: Any = self._spark.sparkContext
        gateway = context._gateway
        quantiles, any_state = (
            gateway.new_array(gateway.jvm.double, 0),
            gateway.jvm.java.util.ArrayList(),
        )
        store = context._jsc.sc().statusStore()
        stages = store.stageList(any_state, False, False, quantiles, any_state)
        for index in range(stages.size()):
            stage = stages.apply(index)
            if stage.schedulingPool() == POOL:
                self._stages[stage.stageId()] = stage.executorCpuTime() / NANOSECONDS

    def _keep_services(self) -> None:
        """Keep what services did, before Spark forgets its stages and their commits are
        archived.
        """
        self._looked_at = time.monotonic()
        self._keep_tasks()
        path = MESSAGE.path(self._settings.lake)
        for commit in news_since(self._spark, path, self._seen):
            self._seen = commit.completed
            if commit.kind is Kind.SERVICE:
                self.part.rewritten += sum(commit.rows.values())


def run(plan: DayPlan, bed: Testbed) -> Sequence[Figure]:
    """Stream a day part by part."""
    bed.start("kafka", "namenode", "datanode", "metastore", "thriftserver", "mysql")
    lake = bed.settings.lake.model_copy(update={"max_lines_per_batch": plan.batch_lines})
    # Spark forgets a stage after 20 others, which a second look may come too late for.
    conf = {**bed.settings.spark.conf, "spark.ui.retainedStages": "1000"}
    own = {"lake": lake, "spark": bed.settings.spark.model_copy(update={"conf": conf})}
    settings = bed.settings.model_copy(update=own)
    with (
        spark_session(settings) as spark,
        topic(settings, "day") as settings,
        own_lake(spark, settings, "day") as settings,
    ):
        return figures(_stream(plan, bed, spark, settings))


def _stream(plan: DayPlan, bed: Testbed, spark: SparkSession, settings: Settings) -> list[Part]:
    parts: list[Part] = []
    watch: Watch | None = None
    for number, (rows_before, rows) in enumerate(pairwise([0, *marks(plan.lines)])):
        part = Part(rows, rows - rows_before)
        day = _send(bed, settings, f"part{number}", part.lines, plan.seed + number)
        watch = watch or Watch(spark, settings, plan.queries, day)
        watch.begin(part)
        part.seconds = stream_all(spark, settings, watch.look, until_served=True)
        watch.end(bed)
        _empty(settings)
        if plan.refreshes:
            _measure_refreshes(plan, bed, spark, settings, part, day, number)
        parts.append(part)
        say(f"{part}")
    return parts


def _send(bed: Testbed, settings: Settings, name: str, lines: int, seed: int) -> str:
    """Bring lines of the day into the topic, and return the day."""
    directory = bed.layout.data / name
    day = one_day(directory, lines, seed)
    fill(bed, settings, directory, lines)
    shutil.rmtree(directory)
    return day


def _measure_refreshes(
    plan: DayPlan,
    bed: Testbed,
    spark: SparkSession,
    settings: Settings,
    part: Part,
    day: str,
    number: int,
) -> None:
    _make_views(settings)
    _refresh(settings, day)
    for again in range(plan.warm_refreshes + plan.refreshes):
        seed = plan.seed + MAX_PARTS * (again + 1) + number
        _send(bed, settings, f"part{number}-{again}", plan.refresh_lines, seed)
        stream_all(spark, settings)
        before, seconds = bed.processor_seconds("thriftserver"), _refresh(settings, day)
        if again >= plan.warm_refreshes:
            part.refreshes.append(seconds)
            part.processor.append(bed.processor_seconds("thriftserver") - before)
    part.counted = count_day(spark, settings, day, bed.layout.data / "files")


def marks(lines: int) -> list[int]:
    """Return how many rows a day of so many lines has at the end of each part."""
    return [*([mark for mark in MARKS if mark < lines] or [math.ceil(lines / 2)]), lines]


def figures(parts: Sequence[Part]) -> list[Figure]:
    """Return what was seen, the whole day first."""
    newest_first = parts[::-1]
    queries = [
        Figure(
            f"query of the day at {part.rows:,} rows",
            "s",
            {"while lines are written": part.written, "at rest": part.at_rest},
        )
        for part in newest_first
    ]
    return [
        _figure("batch", "lines/s", newest_first, lambda part: [median(part.rates)]),
        _figure(
            "stream with its services",
            "lines/s",
            newest_first,
            lambda part: [part.lines / part.seconds],
        ),
        _figure(
            "services, processor time",
            "µs per new row",
            newest_first,
            lambda part: [part.tasks / part.lines * MICROSECONDS],
        ),
        _figure(
            "services, rows written",
            "per new row",
            newest_first,
            lambda part: [part.rewritten / part.lines],
        ),
        *queries,
        *_refreshes([part for part in newest_first if part.refreshes]),
        _figure("files of the day", "files", newest_first, lambda part: [part.files]),
        _figure("resident memory", "MiB", newest_first, lambda part: [part.memory / MIB]),
    ]


def _refreshes(parts: Sequence[Part]) -> list[Figure]:
    if not parts:
        return []
    counts = [
        Figure(
            f"processor time at {part.rows:,} rows",
            "s",
            {
                "refresh": [median(part.processor)],
                "all figures of the day by DuckDB": [part.counted],
            },
        )
        for part in parts
    ]
    return [
        _figure("refresh", "s", parts, lambda part: part.refreshes),
        _figure("refresh, processor time", "s", parts, lambda part: part.processor),
        *counts,
    ]


def _figure(
    name: str, unit: str, parts: Sequence[Part], of: Callable[[Part], list[float]]
) -> Figure:
    return Figure(name, unit, {f"{part.rows:,} rows": of(part) for part in parts})


def _make_views(settings: Settings) -> None:
    with HiveResource.from_settings(settings.hive).session() as session:
        for view in view_names():
            session.execute(view_statement(view, settings.lake.database))


def _refresh(settings: Settings, day: str) -> float:
    """Refresh all metrics of a day, and return the seconds.

    Raises:
        BenchError: A metric was given up.
    """
    began = time.monotonic()
    refreshes = refresh_metrics(
        METRICS,
        settings.lake.database,
        [day],
        HiveResource.from_settings(settings.hive),
        MySQLResource.from_settings(settings.mysql),
        large_day=settings.metrics.large_day,
    )
    seconds = time.monotonic() - began
    errors = [f"{refresh.metric.name}: {refresh.error}" for refresh in refreshes if refresh.error]
    if errors:
        raise BenchError("; ".join(errors))
    return seconds


def _empty(settings: Settings) -> None:
    """Delete the records that are in the lake; the whole day would stand twice on the disk."""
    kafka = settings.kafka
    admin = AdminClient(librdkafka_options(kafka))
    ends = [
        TopicPartition(kafka.topic, state.partition, state.high)
        for state in KafkaResource.from_settings(kafka).state()
    ]
    for deleted in admin.delete_records(ends).values():
        deleted.result(timeout=kafka.timeout_seconds)
