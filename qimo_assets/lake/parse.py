"""The message contract in Spark's own columns: a record of the topic becomes a line, and a line a
typed row or a rejected one with its reason.

A line in quarantine is read again by the second step alone, with the identity that it has. No row
passes through Python here; only the look-up of provinces does, in Arrow batches (`regions.py`).
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.avro.functions import from_avro

from qimo_assets import contract
from qimo_assets.contract import Reason
from qimo_assets.settings import LakeSettings

# flume-ng-sdk's AvroFlumeEvent, as the Kafka channel writes it.
FLUME_EVENT = """{"type": "record", "name": "AvroFlumeEvent", "fields": [
    {"name": "headers", "type": {"type": "map", "values": "string"}},
    {"name": "body", "type": "bytes"}]}"""
# An Avro map begins with its number of entries, zigzag coded: 0 to 15 headers are the bytes 00 to
# 1E. A chat line begins with a digit (30 to 39).
FLUME_EVENT_FIRST_BYTES = [f"{2 * headers:02X}" for headers in range(16)]

# The name of a link of `source/links.py`: the log file's first name, its inode, its birth.
LINK_PATTERN = r"([^/]+)~(\d+-\d+)\z"
# `\z`, for Java's `$` also matches before a carriage return at the end.
TIME_PATTERN = r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}\z"
NUMBER_PATTERN = r"^\s*-?\d{1,3}(\.\d+)?\s*\z"
# A number of more than 300 digits may be no finite double.
DISTANCE_PATTERN = r"^\d{1,300}(\.\d+)?KM\z"
_OCTET = r"(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
IPV4_PATTERN = rf"^{_OCTET}(\.{_OCTET}){{3}}\z"
# RFC 4291, section 2.2: eight groups; one run of zeros as `::`; the last two groups as a dotted
# IPv4 address.
_GROUP = r"[0-9a-fA-F]{1,4}"
_DOTTED = rf"{_OCTET}(\.{_OCTET}){{3}}"
IPV6_PATTERN = (
    "^("
    + "|".join(
        [
            rf"({_GROUP}:){{7}}{_GROUP}",
            rf"({_GROUP}:){{6}}{_DOTTED}",
            r"::",
            rf"({_GROUP}:){{7}}:",
            *(rf"({_GROUP}:){{{left}}}((:{_GROUP}){{1,{7 - left}}}|:)" for left in range(1, 7)),
            rf":((:{_GROUP}){{1,7}})",
            *(
                rf"({_GROUP}:){{{left}}}((:{_GROUP}){{0,{5 - left}}}:{_DOTTED})"
                for left in range(1, 6)
            ),
            rf":(:{_GROUP}){{0,5}}:{_DOTTED}",
        ]
    )
    + r")\z"
)


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


def lines_of(records: DataFrame) -> DataFrame:
    """Take line, origin and identity out of Kafka records.

    Args:
        records: Columns of Spark's Kafka source: value, topic, partition, offset, timestamp.

    Returns:
        One line a record: message_id, raw, source_host, source_file, source_offset, source_id,
        kafka_partition, kafka_offset, collected_at.
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
    )


def rows_of(lines: DataFrame, settings: LakeSettings) -> DataFrame:
    """Read lines by the contract.

    Args:
        lines: At least `raw` and `collected_at`; every other column is kept as it is.
        settings: Limits of a line.

    Returns:
        One row a line: its own columns, `reason` (NULL when the line is good), and every column of
        the contract.
    """
    fields = lines.withColumn("f", F.split(F.col("raw").cast("string"), contract.SEPARATOR, -1))
    timed = fields.withColumn(
        "msg_time", F.when(F.col("f")[0].rlike(TIME_PATTERN), F.col("f")[0].cast("timestamp"))
    )
    return timed.select(
        *lines.columns,
        _reason(settings).alias("reason"),
        F.substring(F.col("f")[0], 1, 10).alias("day"),
        # Not the line's own: a time that a clock put forward passed over is an hour later.
        F.hour("msg_time").alias("hour"),
        *_contract_columns(),
    )


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
    file = F.coalesce("source_id", "source_file")
    place = F.when(
        F.col("source_file").isNotNull() & F.col("source_offset").isNotNull(),
        F.concat(
            _bytes(F.coalesce("source_host", F.lit(""))),
            _bytes("\0", file, "\0", "source_offset", "\0"),
            F.col("raw"),
        ),
    ).otherwise(_bytes("kafka\0", "topic", "\0", "partition", "\0", "offset"))
    return F.substring(F.sha2(place, 256), 1, 32)


