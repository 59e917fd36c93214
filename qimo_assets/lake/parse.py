"""A record of the topic becomes a line, in Spark's own columns, and a line a typed row or a
rejected one with its reason, in one pass over Arrow batches (`lines.py`).

A line in quarantine is read again by the second step alone, with the identity that it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.avro.functions import from_avro
from pyspark.sql.types import (
    DoubleType,
    IntegerType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from qimo_assets import contract
from qimo_assets.lake.places import SEPARATOR
from qimo_assets.settings import LakeSettings

if TYPE_CHECKING:
    import pyarrow as pa

# flume-ng-sdk's AvroFlumeEvent, as the Kafka channel writes it.
FLUME_EVENT = """{"type": "record", "name": "AvroFlumeEvent", "fields": [
    {"name": "headers", "type": {"type": "map", "values": "string"}},
    {"name": "body", "type": "bytes"}]}"""
# An Avro map begins with its number of entries, zigzag coded: 0 to 15 headers are the bytes 00 to
# 1E. A chat line begins with a digit (30 to 39).
FLUME_EVENT_FIRST_BYTES = [f"{2 * headers:02X}" for headers in range(16)]

# The name of a link of `source/links.py`: the log file's first name, its inode, its birth.
LINK_PATTERN = r"([^/]+)~(\d+-\d+)\z"
# What a batch amounts to: rows that hold nothing else.
SURVEY = "survey"
PARTIES, REGION_PARTS = ("sender", "receiver"), ("country", "province", "city")
TYPES = {"time": TimestampType(), "gps": DoubleType(), "distance": DoubleType()}
# What the reading of a line adds, beside the contract's own columns.
ADDED = {"reason": StringType(), "day": StringType(), "hour": IntegerType()}


@dataclass(frozen=True)
class Rules:
    """What the reading of lines hangs on; it travels to Spark's workers.

    Attributes:
        fields: The contract's fields.
        max_line_bytes: Longer lines are rejected.
        first_day: A time before this day is rejected.
        max_ahead_minutes: A time further ahead of the collection is rejected.
        ip2region_jar: Where the regions stand.
    """

    fields: Sequence[contract.Field]
    max_line_bytes: int
    first_day: date
    max_ahead_minutes: int
    ip2region_jar: Path


def parse(records: DataFrame, settings: LakeSettings) -> DataFrame:
    """Read Kafka records by the contract.

    Args:
        records: Columns of Spark's Kafka source: value, topic, partition, offset, timestamp.
        settings: Limits of a line.

    Returns:
        One row a record: identity, `reason` (NULL when the line is good), `raw`, and every column
        of the contract.
    """
    return rows_of(lines_of(records), settings)


def parse_and_survey(records: DataFrame, settings: LakeSettings) -> DataFrame:
    """Read Kafka records by the contract, and tell what they amount to.

    Args:
        records: Columns of Spark's Kafka source: value, topic, partition, offset, timestamp.
        settings: Limits of a line.

    Returns:
        The rows of `parse`, `raw` in those that are rejected alone, and some more which hold
        nothing but `survey`, of which all together tell of all lines (`places.Survey`).
    """
    return _rows_of(lines_of(records), settings, with_survey=True)


def lines_of(records: DataFrame) -> DataFrame:
    """Take line, origin and identity out of Kafka records.

    Args:
        records: Columns of Spark's Kafka source: value, topic, partition, offset, timestamp.

    Returns:
        One line a record: message_id, raw, source_host, source_file, source_offset, source_id,
        kafka_partition, kafka_offset, collected_at; and where it stands, `place` and `place_at`:
        file and byte, or partition and offset.
    """
    return _open(records).select(
        _message_id().alias("message_id"),
        "raw",
        "source_host",
        "source_file",
        "source_offset",
        "source_id",
        F.col("partition").alias("kafka_partition"),
        F.col("offset").alias("kafka_offset"),
        F.col("timestamp").alias("collected_at"),
        place(F.col("topic"), F.col("partition")).alias("place"),
        place_at(F.col("offset")).alias("place_at"),
    )


def place(topic: Column, partition: Column) -> Column:
    """Return the place of a line, as `places.py` knows it: that of its file, or where no file is
    known that in the topic.
    """
    separator = F.lit(SEPARATOR)
    file = F.concat(F.coalesce("source_host", F.lit("")), separator, _file())
    in_topic = F.concat(separator, topic, separator, partition.cast("string"))
    return F.when(_has_file(), file).otherwise(in_topic)


def place_at(offset: Column) -> Column:
    """Return where in its place a line stands: the first byte of it, or its offset in the topic."""
    return F.when(_has_file(), F.col("source_offset")).otherwise(offset)


def rows_of(lines: DataFrame, settings: LakeSettings) -> DataFrame:
    """Read lines by the contract.

    Args:
        lines: At least `raw` and `collected_at`; every other column is kept as it is.
        settings: Limits of a line.

    Returns:
        One row a line: its own columns, `reason` (NULL when the line is good), every column of
        the contract, and country, province and city of both parties.
    """
    return _rows_of(lines, settings, with_survey=False)


def _rows_of(lines: DataFrame, settings: LakeSettings, *, with_survey: bool) -> DataFrame:
    rules = Rules(
        contract.FIELDS,
        settings.max_line_bytes,
        settings.first_day,
        settings.max_ahead_minutes,
        settings.ip2region_jar,
    )
    added = {
        **ADDED,
        **{
            column: TYPES.get(field.kind, StringType())
            for field in contract.FIELDS
            for column in field.columns
        },
        **{f"{party}_{part}": StringType() for party in PARTIES for part in REGION_PARTS},
        **({SURVEY: StringType()} if with_survey else {}),
    }
    # A row of the survey has no value of a line.
    own = [
        StructField(field.name, field.dataType, field.nullable or with_survey)
        for field in lines.schema
    ]
    schema = StructType([*own, *(StructField(name, kind) for name, kind in added.items())])
    return lines.mapInArrow(partial(_read, rules, schema), schema)


def _read(  # pyright: ignore[reportUnknownParameterType]  # pyarrow has no types
    rules: Rules,
    schema: StructType,
    batches: Iterable[pa.RecordBatch],  # pyright: ignore[reportUnknownParameterType]
) -> Iterator[pa.RecordBatch]:
    """Read Arrow batches of lines, in a worker of Spark."""
    import polars as pl
    from pyspark.sql.pandas.types import to_arrow_schema

    from qimo_assets.lake.lines import read_lines, survey

    answer, with_survey = to_arrow_schema(schema), SURVEY in schema.names
    for batch in batches:
        read = read_lines(cast(pl.DataFrame, pl.from_arrow(batch)), rules)
        if with_survey:
            told = pl.DataFrame({SURVEY: [survey(read)]})
            raw = pl.when(pl.col("reason").is_not_null()).then("raw").alias("raw")
            read = pl.concat([read.with_columns(raw), told], how="diagonal")
        rows = read.select(schema.names).to_arrow(compat_level=pl.CompatLevel.oldest())
        yield from rows.cast(answer).to_batches()


def _open(records: DataFrame) -> DataFrame:
    """Take the line and its origin out of a record: Flume's event where it is one, else the
    record's own bytes.
    """
    value = F.col("value")
    is_event = F.hex(F.substring(value, 1, 1)).isin(FLUME_EVENT_FIRST_BYTES)
    event = F.when(is_event, from_avro(value, FLUME_EVENT, {"mode": "PERMISSIVE"}))
    # Bytes that only begin like an event are no event: the decoder passes over what follows one,
    # and quarantine holds every byte.
    body, file = F.col("event.body"), F.col("event.headers")["file"]
    is_whole = F.when(F.length(body) > 0, value.endswith(body)).otherwise(file.isNotNull())
    # A line that another producer wrote may keep the carriage return that Flume takes off.
    ends_in_return = F.hex(F.substring(value, -1, 1)) == "0D"
    plain = F.when(ends_in_return, F.expr("substring(value, 1, length(value) - 1)")).otherwise(
        value
    )
    # The agent tails links to the log files; a link's name holds the log file's first name, and
    # inode and birth, which are the file's alone.
    directory, link_name = (
        F.col("event.headers")["directory"],
        F.regexp_extract(file, LINK_PATTERN, 1),
    )
    is_link = directory.isNotNull() & (link_name != "")
    return (
        records.withColumn("event", event)
        .withColumn("event", F.when(is_whole, F.col("event")))
        .select(
            "topic",
            "partition",
            "offset",
            "timestamp",
            F.coalesce(F.col("event.body"), plain, F.lit(b"")).alias("raw"),
            F.col("event.headers")["host"].alias("source_host"),
            F.when(is_link, F.concat(directory, F.lit("/"), link_name))
            .otherwise(file)
            .alias("source_file"),
            F.when(is_link, F.regexp_extract(file, LINK_PATTERN, 2)).alias("source_id"),
            F.col("event.headers")["byteoffset"].cast("long").alias("source_offset"),
        )
    )


def _message_id() -> Column:
    """128 bits of the SHA-256 of what makes the physical line what it is; without an origin, of its
    place in the topic.

    A file is known by its inode and birth, or where the agent does not tell them by its path. The
    line's bytes belong to it: a file that is truncated, or without a known birth written anew, has
    other lines at the same offsets.
    """
    place = F.when(
        _has_file(),
        F.concat(
            _bytes(F.coalesce("source_host", F.lit(""))),
            _bytes("\0", _file(), "\0", "source_offset", "\0"),
            F.col("raw"),
        ),
    ).otherwise(_bytes("kafka\0", "topic", "\0", "partition", "\0", "offset"))
    return F.substring(F.sha2(place, 256), 1, 32)


def _has_file() -> Column:
    return F.col("source_file").isNotNull() & F.col("source_offset").isNotNull()


def _file() -> Column:
    """Return what a file is known by: its inode and birth, or where nobody tells them its path."""
    return F.coalesce("source_id", "source_file")


def _bytes(*parts: str | Column) -> Column:
    names = ("source_offset", "topic", "partition", "offset")
    columns = [
        part if isinstance(part, Column) else F.col(part) if part in names else F.lit(part)
        for part in parts
    ]
    return F.concat(*(column.cast("string") for column in columns)).cast("binary")
