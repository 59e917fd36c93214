"""refresh: one touched day to all metrics in MySQL, with little and with much history behind it,
and the whole history at once.

Two lakes are filled by the stream's own writer, in micro-batches of its own size, with as many
lines a day, and put together; their days differ, so that both publish into the same MySQL. Before
each refresh some lines come to the newest day, as late ones do. A refresh is the command for a
backfill (docs/running.md), `dagster asset materialize` of all metrics for that day, on Dagster's
storage in MySQL:

- **the command**: from the start of its process to its end, Python's start and the loading of the
  definitions included;
- **the run**: from the start of Dagster's run to its end, both as its storage has them.

Each history is refreshed once before, unmeasured. After each refresh `publication` must hold that
day of every metric, from an instant not older than the touch. A backfill is the same command for
all days of the long history, against one Spark SQL job that makes all tables anew from the same
views (`rewrite.py`), from the start of its process to its end.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks.ingest import BAD_SHARE, LATE_SHARE, midnight
from benchmarks.lakes import own_lake, reporters, services_of, spark_session
from benchmarks.measure import Figure, alternate
from benchmarks.plans import RefreshPlan
from benchmarks.testbed import BenchError, Testbed, say
from qimo_assets import simulator
from qimo_assets.instance.storage import make_room
from qimo_assets.lake.continuity import TopicCheckpoint
from qimo_assets.lake.pace import Pace
from qimo_assets.lake.parse import parse_and_survey
from qimo_assets.lake.stream import LakeStream
from qimo_assets.lake.tables import MESSAGE
from qimo_assets.lake.timeline import completed_commits
from qimo_assets.lake.write import TableWriter
from qimo_assets.metrics.catalog import METRICS
from qimo_assets.resources.mysql import MySQLResource
from qimo_assets.settings import Settings
from qimo_assets.stack.services import DEFINITIONS

# Lines that a history is written by. The stream's own largest batch is less than the usual day, and
# makes as many commits as there are days: twice as many.
FILL_LINES = 200_000
# Lines come from files; there is no topic.
CHECKPOINT = TopicCheckpoint("none", "file:/none")
ALL_VIEWS, ALL_METRICS = 'key:"hive/*"', 'key:"mysql/*"'


@dataclass
class History:
    """A lake of some days, and what writes to it.

    Attributes:
        bed: The stack.
        spark: The driver.
        settings: They name the lake.
        last: The last second of its newest day.
        days: How many days it has.
        batches: How many micro-batches were written.
    """

    bed: Testbed
    spark: SparkSession
    settings: Settings
    last: datetime
    days: int
    batches: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """Begin with a writer that has told the metastore of nothing."""
        pace = Pace()
        writer = TableWriter(self.settings.lake)
        self._stream = LakeStream(self.spark, self.settings, CHECKPOINT, writer, pace)
        self._again = reporters(self.spark, self.settings, self._stream)[-1]
        self._services = services_of(self.spark, self.settings)

    @property
    def variables(self) -> dict[str, str]:
        """What makes a process work on this lake."""
        return {"QIMO_LAKE__DATABASE": self.settings.lake.database}

    @property
    def newest(self) -> str:
        """Its newest day."""
        return self.last.date().isoformat()

    @property
    def oldest(self) -> str:
        """Its oldest day."""
        return (self.last - timedelta(days=self.days - 1)).date().isoformat()

    def fill(self, day_lines: int, seed: int) -> None:
        """Write its days, some at once, and put their files together as a stream has long
        done that writes on.
        """
        at_once = max(FILL_LINES // day_lines, 1)
        for first in range(0, self.days, at_once):
            days = min(at_once, self.days - first)
            self.write(
                days * day_lines,
                self.last - timedelta(days=self.days - first - days),
                days,
                seed + first,
            )
            for services in self._services:
                services.look()
        self._again.report(at_once=True)
        say(f"{self.settings.lake.database}: {self.days} days of {day_lines:,} lines")

    def write(self, lines: int, last: datetime, days: int, seed: int) -> None:
        """Write one micro-batch of lines of some days up to a moment."""
        directory = self.bed.layout.data / "lines"
        simulator.feed(
            directory, lines, days=days, bad=BAD_SHARE, late=LATE_SHARE, seed=seed, now=last
        )
        records = records_of(self.spark, directory, f"{self.settings.lake.database}-{self.batches}")
        self._stream.write(parse_and_survey(records, self.settings.lake), self.batches)
        self.batches += 1
        shutil.rmtree(directory)
        self._again.report()

    def touch(self, lines: int) -> str:
        """Write some lines of the newest day, and return the instant of their commit."""
        self.write(lines, self.last, 1, self.batches)
        self._again.report(at_once=True)
        return completed_commits(self.spark, MESSAGE.path(self.settings.lake))[-1].instant


def run(plan: RefreshPlan, bed: Testbed) -> Sequence[Figure]:
    """Fill both lakes, refresh their newest days in turn, and publish all of the long one."""
    bed.start("namenode", "datanode", "metastore", "thriftserver", "mysql")
    make_room()
    settings = bed.settings
    end = midnight()
    with (
        spark_session(settings) as spark,
        own_lake(spark, settings, "short") as short_settings,
        own_lake(spark, settings, "long") as long_settings,
    ):
        short = History(bed, spark, short_settings, end, plan.short_days)
        # Its days end before those of the short one begin, and not so long ago that lines of the
        # future, which are rejected, are of the past.
        long = History(
            bed, spark, long_settings, end - timedelta(days=plan.short_days), plan.long_days
        )
        for number, history in enumerate((short, long)):
            history.fill(plan.day_lines, plan.seed + 1_000 * number)
            _materialize(history, ALL_VIEWS)
        subjects = {
            f"{history.days} days of history": partial(_refresh, history, plan.touch_lines)
            for history in (long, short)
        }
        # The first of all refreshes has the Thrift server compile its code.
        alternate(subjects, 1)
        found = alternate(subjects, plan.repetitions)
        backfills = alternate(
            {"platform": partial(_backfill, long), "one Spark SQL job": partial(_rewrite, long)},
            plan.backfills,
        )
    return [
        Figure(
            "one day, all metrics, the command",
            "s",
            {name: [command for command, _ in times] for name, times in found.items()},
        ),
        Figure(
            "one day, all metrics, the run",
            "s",
            {name: [run for _, run in times] for name, times in found.items()},
        ),
        Figure(f"backfill of {plan.long_days} days", "s", backfills),
    ]


def records_of(spark: SparkSession, directory: Path, topic: str) -> DataFrame:
    """Return the lines of log files as records of a topic that tell no origin, in the columns of
    Spark's Kafka source.
    """
    lines = spark.read.option("lineSep", "\n").text(directory.as_uri())
    return lines.select(
        F.col("value").cast("binary").alias("value"),
        F.lit(topic).alias("topic"),
        F.lit(0).alias("partition"),
        F.monotonically_increasing_id().alias("offset"),
        F.current_timestamp().alias("timestamp"),
    )


def _refresh(history: History, lines: int) -> tuple[float, float]:
    """Touch the newest day, publish it, and return the seconds of the command and of its run."""
    touched = history.touch(lines)
    seconds = _materialize(history, ALL_METRICS, "--partition", history.newest)
    with dg.DagsterInstance.get() as instance:
        [record] = instance.get_run_records(limit=1)
    assert record.start_time is not None
    assert record.end_time is not None
    _expect_publications(history, "day = %s AND source_instant >= %s", (history.newest, touched), 1)
    say(f"{history.settings.lake.database}: {history.newest} in {seconds:.1f} s")
    return seconds, record.end_time - record.start_time


def _backfill(history: History) -> float:
    seconds = _materialize(
        history, ALL_METRICS, "--partition-range", f"{history.oldest}...{history.newest}"
    )
    _expect_publications(
        history, "day BETWEEN %s AND %s", (history.oldest, history.newest), history.days
    )
    say(f"all days published in {seconds:.1f} s")
    return seconds


def _rewrite(history: History) -> float:
    began = time.monotonic()
    history.bed.python("-m", "benchmarks.rewrite", variables=history.variables)
    seconds = time.monotonic() - began
    say(f"all tables made anew in {seconds:.1f} s")
    return seconds


def _materialize(history: History, selection: str, *partitions: str) -> float:
    """Materialize assets by the command, and return its seconds."""
    began = time.monotonic()
    history.bed.python(
        "-m",
        "dagster",
        "asset",
        "materialize",
        "-m",
        DEFINITIONS,
        "--select",
        selection,
        *partitions,
        variables=history.variables,
    )
    return time.monotonic() - began


def _expect_publications(history: History, where: str, values: tuple[str, ...], days: int) -> None:
    """See that so many days of each metric are published."""
    with (
        MySQLResource.from_settings(history.settings.mysql).connect() as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(
            f"SELECT metric, count(*) FROM publication WHERE {where} GROUP BY metric", values
        )
        published: dict[Any, Any] = dict(cursor.fetchall())  # pyright: ignore[reportArgumentType, reportCallIssue]  # plain cursors give tuples
    missing = [metric.name for metric in METRICS if published.get(metric.name) != days]
    if missing:
        raise BenchError(f"{', '.join(missing)}: not published for each of {days} day(s).")