def _bytes(*parts: str | Column) -> Column:
    names = ("source_offset", "topic", "partition", "offset")
    columns = [
        part if isinstance(part, Column) else F.col(part) if part in names else F.lit(part)
        for part in parts
    ]
    return F.concat(*(column.cast("string") for column in columns)).cast("binary")


def _reason(settings: LakeSettings) -> Column:
    raw, fields = F.col("raw"), F.col("f")
    rules = {
        Reason.TOO_LONG: F.length(raw) > settings.max_line_bytes,
        # decode() puts U+FFFD where bytes are no UTF-8, so the way back gives other bytes.
        Reason.NOT_UTF8: F.encode(F.decode(raw, "UTF-8"), "UTF-8") != raw,
        Reason.FIELD_COUNT: ~F.size(fields).between(contract.FEWEST_FIELDS, len(contract.FIELDS)),
        Reason.BAD_TIME: F.col("msg_time").isNull() | fields[0].startswith("0000"),
        Reason.BEFORE_FIRST_DAY: F.substring(fields[0], 1, 10) < str(settings.first_day),
        Reason.TIME_AHEAD: F.col("msg_time")
        > F.col("collected_at") + F.expr(f"INTERVAL {settings.max_ahead_minutes} MINUTES"),
        Reason.NO_SENDER: _text("sender_account").isNull(),
        Reason.NO_RECEIVER: _text("receiver_account").isNull(),
    }
    return F.coalesce(*(F.when(broken, reason.value) for reason, broken in rules.items()))


def _contract_columns() -> list[Column]:
    return [column for field in contract.FIELDS for column in _columns_of(field)]


def _columns_of(field: contract.Field) -> list[Column]:
    text = _text(field.name)
    if field.kind == "time":
        return [F.col("msg_time")]
    if field.kind == "sex":
        return [F.when(text.isin(*contract.SEXES), text).alias(field.name)]
    if field.kind == "ip":
        return [F.when(text.rlike(IPV4_PATTERN) | text.rlike(IPV6_PATTERN), text).alias(field.name)]
    if field.kind == "distance":
        return [
            F.when(
                text.rlike(DISTANCE_PATTERN),
                F.expr(f"substring({_sql(field.name)}, 1, length({_sql(field.name)}) - 2)").cast(
                    "double"
                ),
            ).alias(field.name)
        ]
    if field.kind == "gps":
        return _gps(text, field.name.removesuffix("_gps"))
    return [text.alias(field.name)]


def _gps(text: Column, party: str) -> list[Column]:
    """Longitude and latitude; the order is put right where only the other one is on the globe."""
    parts = F.split(text, ",")
    first, second = (
        F.when(
            (F.size(parts) == 2) & parts[index].rlike(NUMBER_PATTERN),
            F.trim(parts[index]).cast("double"),
        )
        for index in (0, 1)
    )
    as_written = (F.abs(first) <= 180) & (F.abs(second) <= 90)
    swapped = (F.abs(second) <= 180) & (F.abs(first) <= 90)
    return [
        F.when(as_written, first).when(swapped, second).alias(f"{party}_longitude"),
        F.when(as_written, second).when(swapped, first).alias(f"{party}_latitude"),
    ]


def _position(name: str) -> int:
    return next(index for index, field in enumerate(contract.FIELDS) if field.name == name)


def _sql(name: str) -> str:
    return f"f[{_position(name)}]"


def _text(name: str) -> Column:
    """Return a field's text, NULL where it is empty."""
    return F.expr(f"nullif({_sql(name)}, '')")
