"""Which lines of a batch came before: those whose places are known are looked up by their ids.

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
        again: Day of the first arrival -> lines that are counted as sent again.
    """

    lines: pl.DataFrame
    days: Counter[str]
    reasons: dict[str, Counter[str]]
    again: Counter[str]


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
        The columns of `SCHEMA` (times in microseconds) and `reason`.
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
    lines = (
        parsed.where(F.col(SURVEY).isNull())
        .withColumn("day", F.when(F.col("reason").isNull(), F.col("day")).otherwise(arrival_day()))
        .join(_small(spark, ranges), inside)
    )
    return _collected(lines, {**SCHEMA, "reason": pl.String})


def stored_lines(spark: SparkSession, path: str, table: Table, asked: pl.DataFrame) -> pl.DataFrame:
    """Return those rows of a table that have the id of a line, with the columns of `SCHEMA`.

    Args:
        spark: The driver's session.
        path: The table's base path.
        table: The table.
        asked: The lines, with the columns of `SCHEMA`.
    """
    stored = spark.read.format("hudi").load(path)
    if table is MESSAGE:
        stored = stored.where(F.col("day").isin(asked["day"].unique().to_list()))
    ids = _small(spark, asked.select("message_id").unique())
    return _collected(stored.join(ids, "message_id", "left_semi"), SCHEMA)


def known_lines(
    asked: pl.DataFrame, stored: pl.DataFrame, counted: Mapping[int, int]
) -> CameBefore:
    """Tell the lines that are new from those that came before.

    Args:
        asked: The lines of one table, as `doubtful_lines` returns them.
        stored: The rows that have their ids.
        counted: Partition -> offset up to which lines that came again are counted.
    """
    first = stored.sort("day", *ARRIVAL).unique("message_id", keep="first", maintain_order=True)
    found = (
        asked.sort(ARRIVAL)
        .with_columns(is_first=pl.col("message_id").is_first_distinct())
        .join(first, "message_id", "left", suffix="_stored")
        .filter(~(pl.col("is_first") & pl.col("day_stored").is_null()))
    )
    # A batch that is written again finds its own rows, which came once.
    # The time tells it from a record of a topic that was made anew.
    is_itself = pl.all_horizontal(
        pl.col(name).eq_missing(pl.col(f"{name}_stored")) for name in ARRIVAL
    )
    reached = pl.col("kafka_partition").replace_strict(
        dict(counted), default=0, return_dtype=pl.Int64
    )
    again = found.filter(~is_itself & (pl.col("kafka_offset") >= reached))
    reasons: defaultdict[str, Counter[str]] = defaultdict(Counter)
    rejected = found.filter(pl.col("reason").is_not_null())
    for day, reason, lines in rejected.group_by("day", "reason").len().iter_rows():
        reasons[day][reason] = lines
    return CameBefore(
        found.select(PLACE),
        _by(found, pl.col("day")),
        reasons,
        _by(again, pl.coalesce("day_stored", "day")),
    )


def without(spark: SparkSession, rows: DataFrame, known: CameBefore) -> DataFrame:
    """Return the rows of a batch without those of known lines."""
    if known.lines.is_empty():
        return rows
    return rows.join(_small(spark, known.lines), PLACE, "left_anti")


def _small(spark: SparkSession, frame: pl.DataFrame) -> DataFrame:
    return F.broadcast(spark.createDataFrame(frame.to_pandas()))


def _collected(rows: DataFrame, schema: Mapping[str, type[pl.DataType]]) -> pl.DataFrame:
    columns = [
        F.unix_micros(name).alias(name) if name == "collected_at" else F.col(name)
        for name in schema
    ]
    found = pl.from_pandas(rows.select(*columns).toPandas())
    return found.cast(dict(schema))  # pyright: ignore[reportArgumentType]  # types of Polars


def _by(lines: pl.DataFrame, value: pl.Expr) -> Counter[str]:
    counts = lines.group_by(value.alias("value")).len()
    return Counter(dict(counts.iter_rows()))
