"""ingest: topic to queryable rows of the lake, the platform's stream against plain Parquet and a
first version of the job.

All jobs read the same topic from its start to its end, in micro-batches of one size, in one warm
driver with the stream's own memory, and write to the same HDFS. The time is that from the start of
the query to its end, when the last commit can be queried, and of what the services then have left
to do; afterwards the rows are counted.

- **platform**: the stream with all it does: parsing, provinces, quarantine, identity, both tables,
  the record of what came again, services, the metastore.
- **plain Parquet**: the good lines, read by the same pass and with their regions, appended as they
  are: no identity is kept, what comes twice is there twice.
- **first version**: the good lines, parsed, with the province by a Python function for each row,
  written with Hudi's defaults. Its look-up is a binary search, quicker than ip2region's own (15
  microseconds).

The lines are those of one day in the order of their times, as when a live stream catches up, and
those of many days mixed, as when old files arrive.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, time, timedelta
from functools import lru_cache, partial
from ipaddress import AddressValueError, IPv4Address
from itertools import count
from pathlib import Path
from random import Random
from time import monotonic

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType

from benchmarks.lakes import own_lake, spark_session, stream_all
from benchmarks.measure import Figure, alternate
from benchmarks.plans import IngestPlan
from benchmarks.testbed import BenchError, Testbed, say
from benchmarks.topic import fill, topic
from qimo_assets import simulator
from qimo_assets.lake import ip2region
from qimo_assets.lake.continuity import open_checkpoint
from qimo_assets.lake.parse import PARTIES, REGION_PARTS, parse
from qimo_assets.lake.stream import read_topic
from qimo_assets.lake.tables import BATCH_TABLES, MESSAGE, sync_options
from qimo_assets.resources.kafka import KafkaResource
from qimo_assets.settings import LakeSettings, Settings

LATE_SHARE = 0.01
# Some lines of each batch are rejected, so that the quarantine is written as well.
BAD_SHARE = 0.001
# After one of 200,000 lines alone the driver is not warm: the platform's next pass was a quarter
# slower than the one after it (12,800 and 17,000 lines/s).
WARM_BATCHES = 4
PARQUET = "plain"

Write = Callable[[DataFrame, int], None]
Job = Callable[[SparkSession, Settings], tuple[float, int]]


def run(plan: IngestPlan, bed: Testbed) -> Sequence[Figure]:
    """Run the jobs in turn, over lines of one day and over lines of many days."""
    bed.start("kafka", "namenode", "datanode", "metastore")
    settings = bed.settings
    settings = settings.model_copy(
        update={"lake": settings.lake.model_copy(update={"max_lines_per_batch": plan.batch_lines})}
    )
    lines = bed.layout.data / "lines"
    with spark_session(settings) as spark:
        warm_lines = WARM_BATCHES * plan.batch_lines
        one_day(lines / "warm", warm_lines, plan.seed)
        one_day(lines / "day", plan.lines, plan.seed + 1)
        mixed_days(lines / "days", plan.lines, plan.days, plan.seed + 2)
        _compare(plan, bed, spark, settings, lines / "warm", warm_lines, 1)
        return [
            Figure(
                "one live day",
                "lines/s",
                _compare(plan, bed, spark, settings, lines / "day", plan.lines, plan.repetitions),
            ),
            Figure(
                f"{plan.days} days mixed",
                "lines/s",
                _compare(plan, bed, spark, settings, lines / "days", plan.lines, plan.repetitions),
            ),
        ]


def one_day(directory: Path, lines: int, seed: int) -> str:
    """Write the lines of yesterday in the order of their times, and return that day; the late ones
    among them are up to three days older.
    """
    last = midnight()
    simulator.feed(directory, lines, bad=BAD_SHARE, late=LATE_SHARE, seed=seed, now=last)
    return last.date().isoformat()


def mixed_days(directory: Path, lines: int, days: int, seed: int) -> None:
    """Write the lines of some days up to yesterday, in no order."""
    ordered = directory.with_suffix(".ordered")
    simulator.feed(
        ordered, lines, days=days, bad=BAD_SHARE, late=LATE_SHARE, seed=seed, now=midnight()
    )
    # Not splitlines(), which ends a line at a lone carriage return as well.
    found = [
        line + b"\n"
        for path in sorted(ordered.iterdir())
        for line in path.read_bytes().split(b"\n")[:-1]
    ]
    Random(seed).shuffle(found)
    directory.mkdir()
    (directory / simulator.FILES[0]).write_bytes(b"".join(found))


def midnight() -> datetime:
    """Return the last second of yesterday: lines of one day up to it are of one day of the
    calendar.
    """
    return datetime.combine(
        datetime.now(simulator.ZONE).date(), time(), simulator.ZONE
    ) - timedelta(seconds=1)


def _compare(
    plan: IngestPlan,
    bed: Testbed,
    spark: SparkSession,
    settings: Settings,
    directory: Path,
    lines: int,
    repetitions: int,
) -> dict[str, list[float]]:
    jobs: dict[str, Job] = {
        "platform": _platform,
        "plain Parquet": _plain_parquet,
        "first version": _first_version,
    }
    numbers = count(1)
    with topic(settings, directory.name) as settings:
        fill(bed, settings, directory, lines)
        return alternate(
            {
                name: partial(_rate, spark, settings, name, job, lines, numbers)
                for name, job in jobs.items()
            },
            repetitions,
        )


def _rate(
    spark: SparkSession, settings: Settings, name: str, job: Job, lines: int, numbers: Iterator[int]
) -> float:
    """Run a job into a lake of its own, hold its rows against the lines, and return the lines per
    second.
    """
    with own_lake(spark, settings, f"{settings.kafka.topic}_{next(numbers)}") as settings:
        seconds, rows = job(spark, settings)
    # Only the platform keeps what is rejected.
    if not lines * (1 - 2 * BAD_SHARE) - 100 < rows <= lines or (
        rows < lines and name == "platform"
    ):
        raise BenchError(f"{name} made {rows:,} rows of {lines:,} lines.")
    say(f"{settings.kafka.topic}, {name}: {lines / seconds:,.0f} lines/s")
    return lines / seconds


def _platform(spark: SparkSession, settings: Settings) -> tuple[float, int]:
    seconds = stream_all(spark, settings, until_served=True)
    return seconds, sum(_count(spark, "hudi", table.path(settings.lake)) for table in BATCH_TABLES)


def _plain_parquet(spark: SparkSession, settings: Settings) -> tuple[float, int]:
    lake = settings.lake
    path = f"{MESSAGE.path(lake)}_{PARQUET}"

    def write(parsed: DataFrame, batch_id: int) -> None:
        good(parsed).write.mode("append").partitionBy("day").parquet(path)

    return _stream(spark, settings, write), _count(spark, "parquet", path)


def good(parsed: DataFrame) -> DataFrame:
    """Return the good ones of parsed rows, as rows of chat_message."""
    return parsed.where("reason IS NULL").select(*MESSAGE.given_columns)


def _first_version(spark: SparkSession, settings: Settings) -> tuple[float, int]:
    lake = settings.lake

    def write(parsed: DataFrame, batch_id: int) -> None:
        with_provinces(parsed, lake).write.format("hudi").options(
            **first_version_options(lake)
        ).mode("append").save(MESSAGE.path(lake))

    return _stream(spark, settings, write), _count(spark, "hudi", MESSAGE.path(lake))


def first_version_options(lake: LakeSettings) -> dict[str, str]:
    """Return what every guide to Hudi begins with; all else is left to its defaults."""
    return {
        "hoodie.table.name": MESSAGE.name,
        "hoodie.datasource.write.table.type": "MERGE_ON_READ",
        "hoodie.datasource.write.recordkey.field": MESSAGE.key,
        "hoodie.datasource.write.partitionpath.field": "day",
        "hoodie.datasource.write.precombine.field": "msg_time",
        "hoodie.datasource.write.hive_style_partitioning": "true",
        **{
            name: value
            for name, value in sync_options(MESSAGE, lake).items()
            if not name.startswith("hoodie.datasource.meta_sync")
        },
    }


def with_provinces(parsed: DataFrame, lake: LakeSettings) -> DataFrame:
    """Return the good ones of parsed rows with the provinces of both parties, each found by a call
    of Python.
    """
    look_up = F.udf(partial(province_of, str(lake.ip2region_jar)), StringType())
    provinces = {f"{party}_province": look_up(f"{party}_ip") for party in PARTIES}
    others = {f"{party}_{part}" for party in PARTIES for part in REGION_PARTS} - set(provinces)
    return (
        parsed.where("reason IS NULL")
        .withColumns(provinces)
        .select(*(column for column in MESSAGE.given_columns if column not in others))
    )


def province_of(jar: str, address: str | None) -> str | None:
    """Return the province of an address given as text; None where nothing is known."""
    starts, provinces = _provinces(jar)
    try:
        return provinces[bisect_right(starts, int(IPv4Address(address or ""))) - 1]
    except AddressValueError:
        return None


@lru_cache(maxsize=1)
def _provinces(jar: str) -> tuple[list[int], list[str | None]]:
    starts, places, table = ip2region.load(jar)
    return starts.tolist(), [table[place][1] for place in places]


def _stream(spark: SparkSession, settings: Settings, write: Write) -> float:
    """Read the topic as the platform does, write each batch, and return the seconds until all is
    written.
    """
    checkpoint = open_checkpoint(spark, settings.lake, KafkaResource.from_settings(settings.kafka))
    began = monotonic()
    parsed = parse(read_topic(spark, settings, checkpoint), settings.lake)
    parsed.writeStream.option("checkpointLocation", checkpoint.path).foreachBatch(write).trigger(
        availableNow=True
    ).start().awaitTermination()
    return monotonic() - began


def _count(spark: SparkSession, form: str, path: str) -> int:
    return spark.read.format(form).load(path).count()
