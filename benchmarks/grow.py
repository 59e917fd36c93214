"""grow: whether anything grows with the number of commits, apart from what the day itself holds.

The lines of one live day are streamed into an empty lake in at least a thousand micro-batches
without a pause between them: what takes a stream hours at its pace of one each five seconds.
Everything else is as it is there. Seen are

- **batch**: the time of each micro-batch as Spark tells it. Each 16th commit makes small files due
  to be put together, so the series that is tested is that of blocks of so many batches: the median
  of a block is the time of an ordinary batch, its maximum that of one beside a service.
- **query**: the messages of each province of the day, asked of the Thrift server while lines are
  written.
- **files** and **bytes** below the day and below the table's `.hoodie`, **heap** of the driver
  after a full collection, and its **resident memory**.

For each look the batches that it overlaps are left out of the batch times; so is the first tenth of
everything, in which the JVM compiles. A series grows when the test of Mann and Kendall says so (p
below 0.05); its slope is that of Theil and Sen. At the end the day is queried again, with the
processors to itself, and once more after all of its files were put together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from benchmarks import hdfs
from benchmarks.ingest import one_day
from benchmarks.lakes import (
    own_lake,
    put_together,
    query_seconds,
    resident,
    spark_session,
    stream_all,
)
from benchmarks.measure import Figure, trend
from benchmarks.plans import GrowPlan
from benchmarks.testbed import BenchError, Testbed, say
from benchmarks.topic import fill, topic
from qimo_assets.lake.pace import Pace
from qimo_assets.lake.tables import MESSAGE
from qimo_assets.settings import Settings

MIB = 2**20
WARM_SHARE = 0.1
# The looks come half-way between two services.
PHASE = 0.5
PER_COMMITS = 1_000
SERVED_AFTER = Pace().files
# With fewer no order of them is rare enough for p below 0.05.
MIN_POINTS = 4


@dataclass
class Watch:
    """Looks at a stream while it runs.

    Attributes:
        bed: The stack.
        spark: The stream's driver.
        settings: They name the lake.
        plan: How often it looks.
        day: The day that is streamed.
        seconds: Batch -> its time.
        disturbed: Batches during which something was looked at.
        looks: Figure -> its value at each look.
    """

    bed: Testbed
    spark: SparkSession
    settings: Settings
    plan: GrowPlan
    day: str
    seconds: dict[int, float] = field(default_factory=dict)
    disturbed: set[int] = field(default_factory=set)
    looks: dict[str, list[float]] = field(default_factory=dict)
    next_look: int = 0

    def __post_init__(self) -> None:
        """Come first when some commits are made."""
        self.next_look = self.plan.sample_commits + int(PHASE * SERVED_AFTER)

    def look(self, query: StreamingQuery) -> None:
        """Keep the times of the batches since the last call, and look at the rest when
        it is due.
        """
        last = self._keep(query)
        if last < self.next_look:
            return
        for name, value in self._state().items():
            self.looks.setdefault(name, []).append(value)
        self.disturbed.update(range(last, self._keep(query) + 2))
        self.next_look += self.plan.sample_commits
        say(
            f"{last:,} commits, {self.seconds[last]:.2f} s the last one, query "
            f"{self.looks['query'][-1]:.2f} s"
        )

    def query_seconds(self) -> float:
        """Return the median time of the query."""
        return median(query_seconds(self.settings, self.day, self.plan.queries))

    def _keep(self, query: StreamingQuery) -> int:
        """Keep what Spark tells of its last batches, and return the number of the last one."""
        self.seconds |= {
            item["batchId"]: item["durationMs"]["triggerExecution"] / 1000
            for item in query.recentProgress
            if item["numInputRows"]
        }
        return max(self.seconds, default=0)

    def _state(self) -> dict[str, float]:
        table = urlsplit(MESSAGE.path(self.settings.lake)).path
        day, metadata = (
            hdfs.content(self.bed.layout, f"{table}/{folder}")
            for folder in (f"day={self.day}", ".hoodie")
        )
        return {
            "query": self.query_seconds(),
            "files of the day": day.files,
            "size of the day": day.bytes / MIB,
            "files of metadata": metadata.files,
            "size of metadata": metadata.bytes / MIB,
            "heap": self._heap() / MIB,
            "resident memory": resident() / MIB,
        }

    def _heap(self) -> int:
        jvm: Any = self.spark._jvm
        jvm.java.lang.System.gc()
        runtime = jvm.java.lang.Runtime.getRuntime()
        return runtime.totalMemory() - runtime.freeMemory()


UNITS = {
    "size of the day": "MiB",
    "size of metadata": "MiB",
    "heap": "MiB",
    "resident memory": "MiB",
    "files of the day": "files",
    "files of metadata": "files",
}


def run(plan: GrowPlan, bed: Testbed) -> Sequence[Figure]:
    """Stream a day of each size."""
    bed.start("kafka", "namenode", "datanode", "metastore", "thriftserver")
    with spark_session(bed.settings) as spark:
        return [figure for rows in plan.rows for figure in _stream_day(plan, bed, spark, rows)]


def _stream_day(plan: GrowPlan, bed: Testbed, spark: SparkSession, rows: int) -> list[Figure]:
    name = f"grow_{rows}"
    lines = bed.layout.data / name
    day = one_day(lines, rows, plan.seed)
    settings = bed.settings
    lake = settings.lake.model_copy(update={"max_lines_per_batch": math.ceil(rows / plan.commits)})
    settings = settings.model_copy(update={"lake": lake})
    with topic(settings, name) as settings, own_lake(spark, settings, name) as settings:
        fill(bed, settings, lines, rows)
        watch = Watch(bed, spark, settings, plan, day)
        stream_all(spark, settings, watch.look)
        if len(watch.seconds) < 2 * SERVED_AFTER or not watch.looks:
            raise BenchError(
                f"{len(watch.seconds)} commits are too few: give at least "
                f"{2 * SERVED_AFTER + plan.sample_commits}."
            )
        written = watch.looks["query"][-plan.queries :]
        idle = [watch.query_seconds() for _ in written]
        put_together(spark, settings, day)
        together = [watch.query_seconds() for _ in written]
    batches = [
        math.nan if batch in watch.disturbed else watch.seconds.get(batch, math.nan)
        for batch in range(max(watch.seconds) + 1)
    ]
    of_blocks: dict[str, Callable[[Sequence[float]], float]] = {
        "batch": median,
        "batch beside a service": max,
    }
    return [
        *(
            grown(
                f"{label} at {rows:,} rows",
                "s",
                blocks(batches, SERVED_AFTER, kind),
                SERVED_AFTER,
            )
            for label, kind in of_blocks.items()
        ),
        Figure(
            f"query of a day at {rows:,} rows",
            "s",
            {
                "while lines are written": written,
                "after the last line": idle,
                "put together": together,
            },
        ),
        *(
            grown(f"{label} at {rows:,} rows", UNITS.get(label, "s"), values, plan.sample_commits)
            for label, values in watch.looks.items()
        ),
    ]


def blocks(
    values: Sequence[float], size: int, of_block: Callable[[Sequence[float]], float]
) -> list[float]:
    """Return one value for each whole block of this many values, without those that are not a
    number; a block of such alone has none.
    """
    whole = (
        [value for value in values[start : start + size] if not math.isnan(value)]
        for start in range(0, len(values) - size + 1, size)
    )
    return [of_block(block) for block in whole if block]


def grown(name: str, unit: str, values: Sequence[float], commits: int) -> Figure:
    """Return a series as a figure: its last quarter beside its first, after the start was left out,
    and whether it grows.

    Args:
        name: What was seen.
        unit: Its unit.
        values: Its values, in their order.
        commits: How many commits lie between two of them.
    """
    kept = list(values[math.ceil(len(values) * WARM_SHARE) :])
    quarter = max(len(kept) // 4, 1)
    details: dict[str, float | str] = {"points": float(len(kept))}
    if len(kept) >= MIN_POINTS:
        found = trend(kept)
        details |= {
            f"slope, {unit} per {PER_COMMITS:,} commits": found.slope * PER_COMMITS / commits,
            "p of such a rise by chance": found.rises,
        }
    return Figure(
        name, unit, {"last quarter": kept[-quarter:], "first quarter": kept[:quarter]}, details
    )
