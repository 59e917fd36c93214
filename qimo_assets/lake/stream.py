"""The streaming query: from the topic, through the contract, into the two Hudi tables."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery
from pyspark.util import inheritable_thread_target

from qimo_assets.clients import java_kafka_options
from qimo_assets.contract import TIMEZONE, Reason
from qimo_assets.lake.cadence import Cadence
from qimo_assets.lake.continuity import Reading
from qimo_assets.lake.parse import parse
from qimo_assets.lake.tables import BATCH_TABLES, MESSAGE, QUARANTINE, Table
from qimo_assets.lake.timeline import BATCH_OPTION, LINES_OPTION, REASONS_OPTION, exists
from qimo_assets.lake.write import Guard, TableWriter
from qimo_assets.settings import Settings

QUERY_NAME = "chat_message"


@dataclass
class BatchWriter:
    """Writes each micro-batch to both tables.

    A batch that is written again after a crash has the same keys, so it replaces itself: the tables
    are the same whether the batch was applied once or twice, and whichever of the two commits was
    reached.
    """

    settings: Settings
    cadence: Cadence = field(default_factory=Cadence)
    guard: Guard = nullcontext

    def __post_init__(self) -> None:
        """Begin with a metastore that has heard of nothing."""
        self._writer = TableWriter(self.settings.lake, self.cadence, self.guard)
        self._made: set[str] = set()

    def __call__(self, parsed: DataFrame, batch_id: int) -> None:
        """Write one micro-batch of parsed rows; Structured Streaming calls this."""
        # The query's id stands in its checkpoint: with it a batch has the same name when it is
        # written again, and no other batch has.
        query_id = parsed.sparkSession.sparkContext.getLocalProperty("sql.streaming.queryId")
        parsed.persist()
        try:
            with ThreadPoolExecutor(len(BATCH_TABLES)) as pool:
                counted = pool.submit(inheritable_thread_target(_count), parsed)
                # Described meanwhile, which takes 0.1 s.
                rows = {
                    MESSAGE: accepted(parsed),
                    QUARANTINE: _rejected(parsed),
                }
                counts = counted.result()
                # Each with a copy of its own of what says which query its jobs belong to, so that
                # both end with the query.
                written = [
                    pool.submit(
                        inheritable_thread_target(self._write),
                        table,
                        rows[table],
                        counts[table],
                        f"{query_id}:{batch_id}",
                    )
                    for table in BATCH_TABLES
                ]
            for one in written:
                one.result()
        finally:
            parsed.unpersist()

    def _write(self, table: Table, rows: DataFrame, counted: Counted, batch: str) -> None:
        lines = counted.lines
        # Where no line was ever rejected, the views that count rejected lines need a table without
        # any.
        if not lines and not self._is_made(rows.sparkSession, table):
            lines = {datetime.now(ZoneInfo(TIMEZONE)).date().isoformat(): 0}
        if lines:
            # Hudi combines a new line with the one in the table, but writes two of one key into the
            # first file of a day.
            once = rows.dropDuplicates(["message_id", "day"]) if counted.repeats else rows
            self.cadence.committing(table, sum(lines.values()))
            told = {
                LINES_OPTION: json.dumps(lines),
                **({REASONS_OPTION: json.dumps(counted.reasons)} if counted.reasons else {}),
            }
            self._writer.write(table, once, set(lines), {BATCH_OPTION: batch, **told})

    def _is_made(self, spark: SparkSession, table: Table) -> bool:
        if table.name not in self._made and exists(spark, table.path(self.settings.lake)):
            self._made.add(table.name)
        return table.name in self._made


@dataclass(frozen=True)
class Counted:
    """What a micro-batch has for one table.

    Attributes:
        lines: Day -> lines, a line as often as it came.
        repeats: Whether a line is among those of a day twice.
        reasons: Day -> reason -> lines; empty for messages.
    """

    lines: dict[str, int]
    repeats: bool
    reasons: dict[str, dict[str, int]]


def _count(parsed: DataFrame) -> dict[Table, Counted]:
    """Count a micro-batch for each table; one pass serves both."""
    rejected = F.col("reason").isNotNull()
    days = parsed.groupBy(
        rejected.alias("rejected"),
        F.when(rejected, _arrival_day()).otherwise(F.col("day")).alias("day"),
    )
    by_reason = [
        F.count_if(F.col("reason") == reason.value).alias(reason.value) for reason in Reason
    ]
    found = days.agg(
        F.count("*").alias("lines"), F.countDistinct("message_id").alias("ids"), *by_reason
    ).collect()
    counts: dict[Table, Counted] = {}
    for table in BATCH_TABLES:
        rows = [row for row in found if row["rejected"] is (table is QUARANTINE)]
        counts[table] = Counted(
            lines={row["day"]: row["lines"] for row in rows},
            repeats=any(row["lines"] != row["ids"] for row in rows),
            reasons={
                row["day"]: {
                    reason.value: row[reason.value] for reason in Reason if row[reason.value]
                }
                for row in rows
                if row["rejected"]
            },
        )
    return counts


def _rejected(parsed: DataFrame) -> DataFrame:
    return (
        parsed.where("reason IS NOT NULL")
        .withColumn("day", _arrival_day())
        .select(*QUARANTINE.given_columns)
    )


def _arrival_day() -> Column:
    return F.date_format("collected_at", "yyyy-MM-dd")


def accepted(parsed: DataFrame) -> DataFrame:
    """Return the good ones of parsed rows, as rows of chat_message."""
    return parsed.where("reason IS NULL").select(*MESSAGE.given_columns)


def read_topic(spark: SparkSession, settings: Settings, reading: Reading) -> DataFrame:
    """Return the topic's records as a stream, from the earliest on where no checkpoint says
    otherwise.

    Args:
        spark: The driver's session.
        settings: The platform's settings.
        reading: The topic's id and the checkpoint.
    """
    spark.conf.set("spark.sql.session.timeZone", TIMEZONE)
    return (
        spark.readStream.format("kafka")
        .options(
            **{f"kafka.{name}": value for name, value in java_kafka_options(settings.kafka).items()}
        )
        .option("subscribe", settings.kafka.topic)
        .option("startingOffsets", "earliest")
        .option("failOnDataLoss", not settings.lake.accept_data_loss)
        # How much is fetched at once is left to Kafka's 1 MiB a partition, or one larger record:
        # each consumer keeps it, which with 32 MiB filled the heap.
        .option("maxOffsetsPerTrigger", settings.lake.max_lines_per_batch)
        .load()
        # The identity of a line without an origin is its place in the topic; one that is made anew
        # has other lines at the same places.
        .withColumn("topic", F.lit(f"{settings.kafka.topic}.{reading.topic_id}"))
    )


def start_query(
    spark: SparkSession,
    settings: Settings,
    reading: Reading,
    cadence: Cadence,
    guard: Guard = nullcontext,
    *,
    until_caught_up: bool,
) -> StreamingQuery:
    """Start the query; it resumes from its checkpoint, and begins with the earliest line where
    there is none.

    Args:
        spark: The driver's session.
        settings: The platform's settings.
        reading: The topic's id and the checkpoint.
        cadence: When compactions are due.
        guard: Held during each write.
        until_caught_up: End by itself at the offsets that the topic had at the start, instead of
            running on.
    """
    lake = settings.lake
    # Here and not in each batch: the columns are described to the JVM once, which took 14 % of the
    # driver's time when each batch did it.
    parsed = parse(read_topic(spark, settings, reading), lake)
    writer = (
        parsed.writeStream.queryName(QUERY_NAME)
        .option("checkpointLocation", reading.checkpoint)
        .foreachBatch(BatchWriter(settings, cadence, guard))
    )
    trigger = (
        writer.trigger(availableNow=True)
        if until_caught_up
        else writer.trigger(processingTime=f"{lake.trigger_seconds} seconds")
    )
    return trigger.start()


def end_offsets(query: StreamingQuery, topic: str) -> dict[int, int] | None:
    """Return partition -> offset up to which the last finished micro-batch reached; None before the
    first.
    """
    progress = query.lastProgress
    if progress is None:
        return None
    return {
        int(partition): offset
        for partition, offset in _as_offsets(progress["sources"][0]["endOffset"])
        .get(topic, {})
        .items()
    }


def _as_offsets(value: object) -> dict[str, dict[str, int]]:
    return value if isinstance(value, dict) else {}
