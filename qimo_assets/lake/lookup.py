"""Which lines of a batch came before: those whose places are known are looked up by their ids, in
both tables, for a line that was good once may be rejected by the limits of today, and the other way
round.

They are few, and handled here as frames of Polars: as a plan of Spark's it took 27 jobs more than
a batch of new lines, four times as long.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from qimo_assets.lake.parse import SURVEY
from qimo_assets.lake.places import Ranges
from qimo_assets.lake.tables import MESSAGE, Table

# Of which two rows of a table are told apart: the arrival, first things first.
ARRIVAL = ("collected_at", "kafka_partition", "kafka_offset")
PLACE = ["kafka_partition", "kafka_offset"]
SCHEMA = {
    "message_id": pl.String,
    "day": pl.String,
    "collected_at": pl.Int64,
    "kafka_partition": pl.Int64,
    "kafka_offset": pl.Int64,
}


@dataclass(frozen=True)
class CameBefore:
    """Lines of a batch that are not appended, because they came before or come twice in it.

    Attributes:
        lines: Their `kafka_partition` and `kafka_offset`.
        days: Day -> their number.
        reasons: Day -> reason -> their number, for rejected lines.
        again: Table and day of the first arrival -> lines that are counted as sent again; among
            them those that are appended because they were rejected before.
    """

    lines: pl.DataFrame
    days: Counter[str]
    reasons: dict[str, Counter[str]]
    again: Counter[tuple[str, str]]


def arrival_day() -> Column:
    """Return the day on which a line arrived; it is that of a rejected line."""
    return F.date_format("collected_at", "yyyy-MM-dd")


def doubtful_lines(
    spark: SparkSession, parsed: DataFrame, doubtful: Mapping[str, Ranges]
) -> pl.DataFrame:
    """Return those lines of a batch that may have come before.

    Args:
        spark: The driver's session.
        parsed: What `parse_and_survey` returns.
        doubtful: Place -> the ranges in which they stand.

    Returns:
        The columns of `SCHEMA` (times in microseconds), `reason`, and `message_day`, on which the
        line stands if it is, or was, a message.
    """
    ranges = pl.DataFrame(
        [(place, *range_) for place, found in doubtful.items() for range_ in found],
        {"doubtful": pl.String, "range_begin": pl.Int64, "range_end": pl.Int64},
        orient="row",
    )
    inside = (
        (F.col("place") == F.col("doubtful"))
        & (F.col("place_at") >= F.col("range_begin"))
        & (F.col("place_at") < F.col("range_end"))
    )
    is_good = F.col("reason").isNull()
    lines = (
        parsed.where(F.col(SURVEY).isNull())
        .withColumn("message_day", F.when(is_good, F.col("day")).otherwise(_first_characters()))
        .withColumn("day", F.when(is_good, F.col("day")).otherwise(arrival_day()))
        .join(_small(spark, ranges), inside)
    )
    return _collected(lines, {**SCHEMA, "reason": pl.String, "message_day": pl.String})


def stored_lines(
    spark: SparkSession, paths: Mapping[Table, str], asked: pl.DataFrame
) -> pl.DataFrame:
    """Return those rows that have the id of a line.

    Args:
        spark: The driver's session.
        paths: The tables that there are, and their base paths.
        asked: The lines, as `doubtful_lines` returns them.

    Returns:
        The columns of `SCHEMA`, and the name of the `table`.
    """
    found = [pl.DataFrame(schema={**SCHEMA, "table": pl.String})]
    ids = _small(spark, asked.select("message_id").unique())
    for table, path in paths.items():
        rows = spark.read.format("hudi").load(path)
        if table is MESSAGE:
            rows = rows.where(F.col("day").isin(asked["message_day"].unique().to_list()))
        of_table = _collected(rows.join(ids, "message_id", "left_semi"), SCHEMA)
        found.append(of_table.with_columns(table=pl.lit(table.name)))
    return pl.concat(found)


def known_lines(
    table: Table, asked: pl.DataFrame, stored: pl.DataFrame, counted: Mapping[int, int]
) -> CameBefore:
    """Tell the lines that are new to a table from those that came before.

    Args:
        table: The table to which the lines belong today.
        asked: Its lines, as `doubtful_lines` returns them.
        stored: The rows of both tables that have their ids, as `stored_lines` returns them.
        counted: Partition -> offset up to which lines that came again are counted.
    """
    first = stored.sort(ARRIVAL).unique("message_id", keep="first", maintain_order=True)
    # A message stays one. What was rejected and is good today becomes one, and its row in the
    # quarantine no longer counts.
    held = stored.filter(pl.col("table") == MESSAGE.name) if table is MESSAGE else stored
    came = (
        asked.sort(ARRIVAL)
        .with_columns(
            is_first=pl.col("message_id").is_first_distinct(),
            is_held=pl.col("message_id").is_in(held["message_id"].to_list()),
        )
        .join(first, "message_id", "left", suffix="_stored")
        .filter(~(pl.col("is_first") & pl.col("day_stored").is_null()))
    )
    found = came.filter(~pl.col("is_first") | pl.col("is_held"))
    # A batch that is written again finds its own rows, which came once.
    # The time tells it from a record of a topic that was made anew.
    is_itself = pl.all_horizontal(
        pl.col(name).eq_missing(pl.col(f"{name}_stored")) for name in ARRIVAL
    )
    reached = pl.col("kafka_partition").replace_strict(
        dict(counted), default=0, return_dtype=pl.Int64
    )
    again = (
        came.filter(~is_itself & (pl.col("kafka_offset") >= reached))
        .group_by(
            pl.col("table").fill_null(table.name).alias("of"),
            pl.coalesce("day_stored", "day").alias("on"),
        )
        .len()
    )
    reasons: defaultdict[str, Counter[str]] = defaultdict(Counter)
    rejected = found.filter(pl.col("reason").is_not_null())
    for day, reason, lines in rejected.group_by("day", "reason").len().iter_rows():
        reasons[day][reason] = lines
    return CameBefore(
        found.select(PLACE),
        Counter(dict(found.group_by("day").len().iter_rows())),
        reasons,
        Counter({(name, day): lines for name, day, lines in again.iter_rows()}),
    )


def without(spark: SparkSession, rows: DataFrame, known: CameBefore) -> DataFrame:
    """Return the rows of a batch without those of known lines."""
    if known.lines.is_empty():
        return rows
    return rows.join(_small(spark, known.lines), PLACE, "left_anti")


def _first_characters() -> Column:
    """Return what a rejected line begins with, which in a message is its day."""
    return F.substring(F.decode("raw", "UTF-8"), 1, len("2026-01-01"))


def _small(spark: SparkSession, frame: pl.DataFrame) -> DataFrame:
    return F.broadcast(spark.createDataFrame(frame.to_pandas()))


def _collected(rows: DataFrame, schema: Mapping[str, type[pl.DataType]]) -> pl.DataFrame:
    columns = [
        F.unix_micros(name).alias(name) if name == "collected_at" else F.col(name)
        for name in schema
    ]
    found = pl.from_pandas(rows.select(*columns).toPandas())
    return found.cast(dict(schema))  # pyright: ignore[reportArgumentType]  # types of Polars
