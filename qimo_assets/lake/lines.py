r"""The message contract over whole batches of lines: fields, reasons and regions as columns, with
no step for a single line.

What a pattern means here it means byte for byte: `\d` and `\s` of this engine take other scripts'
digits and spaces as well, so neither is used.
"""

from __future__ import annotations

import codecs
import json
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from qimo_assets import contract
from qimo_assets.contract import Reason
from qimo_assets.lake.parse import PARTIES, REGION_PARTS, Rules
from qimo_assets.lake.places import CARRIAGE_RETURN, Ranges, is_of_topic
from qimo_assets.lake.regions import look_up
from qimo_assets.lake.tables import MESSAGE, QUARANTINE

# Java's white space.
SPACES = " \t\n\v\f\r"
TIME_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2} ([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$"
TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
NUMBER_PATTERN = r"^[ \t\n\x0B\x0C\r]*-?[0-9]{1,3}(\.[0-9]+)?[ \t\n\x0B\x0C\r]*$"
# A number of more than 300 digits may be no finite double.
DISTANCE_PATTERN = r"^[0-9]{1,300}(\.[0-9]+)?KM$"
_OCTET = r"(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
IPV4_PATTERN = rf"^{_OCTET}(\.{_OCTET}){{3}}$"
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
    + ")$"
)


def read_lines(lines: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """Read lines by the contract.

    Args:
        lines: At least `raw` (binary) and `collected_at`.
        rules: The contract's fields and limits.

    Returns:
        The lines with `reason` (NULL when the line is good), `day`, `hour`, every column of the
        contract, and both parties' regions.
    """
    fields = len(rules.fields)
    fewest = sum(not field.added for field in rules.fields)
    split = (
        lines.with_columns(_text(lines["raw"]))
        .with_columns(
            pl.col("text").str.count_matches(contract.SEPARATOR, literal=True).alias("separators"),
            pl.col("text").str.split_exact(contract.SEPARATOR, fields - 1).alias("f"),
        )
        .unnest("f")
        .rename({f"field_{place}": f"f{place}" for place in range(fields)})
        .with_columns(_time(pl.col("f0")).alias("msg_time"))
    )
    texts = {field.name: f"f{place}" for place, field in enumerate(rules.fields)}
    broken = {
        Reason.TOO_LONG: pl.col("raw").bin.size() > rules.max_line_bytes,
        Reason.NOT_UTF8: pl.col("text").is_null(),
        Reason.FIELD_COUNT: ~pl.col("separators").is_between(fewest - 1, fields - 1),
        Reason.BAD_TIME: pl.col("msg_time").is_null() | pl.col("f0").str.starts_with("0000"),
        Reason.BEFORE_FIRST_DAY: pl.col("f0").str.slice(0, 10) < str(rules.first_day),
        Reason.TIME_AHEAD: pl.col("msg_time")
        > pl.col("collected_at") + pl.duration(minutes=rules.max_ahead_minutes),
        Reason.NO_SENDER: _is_empty(pl.col(texts["sender_account"])),
        Reason.NO_RECEIVER: _is_empty(pl.col(texts["receiver_account"])),
    }
    reason = pl.coalesce(
        *(pl.when(rule).then(pl.lit(reason.value)) for reason, rule in broken.items())
    )
    read = split.with_columns(
        reason.alias("reason"),
        pl.col("f0").str.slice(0, 10).alias("day"),
        # Not the line's own: a time that a clock put forward passed over is an hour later.
        pl.col("msg_time").dt.hour().cast(pl.Int32).alias("hour"),
        *(
            column
            for field in rules.fields
            if field.kind != "time"
            for column in _columns(field, pl.col(texts[field.name]))
        ),
    )
    return read.with_columns(_regions(read, rules.ip2region_jar)).drop(
        "text", "separators", *texts.values()
    )


def survey(read: pl.DataFrame) -> str:
    """Tell what lines amount to, as the JSON that `places.Survey` takes.

    Args:
        read: What `read_lines` returned of lines with `place` and `place_at`.
    """
    rejected = read.filter(pl.col("reason").is_not_null()).select(
        pl.col("collected_at")
        .dt.convert_time_zone(contract.TIMEZONE)
        .dt.strftime("%Y-%m-%d")
        .alias("day"),
        "reason",
    )
    good = read.filter(pl.col("reason").is_null())["day"]
    reasons: dict[str, dict[str, int]] = {}
    for day, reason, lines in rejected.group_by("day", "reason").len().iter_rows():
        reasons.setdefault(day, {})[reason] = lines
    places, repeats = _ranges(read)
    return json.dumps(
        {
            "rows": {
                MESSAGE.name: dict(good.value_counts().iter_rows()),
                QUARANTINE.name: {day: sum(found.values()) for day, found in reasons.items()},
            },
            "reasons": reasons,
            "places": places,
            "repeats": repeats,
            "reached": {
                partition: offset + 1
                for partition, offset in read.group_by("kafka_partition")
                .agg(pl.col("kafka_offset").max())
                .iter_rows()
            },
        }
    )


def _ranges(read: pl.DataFrame) -> tuple[dict[str, Ranges], dict[str, Ranges]]:
    """Return the ranges of the lines of each place, and those in which a line stands twice."""
    place = pl.col("place")
    of_topic = place.is_in([name for name in read["place"].unique() if is_of_topic(name)])
    lines = (
        read.select(
            place,
            pl.col("place_at").alias("begin"),
            pl.col("place_at")
            + pl.when(of_topic).then(1).otherwise(pl.col("raw").bin.size().cast(pl.Int64) + 1),
            of_topic.alias("of_topic"),
        )
        .rename({"place_at": "end"})
        .sort("place", "begin")
        .with_columns(pl.col("end").cum_max().shift(1).over("place").alias("before"))
    )
    # Between two lines of a partition stand those of files.
    apart = pl.col("before").is_null() | (
        ~pl.col("of_topic") & (pl.col("begin") > pl.col("before") + CARRIAGE_RETURN)
    )
    runs = (
        lines.with_columns(apart.cum_sum().alias("run"))
        .group_by("place", "run", maintain_order=True)
        .agg(pl.col("begin").min(), pl.col("end").max())
    )
    twice = lines.filter(pl.col("begin") < pl.col("before"))
    return _by_place(runs), _by_place(twice)


def _by_place(runs: pl.DataFrame) -> dict[str, Ranges]:
    found: dict[str, Ranges] = {}
    for place, begin, end in runs.select("place", "begin", "end").iter_rows():
        found.setdefault(place, []).append((begin, end))
    return found


def _text(raw: pl.Series) -> pl.Series:
    """Return the lines as text, NULL where a line is no UTF-8.

    A cast fails as a whole, so the lines that would make it fail are found first, each by one
    error of the decoder, and no other line is looked at by itself.
    """
    lines = raw.to_arrow().cast(pa.binary())
    # With a byte between them: an end cut short would go with the next line's beginning.
    joined = pc.call_function(
        "binary_join", [pa.ListArray.from_arrays([0, len(lines)], lines), b"\n"]
    )
    data = memoryview(joined[0].as_buffer())
    ends = np.cumsum(raw.bin.size().to_numpy().astype(np.int64) + 1)
    valid, begin = np.ones(len(lines), dtype=bool), 0
    while begin < len(data):
        try:
            codecs.decode(data[begin:], "utf-8")
            break
        except UnicodeDecodeError as error:
            row = np.searchsorted(ends, begin + error.start, side="right")
            valid[row], begin = False, int(ends[row])
    text = pc.call_function("if_else", [pa.array(valid), lines, None]).cast(pa.string())
    return pl.Series("text", pl.from_arrow(text))


def _time(text: pl.Expr) -> pl.Expr:
    """Return the instant of a time in Shanghai; one that a clock put forward passed over is read
    an hour later.
    """
    wall = (
        pl.when(text.str.contains(TIME_PATTERN))
        .then(text)
        .str.to_datetime(TIME_FORMAT, time_unit="us", strict=False, exact=True)
    )
    return pl.coalesce(_in_shanghai(wall), _in_shanghai(wall + pl.duration(hours=1)))


def _in_shanghai(wall: pl.Expr) -> pl.Expr:
    return wall.dt.replace_time_zone(contract.TIMEZONE, ambiguous="earliest", non_existent="null")


def _is_empty(text: pl.Expr) -> pl.Expr:
    return text.is_null() | (text == "")


def _columns(field: contract.Field, text: pl.Expr) -> list[pl.Expr]:
    if field.kind == "sex":
        return [pl.when(text.is_in(contract.SEXES)).then(text).alias(field.name)]
    if field.kind == "ip":
        is_address = text.str.contains(IPV4_PATTERN) | (
            text.str.contains(":", literal=True) & text.str.contains(IPV6_PATTERN)
        )
        return [pl.when(is_address).then(text).alias(field.name)]
    if field.kind == "distance":
        number = pl.when(text.str.contains(DISTANCE_PATTERN)).then(text.str.head(-2))
        return [number.cast(pl.Float64, strict=False).alias(field.name)]
    if field.kind == "gps":
        return _gps(text, field.name.removesuffix("_gps"))
    return [pl.when(text != "").then(text).alias(field.name)]


def _gps(text: pl.Expr, party: str) -> list[pl.Expr]:
    """Longitude and latitude; the order is put right where only the other one is on the globe."""
    parts = text.str.split_exact(",", 1)
    is_pair = text.str.count_matches(",", literal=True) == 1
    first, second = (
        pl.when(is_pair & part.str.contains(NUMBER_PATTERN))
        .then(part.str.strip_chars(SPACES))
        .cast(pl.Float64, strict=False)
        for part in (parts.struct.field("field_0"), parts.struct.field("field_1"))
    )
    as_written = (first.abs() <= 180) & (second.abs() <= 90)
    swapped = (second.abs() <= 180) & (first.abs() <= 90)
    return [
        pl.when(as_written).then(first).when(swapped).then(second).alias(f"{party}_longitude"),
        pl.when(as_written).then(second).when(swapped).then(first).alias(f"{party}_latitude"),
    ]


def _regions(read: pl.DataFrame, jar: Path) -> list[pl.Series]:
    return [
        found[part].alias(f"{party}_{part}")
        for party in PARTIES
        for found in [look_up(read[f"{party}_ip"], jar)]
        for part in REGION_PARTS
    ]
