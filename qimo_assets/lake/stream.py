"""The streaming query: from the topic, through the contract, into the two Hudi tables.

A line is appended, and never written again. What makes that right is told by the places of the
lines (`places.py`): lines whose place is new are appended as they are; those whose place is known
are looked up by their id, and only those that are not there are appended. So a batch that is
written again after a crash, whichever of its commits was reached, changes nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from zoneinfo import ZoneInfo

import polars as pl
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery
from pyspark.util import inheritable_thread_target

from qimo_assets.clients import java_kafka_options
from qimo_assets.contract import TIMEZONE
from qimo_assets.lake.continuity import TopicCheckpoint
from qimo_assets.lake.known import open_state
from qimo_assets.lake.lookup import (
    arrival_day,
    doubtful_lines,
    known_lines,
    stored_lines,
    without,
)
from qimo_assets.lake.pace import Pace
from qimo_assets.lake.parse import SURVEY, parse_and_survey
from qimo_assets.lake.places import SEPARATOR, Survey
from qimo_assets.lake.sent_again import Totals
from qimo_assets.lake.state import State, StateFiles
from qimo_assets.lake.tables import BATCH_TABLES, MESSAGE, QUARANTINE, SENT_AGAIN, Table
from qimo_assets.lake.timeline import (
    BATCH_OPTION,
    LINES_OPTION,
    PLACES_OPTION,
    REASONS_OPTION,
    has_commits,
    newest_commit,
)
from qimo_assets.lake.write import Operation
from qimo_assets.settings import Settings

QUERY_NAME = "chat_message"


class Writer(Protocol):
    """Writes rows to a table as one commit."""

    def write(
        self,
        table: Table,
        rows: DataFrame,
        days: set[str],
        metadata: Mapping[str, str],
        operation: Operation = Operation.APPEND,
    ) -> None:
        """Write rows that belong to some days."""
        ...


@dataclass(frozen=True)
class Lines:
    """What a batch appends to one table.

    Attributes:
        rows: The rows.
        days: Day -> their number.
        reasons: Day -> reason -> their number, for rejected lines.
        again: Table and day of the first arrival -> lines of the batch that came before.
    """

    rows: DataFrame
    days: Mapping[str, int]
    reasons: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    again: Mapping[tuple[str, str], int] = field(default_factory=dict)


class LakeStream:
    """The stream into the lake: reads the topic, and writes each micro-batch to both tables."""

    def __init__(
        self,
        spark: SparkSession,
        settings: Settings,
        checkpoint: TopicCheckpoint,
        writer: Writer,
        pace: Pace,
    ) -> None:
        """Learn what is in the lake.

        Args:
            spark: The driver's session.
            settings: The platform's settings.
            checkpoint: Of the topic as it is now.
            writer: Writes the tables.
            pace: How often what is known is written down.

        Raises:
            MigrationNeeded: The tables are of another form.
            OptionsDiffer: They were made with other options than today's.
        """
        self._spark = spark
        self._settings = settings
        self._checkpoint = checkpoint
        self._writer = writer
        self._pace = pace
        self._files = StateFiles(spark, settings.lake)
        self.state: State = open_state(spark, settings.lake, self._files, self._topic)
        self.sent_again: Totals = {}
        self._unfolded = 0
        self._is_writing = False
        self._has_record = has_commits(spark, SENT_AGAIN.path(settings.lake))
        self._count_again()
        self._made = {
            table for table in BATCH_TABLES if has_commits(spark, table.path(settings.lake))
        }
        # Tables that this run has written to.
        self._told: set[Table] = set()

    def start(self, *, until_caught_up: bool) -> StreamingQuery:
        """Start the query; it resumes from its checkpoint, and begins with the earliest line where
        there is none.

        Args:
            until_caught_up: End by itself at the offsets that the topic had at the start, instead
                of running on.
        """
        lake = self._settings.lake
        # Here and not in each batch: the columns are described to the JVM once, which took 14 % of
        # the driver's time when each batch did it.
        parsed = parse_and_survey(read_topic(self._spark, self._settings, self._checkpoint), lake)
        query = (
            parsed.writeStream.queryName(QUERY_NAME)
            .option("checkpointLocation", self._checkpoint.path)
            .foreachBatch(self.write)
        )
        trigger = (
            query.trigger(availableNow=True)
            if until_caught_up
            else query.trigger(processingTime=f"{lake.trigger_seconds} seconds")
        )
        return trigger.start()

    def write(self, parsed: DataFrame, batch_id: int) -> None:
        """Write one micro-batch; Structured Streaming calls this.

        Args:
            parsed: What `parse_and_survey` returns.
            batch_id: Its number.
        """
        # The query's id stands in its checkpoint: with it a batch has the same name when it is
        # written again, and no other batch has.
        self._is_writing = True
        query_id = parsed.sparkSession.sparkContext.getLocalProperty("sql.streaming.queryId")
        parsed.persist()
        try:
            survey = Survey()
            for (told,) in parsed.where(F.col(SURVEY).isNotNull()).select(SURVEY).collect():
                survey.add(told)
            lines = self._lines(parsed, survey)
            told = {
                BATCH_OPTION: f"{query_id}:{batch_id}",
                PLACES_OPTION: json.dumps(survey.places),
            }
            self._append(lines, told)
        finally:
            parsed.unpersist()
        self._learn(survey, [lines[table].again for table in lines])
        self._is_writing = False

    def end(self) -> None:
        """Write down what the next run would have to read from the rows, once the query has
        stopped.
        """
        # A batch that was broken off may be committed, and is not known.
        if self._unfolded and not self._is_writing:
            self.fold()

    def fold(self) -> None:
        """Write down all that is known."""
        for table in self._made:
            path = table.path(self._settings.lake)
            if newest := newest_commit(self._spark, path):
                self.state.folded[table.name] = newest
        self._files.save(self.state)
        self._unfolded = 0

    def _lines(self, parsed: DataFrame, survey: Survey) -> dict[Table, Lines]:
        rows = {
            MESSAGE: parsed.where(F.col("reason").isNull() & F.col(SURVEY).isNull()),
            QUARANTINE: parsed.where(F.col("reason").isNotNull()).withColumn("day", arrival_day()),
        }
        lines = {
            MESSAGE: Lines(rows[MESSAGE], survey.rows[MESSAGE.name]),
            QUARANTINE: Lines(rows[QUARANTINE], survey.rows[QUARANTINE.name], survey.reasons),
        }
        doubtful = self.state.known.doubtful(survey)
        if not doubtful:
            return lines
        asked = doubtful_lines(self._spark, parsed, doubtful)
        if asked.is_empty():
            return lines
        paths = {table: table.path(self._settings.lake) for table in self._made}
        stored = stored_lines(self._spark, paths, asked)
        is_good = pl.col("reason").is_null()
        parts = {MESSAGE: asked.filter(is_good), QUARANTINE: asked.filter(~is_good)}
        return {
            table: self._new_ones(table, lines[table], of_table, stored)
            for table, of_table in parts.items()
        }

    def _new_ones(
        self, table: Table, lines: Lines, asked: pl.DataFrame, stored: pl.DataFrame
    ) -> Lines:
        """Return the lines of a batch without those that are in the lake."""
        if asked.is_empty():
            return lines
        known = known_lines(table, asked, stored, self._counted())
        return Lines(
            without(self._spark, lines.rows, known),
            Counter(lines.days) - known.days,
            {
                day: found
                for day, reasons in lines.reasons.items()
                if (found := Counter(reasons) - known.reasons.get(day, Counter()))
            },
            known.again,
        )

    def _counted(self) -> dict[int, int]:
        """Return partition -> offset up to which lines that came again are counted."""
        places = (
            (*partition.rpartition(SEPARATOR), offset)
            for partition, offset in self.state.reached.items()
        )
        return {int(number): offset for topic, _, number, offset in places if topic == self._topic}

    @property
    def _topic(self) -> str:
        return topic_name(self._settings, self._checkpoint)

    def _append(self, lines: Mapping[Table, Lines], told: Mapping[str, str]) -> None:
        with ThreadPoolExecutor(len(BATCH_TABLES)) as pool:
            # Each with a copy of its own of what says which query its jobs belong to, so that both
            # end with the query.
            written = [
                pool.submit(
                    inheritable_thread_target(self._append_to), table, lines[table], dict(told)
                )
                for table in BATCH_TABLES
            ]
        for one in written:
            one.result()

    def _append_to(self, table: Table, lines: Lines, told: dict[str, str]) -> None:
        days = dict(lines.days)
        # Where no line was ever rejected, the views that count rejected lines need a table without
        # any.
        if not days and table not in self._made:
            days = {_today(): 0}
        # A run that was killed may have written a day that the metastore has not heard of: the
        # first commit of each run tells it, also one without rows.
        if not days and table in self._told:
            return
        told[LINES_OPTION] = json.dumps(days)
        if lines.reasons:
            told[REASONS_OPTION] = json.dumps(lines.reasons)
        number = sum(days.values())
        rows = lines.rows.select(*table.given_columns).coalesce(files_of(number))
        # Of no rows an append makes no commit that is one of the table's kind.
        operation = Operation.APPEND if number else Operation.UPSERT
        self._writer.write(table, rows, {day for day in days if days[day]}, told, operation)
        self._made.add(table)
        self._told.add(table)

    def _learn(self, survey: Survey, again: Sequence[Mapping[tuple[str, str], int]]) -> None:
        state = self.state
        state.known.add(survey.places)
        for (table, day), lines in (item for found in again for item in found.items()):
            state.again.setdefault(table, Counter())[day] += lines
        for partition, offset in survey.reached.items():
            name = f"{self._topic}{SEPARATOR}{partition}"
            state.reached[name] = max(offset, state.reached.get(name, 0))
        self._count_again()
        self._unfolded += 1
        # What came again stands in no commit.
        if any(again) or self._unfolded >= self._pace.folded_after:
            self.fold()

    def _count_again(self) -> None:
        # As a whole, for it is read in other threads.
        self.sent_again = {
            (table, day): lines
            for table, days in self.state.again.items()
            for day, lines in days.items()
        }
        if not self.sent_again and not self._has_record:
            # The views need the table, also where nothing ever came again.
            self.sent_again = {(MESSAGE.name, _today()): 0}


# Rows of one file; two cores write two files at a time.
ROWS_OF_A_FILE, MAX_FILES = 20_000, 4


def files_of(rows: int) -> int:
    """Return in how many tasks rows are written: each makes a file of each day."""
    return min(max(rows // ROWS_OF_A_FILE, 1), MAX_FILES)


def topic_name(settings: Settings, checkpoint: TopicCheckpoint) -> str:
    """Return the name of the topic as it was made once: the identity of a line without an origin is
    its place in the topic, and one that is made anew has other lines at the same places.
    """
    return f"{settings.kafka.topic}.{checkpoint.topic_id}"


def _today() -> str:
    return datetime.now(ZoneInfo(TIMEZONE)).date().isoformat()


def read_topic(spark: SparkSession, settings: Settings, checkpoint: TopicCheckpoint) -> DataFrame:
    """Return the topic's records as a stream, from the earliest on where no checkpoint says
    otherwise.

    Args:
        spark: The driver's session.
        settings: The platform's settings.
        checkpoint: Of the topic as it is now.
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
        .withColumn("topic", F.lit(topic_name(settings, checkpoint)))
    )


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
