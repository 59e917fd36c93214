"""Moves the tables of an earlier release, which kept the rows of a day in buckets, over to ones
that are appended to.

It may be killed at any moment and run again: a table is set aside by one renaming, a day is copied
by one commit, and only when each row is there is the state written that lets the stream begin, and
what was set aside deleted. The caller holds the writer's lock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from qimo_assets.errors import RefusedError
from qimo_assets.lake.known import places_of
from qimo_assets.lake.lookup import ARRIVAL
from qimo_assets.lake.places import SEPARATOR
from qimo_assets.lake.state import State, StateFiles
from qimo_assets.lake.tables import (
    ASIDE,
    BATCH_TABLES,
    MESSAGE,
    QUARANTINE,
    SENT_AGAIN,
    Table,
    directory,
    set_aside,
    table_options,
)
from qimo_assets.lake.timeline import (
    BATCH_OPTION,
    exists,
    file_system,
    hadoop_path,
    has_commits,
    newest_commit,
)
from qimo_assets.lake.write import TableWriter
from qimo_assets.settings import LakeSettings

# Where an earlier release kept how many lines each batch had.
ARRIVALS = "chat_arrival"
ROWS_OF_A_FILE = 1_000_000
BATCH = "migrate"


class NotAllMoved(RefusedError):
    """A table has not the rows that it had; nothing was deleted."""


def migrate(
    spark: SparkSession,
    lake: LakeSettings,
    topic: str,
    ends: Mapping[int, int],
    writer: TableWriter,
    say: Callable[[str], object],
) -> dict[str, int]:
    """Move the tables over, or go on with it.

    Args:
        spark: The driver's session.
        lake: Where the tables are.
        topic: The topic's name with its id.
        ends: Partition of the topic -> its end.
        writer: Writes the tables.
        say: Told of each step.

    Returns:
        Table -> rows that it has; empty where there was nothing to move.

    Raises:
        NotAllMoved: Rows are missing.
    """
    files, moving = StateFiles(spark, lake), _Moving(spark, lake)
    if files.load() is None:
        moving.set_aside()
        if not any(exists(spark, moving.aside(table.name)) for table in BATCH_TABLES):
            return {}
        rows = {table.name: moving.copy(table, writer, say) for table in BATCH_TABLES}
        files.save(moving.state(topic, ends))
        say("Each row is there; the stream may begin.")
    elif not moving.is_left():
        return {}
    else:
        rows = {}
    moving.forget()
    return rows


class _Moving:
    def __init__(self, spark: SparkSession, lake: LakeSettings) -> None:
        self._spark = spark
        self._lake = lake
        self._directory = directory(lake)
        self._files = file_system(spark, self._directory)

    def aside(self, name: str) -> str:
        """Return where a table is set aside."""
        return set_aside(self._lake, name)

    def set_aside(self) -> None:
        """Rename each table that is not set aside yet."""
        self._files.mkdirs(self._path(f"{self._directory}/{ASIDE}"))
        for name in (MESSAGE.name, QUARANTINE.name, ARRIVALS):
            path = f"{self._directory}/{name}"
            is_due = exists(self._spark, path) and not exists(self._spark, self.aside(name))
            if is_due and not self._files.rename(self._path(path), self._path(self.aside(name))):
                raise NotAllMoved(
                    f"{path} cannot be renamed to {self.aside(name)}. Nothing was deleted: look at "
                    "the rights of both directories, and run this again."
                )

    def copy(self, table: Table, writer: TableWriter, say: Callable[[str], object]) -> int:
        """Copy the days that are not there yet, each as one commit, and return the rows."""
        if not exists(self._spark, self.aside(table.name)):
            return 0
        old = self._old(table).persist()
        days = _by_day(old)
        if not days:
            return 0
        path = table.path(self._lake)
        done = _by_day(self._rows(path)) if has_commits(self._spark, path) else {}
        for day in sorted(days.keys() - done.keys(), reverse=True):
            rows = old.where(F.col("day") == day)
            rows = rows.coalesce(max(days[day] // ROWS_OF_A_FILE, 1))
            writer.write(table, rows, {day}, {BATCH_OPTION: f"{BATCH}:{day}"})
            say(f"{table.name}: {days[day]:,} rows of {day}")
        old.unpersist()
        if (found := _by_day(self._rows(path))) != days:
            raise NotAllMoved(
                f"{path} has {sum(found.values()):,} rows of {len(found)} days where "
                f"{self.aside(table.name)}, which it is made from, has {sum(days.values()):,} of "
                f"{len(days)}. Nothing was deleted. Where the second one has all rows, delete the "
                "first one and run this again; where it lacks rows, it was left by an earlier "
                "migration: delete the second one and run this again."
            )
        return sum(days.values())

    def state(self, topic: str, ends: Mapping[int, int]) -> State:
        """Return what the rows tell of their lines."""
        state = State(made={table.name: table_options(table) for table in BATCH_TABLES})
        held: Counter[str] = Counter()
        for table in BATCH_TABLES:
            path = table.path(self._lake)
            newest = newest_commit(self._spark, path) if exists(self._spark, path) else None
            if newest is None:
                continue
            state.folded[table.name] = newest
            state.known.add(places_of(self._spark, path, topic, self._lake.max_line_bytes))
            rows = self._rows(path)
            held.update(_by_day(rows))
            reached = rows.groupBy("kafka_partition").agg(F.max("kafka_offset") + 1).collect()
            for partition, offset in reached:
                name = f"{topic}{SEPARATOR}{partition}"
                # A topic that was made anew may be shorter than the one that a row came from.
                there = min(offset, ends.get(partition, 0))
                state.reached[name] = max(there, state.reached.get(name, 0))
        if exists(self._spark, self.aside(ARRIVALS)):
            of_batches = self._rows(self.aside(ARRIVALS)).groupBy("day", "table_name", "batch")
            lines = of_batches.agg(F.max("lines").alias("lines")).groupBy("day").agg(F.sum("lines"))
            again = Counter({day: arrived - held[day] for day, arrived in lines.collect()})
            # Without the days that have fewer, of which lines were read again since.
            state.again[MESSAGE.name] = +again
        elif has_commits(self._spark, totals := SENT_AGAIN.path(self._lake)):
            # The tables are of today's form, and their state was lost.
            for name, day, lines in (
                self._rows(totals).select("table_name", "day", "lines").collect()
            ):
                state.again.setdefault(name, Counter())[day] = lines
        return state

    def is_left(self) -> bool:
        """Return whether something is still set aside."""
        return bool(self._files.exists(self._path(f"{self._directory}/{ASIDE}")))

    def forget(self) -> None:
        """Delete what was set aside."""
        self._files.delete(self._path(f"{self._directory}/{ASIDE}"), True)

    def _old(self, table: Table) -> DataFrame:
        """Return a table's rows, each line once: the one that came first."""
        rows = self._rows(self.aside(table.name)).select(*table.columns)
        if table is MESSAGE:
            return rows
        arrival = F.struct(*ARRIVAL)
        place = F.row_number().over(Window.partitionBy(table.key).orderBy(arrival))
        return rows.withColumn("arrival", place).where("arrival = 1").drop("arrival")

    def _rows(self, path: str) -> DataFrame:
        return self._spark.read.format("hudi").load(path)

    def _path(self, path: str) -> Any:
        return hadoop_path(self._spark, path)


def _by_day(rows: DataFrame) -> dict[str, int]:
    return dict(rows.groupBy("day").count().collect())  # pyright: ignore[reportArgumentType]  # a row is a pair
