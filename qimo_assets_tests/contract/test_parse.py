"""The message contract against a real Spark: every kind of line, as another producer's record and
as Flume's event.

What is expected stands three times: by hand in the corpus, in `reading` (plain Python on
the recount's own reader), and in what Spark answers.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from ipaddress import IPv4Address, ip_address
from math import inf
from pathlib import Path
from random import Random
from typing import Any
from zipimport import zipimporter

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from qimo_assets import contract, verify
from qimo_assets.lake import ip2region
from qimo_assets.lake.parse import REGION_PARTS, parse
from qimo_assets.lake.regions import look_up, table
from qimo_assets.lake.sent_again import SENT_AGAIN_SCHEMA
from qimo_assets.lake.tables import SENT_AGAIN, WRITTEN_AT
from qimo_assets.lake.write import stamped
from qimo_assets.resources.spark import WORKERS
from qimo_assets.settings import KafkaSettings, LakeSettings, Settings
from qimo_assets.stack.jars import class_path
from qimo_assets.stack.layout import current_layout
from qimo_assets.verify.line import latest_time, read_line
from qimo_assets.verify.regions import open_regions
from qimo_assets_tests.drivers import driver
from qimo_assets_tests.local_lake import KAFKA_RECORD, ZONE, local_settings
from qimo_assets_tests.records import event, varint

# With a part of a second, as Kafka's timestamps have it.
COLLECTED = datetime(2024, 5, 2, 12, 0, 0, 400_000, tzinfo=ZONE)
LONGEST = 1_048_576
Record = tuple[bytes | None, str, int, int]
Row = dict[str, Any]

# The 20 fields in the contract's order, and a good line.
GOOD = {
    "msg_time": "2024-05-01 10:00:00",
    "sender_nickname": "小明",
    "sender_account": "13800000001",
    "sender_sex": "男",
    "sender_ip": "114.114.114.114",
    "sender_os": "iOS",
    "sender_phone_type": "iPhone 15",
    "sender_network": "5G",
    "sender_gps": "116.40,39.90",
    "receiver_nickname": "小红",
    "receiver_ip": "8.8.8.8",
    "receiver_account": "13800000002",
    "receiver_os": "Android",
    "receiver_phone_type": "Xiaomi 14",
    "receiver_network": "4G",
    "receiver_gps": "121.47,31.23",
    "receiver_sex": "女",
    "msg_type": "TEXT",
    "distance": "12.34KM",
    "message": "你好",
}
# One separator more than a line of all fields may have.
TOO_MANY = b"\x01" * (len(contract.FIELDS) - len(GOOD) + 1)
REQUIRED = {
    "msg_time": "bad_time",
    "sender_account": "no_sender",
    "receiver_account": "no_receiver",
}
GOOD_COLUMNS = {name: text for name, text in GOOD.items() if not name.endswith("_gps")} | {
    "msg_time": 1_714_528_800_000_000,
    "day": "2024-05-01",
    "hour": 10,
    "sender_longitude": 116.4,
    "sender_latitude": 39.9,
    "receiver_longitude": 121.47,
    "receiver_latitude": 31.23,
    "distance": 12.34,
}


@dataclass(frozen=True)
class Case:
    """A line as it stands in a file, without its line feed, and what becomes of it; `columns` names
    those that are not the good line's.
    """

    name: str
    line: bytes
    reason: str | None = None
    columns: Row = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        return self.line.removesuffix(b"\r")


def line(**changes: str) -> bytes:
    return "\x01".join((GOOD | changes).values()).encode()


def both(kind: str, value: Any) -> Row:
    return {f"sender_{kind}": value, f"receiver_{kind}": value}


def as_long_as(length: int, character: str = "x") -> str:
    return character * ((length - len(line(message=""))) // len(character.encode()))


# --- the corpus

# A reason, or seconds since 1970.
TIMES: dict[str, str | int] = {
    "2024-02-29 23:59:59": 1_709_222_399,
    "2000-02-29 00:00:00": 951_753_600,
    "1970-01-02 00:00:00": 57_600,
    "1986-05-04 01:59:59": 515_527_199,
    "1986-05-04 02:30:00": 515_529_000,  # no such time in Shanghai: it is 03:30
    "1986-09-14 01:30:00": 527_013_000,  # twice in Shanghai: the first one
    "1991-04-14 02:59:59": 671_569_199,
    "1970-01-01 23:59:59": "before_first_day",
    "1969-12-31 23:59:59": "before_first_day",
    "1582-10-10 12:00:00": "before_first_day",  # a day that the old calendar did not have
    "0001-01-01 00:00:00": "before_first_day",
    "2024-03-10 02:30:00": 1_710_009_000,  # no such time in New York
    "2024-03-31 02:30:00": 1_711_823_400,  # nor in Berlin
    "2024-05-02 13:00:00": 1_714_626_000,  # an hour ahead
    "2024-05-02 13:00:01": "time_ahead",
    "2024-05-03 00:00:00": "time_ahead",
    "9999-12-31 23:59:59": "time_ahead",
    "0000-01-01 00:00:00": "bad_time",
    "2023-02-29 10:00:00": "bad_time",
    "1900-02-29 10:00:00": "bad_time",
    "2024-02-30 10:00:00": "bad_time",
    "2024-04-31 10:00:00": "bad_time",
    "2024-13-01 10:00:00": "bad_time",
    "2024-00-01 10:00:00": "bad_time",
    "2024-05-00 10:00:00": "bad_time",
    "2024-05-01 24:00:00": "bad_time",
    "2024-05-01 10:60:00": "bad_time",
    "2024-05-01 23:59:60": "bad_time",
    "2024-05-01": "bad_time",
    "2024-05-01 10:00": "bad_time",
    "2024-5-1 1:00:00": "bad_time",
    "2024-05-01T10:00:00": "bad_time",
    "2024-05-01 10:00:00Z": "bad_time",
    "2024-05-01 10:00:00.5": "bad_time",
    "2024-05-01 10:00:00+08:00": "bad_time",
    "2024-05-01  10:00:00": "bad_time",
    "2024-05-01\t10:00:00": "bad_time",
    " 2024-05-01 10:00:00": "bad_time",
    "2024-05-01 10:00:00 ": "bad_time",
    "2024-05-01 10:00:00\t": "bad_time",
    "2024-05-01 10:00:00\r": "bad_time",
    "2024-05-01 10:00:00\u2028": "bad_time",
    "\ufeff2024-05-01 10:00:00": "bad_time",
    "2024-05-01 10:00:00\0": "bad_time",
    "２０２４-０５-０１ １０:００:００": "bad_time",
    "٢٠٢٤-05-01 10:00:00": "bad_time",
    "2024/05/01 10:00:00": "bad_time",
    "+2024-05-01 10:00:00": "bad_time",
    "-024-05-01 10:00:00": "bad_time",
    "12024-05-01 10:00:00": "bad_time",
    "1714528800": "bad_time",
    "now": "bad_time",
}
SEXES = {"男": "男", "女": "女"} | dict.fromkeys(
    ["M", "male", "未知", "男 ", " 女", "男女", "男\r", "0"]
)
IPS = {
    text: text
    for text in (
        "0.0.0.0", "255.255.255.255", "1.2.3.4", "192.168.0.1", "::", "::1", "1::", "fe80::1", "2001:db8::ff00:42:8329", "2001:DB8:0:0:0:FF00:42:8329",
        "2001:0db8:0000:0000:0000:ff00:0042:8329", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1:2:3:4:5:6:1.2.3.4", "::1.2.3.4", "64:ff9b::8.8.8.8",
        "::ffff:1.2.3.4", "::ffff:102:304",
    )
} | dict.fromkeys([
    "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.1.1.256", "1.2.3.999", "01.2.3.4", "1.2.3.04", "1.2.3.00", "1..2.3", "1.2.3.", "-1.2.3.4", "1.2.3.4/24", "1.2.3.4:80",
    " 1.2.3.4", "1.2.3.4 ", "1.2.3.4\r", "1.2.3.4\u2028", "１.2.3.4", "0x1.2.3.4", "16909060", "localhost", ":", ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9",
    "1::2::3", "12345::", "g::1", "::1.2.3.256", "::ffff:01.2.3.4", "1:2:3:4:5:6:7:1.2.3.4", "fe80::1%eth0", "[::1]", "::1\r", "1:2:3:4:5:6:7:8:",
])  # fmt: skip
NOWHERE: tuple[float | None, float | None] = (None, None)
POINTS = {
    "116.40,39.90": (116.4, 39.9),
    "39.90,116.40": (116.4, 39.9),
    "87.6,43.8": (87.6, 43.8),  # both orders are on the globe: it is the contract's
    "43.8,87.6": (43.8, 87.6),
    "0,0": (0.0, 0.0),
    "180,90": (180.0, 90.0),
    "-180,-90": (-180.0, -90.0),
    "-90,-180": (-180.0, -90.0),
    "-70.66,-33.45": (-70.66, -33.45),
    " 116.40 , 39.90 ": (116.4, 39.9),
    "116.40,\t39.90\r": (116.4, 39.9),
    "116.399999999999999999999999,39.9": (116.4, 39.9),
} | dict.fromkeys([
    "180.01,0", "0,180.01", "0,-181", "90.01,90.01", "999,999", "1000,1", "0010,39", "116.40", "116.40,", ",39.90", ",", "116.40,39.90,5", "116.40;39.90",
    "116.40，39.90", "NaN,39.90", "116.40,nan", "inf,0", "Infinity,0", "-Infinity,0", "1e2,39.90", "0x10,39", "116.40d,39.90f", "+116.40,39.90",
    ".5,39.90", "116.,39.90", "--1,1", "1 1,39", "１１６,39.90", "116.40,39.90\u2028", "东经116,北纬39", "null",
], NOWHERE)  # fmt: skip
DISTANCES = {"12.34KM": 12.34, "12KM": 12.0, "0KM": 0.0, "0.00KM": 0.0, "007.5KM": 7.5, "20015.1KM": 20015.1, "9" * 300 + "KM": 1e300} | dict.fromkeys([
    "12.34km", "12.34Km", "-1KM", "+1KM", "12.34", "12.34 KM", " 12KM", "12KM ", "12KM\r", "12KM\u2028", "KM", ".5KM", "5.KM", "1.2.3KM", "1,234KM", "1e3KM",
    "12M", "12KMKM", "NaNKM", "InfinityKM", "１２KM", "9" * 400 + "KM",
])  # fmt: skip
TEXTS = [
    "'); DROP TABLE chat_message; --", "${spark.env.HOME} `id` %s {0} \\N " "\\u0041", "<script>alert('x')</script>&amp;<!--", '=HYPERLINK("http://x","y")',
    "+1-1@SUM(A1)", '"a","b"', "😀👨‍👩‍👧\U0010ffff", "a\tb", "a\rb", "\r", "a\0b", "\ufeffa", "\ufffd", "\ufffe\uffff", "\x02\x1f\x7f\x85",
    "\u2028\u2029\u202e", "e\u0301é", "ａ １", " ", "\u3000", "NULL", "null", "\\", "x" * 10_000,
]  # fmt: skip

CASES = [
    Case("good", line()),
    *(Case(f"{name} empty", line(**{name: ""}), REQUIRED[name]) for name in REQUIRED),
    *(Case(f"{name} empty", line(**{name: ""}), None, {name: None}) for name in GOOD if name not in REQUIRED and not name.endswith("_gps")),
    *(Case(f"{party}_gps empty", line(**{f"{party}_gps": ""}), None, dict.fromkeys([f"{party}_longitude", f"{party}_latitude"]))
      for party in ("sender", "receiver")),
    Case("all but the required ones empty", line(**{name: "" for name in GOOD if name not in REQUIRED}), None,
         dict.fromkeys(name for name in GOOD_COLUMNS if name not in (*REQUIRED, "day", "hour"))),
    Case("empty line", b"", "field_count"),
    Case("only a carriage return", b"\r", "field_count"),
    Case("one field", b"2024-05-01 10:00:00", "field_count"),
    Case("19 fields", line().rpartition(b"\x01")[0], "field_count"),
    Case("too many fields", line() + TOO_MANY, "field_count"),
    Case("separators in the message", line(message=f"a{TOO_MANY.decode()}b"), "field_count"),
    Case("20 empty fields", b"\x01" * 19, "bad_time"),
    Case("other separator", line().replace(b"\x01", b"\t"), "field_count"),
    Case("carriage return and line feed", line() + b"\r"),
    Case("two carriage returns", line() + b"\r\r", None, {"message": "你好\r"}),
    Case("invalid UTF-8", line() + b"\xff", "not_utf8"),
    Case("character cut short", line()[:-1], "not_utf8"),
    Case("continuation alone", b"\x80" + line(), "not_utf8"),
    Case("overlong slash", line() + b"\xc0\xaf", "not_utf8"),
    Case("overlong NUL", line() + b"\xc0\x80", "not_utf8"),
    Case("overlong euro", line() + b"\xf0\x82\x82\xac", "not_utf8"),
    Case("surrogate", line() + b"\xed\xa0\x80", "not_utf8"),
    Case("pair of surrogates", line() + b"\xed\xa0\xbd\xed\xb8\x80", "not_utf8"),
    Case("beyond Unicode", line() + b"\xf4\x90\x80\x80", "not_utf8"),
    Case("GBK", line().replace("你好".encode(), "你好".encode("gbk")), "not_utf8"),
    Case("not UTF-8 and too few fields", b"\xff\x01", "not_utf8"),
    Case("longest line", line(message=as_long_as(LONGEST)), None, {"message": as_long_as(LONGEST)}),
    Case("longest line and carriage return", line(message=as_long_as(LONGEST)) + b"\r", None, {"message": as_long_as(LONGEST)}),
    Case("one byte too long", line(message=as_long_as(LONGEST + 1)), "too_long"),
    Case("too long in bytes only", line(message=as_long_as(LONGEST + 3, "你")), "too_long"),
    Case("huge and not UTF-8", b"\xff" * (4 * LONGEST), "too_long"),
    Case("no sender and no receiver", line(sender_account="", receiver_account=""), "no_sender"),
    Case("ahead and no sender", line(msg_time="9999-01-01 00:00:00", sender_account=""), "time_ahead"),
    Case("bad time and no receiver", line(msg_time="", receiver_account=""), "bad_time"),
    Case("blank accounts", line(**both("account", " ")), None, both("account", " ")),
    # What begins like Flume's event is none before it is one from the first byte to the last.
    Case("first byte of an event", b"\x02", "field_count"),
    Case("event cut short", b"\x02\x08host\x02a", "field_count"),
    Case("event and more", b"\x02\x02a\x02b\x00\x06abcdef", "field_count"),
    Case("event without a body and more", b"\x02\x00\x00\x00\x00more", "field_count"),
    Case("NULs of a torn block", bytes(64), "field_count"),
    *(Case(f"line after byte {first:02x}", bytes([first]) + line(), "bad_time") for first in (0x00, 0x02, 0x08, 0x1E)),
    *(Case(f"time {text!r}", line(msg_time=text), found) if isinstance(found, str)
      else Case(f"time {text!r}", line(msg_time=text), None, {"msg_time": found * 1_000_000, "day": text[:10], "hour": datetime.fromtimestamp(found, ZONE).hour})
      for text, found in TIMES.items()),
    *(Case(f"sex {text!r}", line(**both("sex", text)), None, both("sex", sex)) for text, sex in SEXES.items()),
    *(Case(f"ip {text!r}", line(**both("ip", text)), None, both("ip", ip)) for text, ip in IPS.items()),
    *(Case(f"gps {text!r}", line(**both("gps", text)), None, both("longitude", longitude) | both("latitude", latitude))
      for text, (longitude, latitude) in POINTS.items()),
    *(Case(f"distance {text[:20]!r} {len(text)}", line(distance=text), None, {"distance": distance}) for text, distance in DISTANCES.items()),
    *(Case(f"text {text[:40]!r}", line(sender_nickname=text, message=f"{text}!"), None, {"sender_nickname": text, "message": f"{text}!"}) for text in TEXTS),
]  # fmt: skip


# --- the contract in plain Python


def reading(body: bytes) -> tuple[str | None, Row]:
    """Return the line's reason, or its columns, by the recount's reading and the contract's rule of
    each field.
    """
    fields = read_line(body, LONGEST, str(LAKE.first_day), latest_time(COLLECTED, LAKE))
    if isinstance(fields, str):
        return fields, {}
    columns: Row = {}
    for name, text in zip(GOOD, fields, strict=True):
        if name.endswith("_gps"):
            party = name.removesuffix("_gps")
            columns[f"{party}_longitude"], columns[f"{party}_latitude"] = _point(text)
        else:
            columns[name] = _READERS.get(name.split("_")[-1], _text)(text)
    instant = datetime.fromisoformat(fields[0]).replace(tzinfo=ZONE) - datetime(
        1970, 1, 1, tzinfo=timezone.utc
    )
    return None, columns | {
        "msg_time": instant // timedelta(microseconds=1),
        "day": fields[0][:10],
        "hour": int(fields[0][11:13]),
    }


def _text(text: str) -> str | None:
    return text or None


def _sex(text: str) -> str | None:
    return text if text in ("男", "女") else None


def _ip(text: str) -> str | None:
    try:
        return str(text) if ip_address(text) and "%" not in text else None
    except ValueError:
        return None


def _decimal(text: str) -> float | None:
    """Return the number of plain ASCII digits with at most one point inside."""
    parts = text.split(".")
    return (
        float(text)
        if text.isascii() and len(parts) <= 2 and all(part.isdigit() for part in parts)
        else None
    )


def _distance(text: str) -> float | None:
    number = _decimal(text[:-2]) if text.endswith("KM") else None
    return None if number == inf else number


def _point(text: str) -> tuple[float | None, float | None]:
    parts = [part.strip(" \t\n\v\f\r") for part in text.split(",")]
    # No coordinate has four digits before its point, not even zeros.
    numbers = [
        _decimal(part.removeprefix("-")) if len(part.removeprefix("-").split(".")[0]) <= 3 else None
        for part in parts
    ]
    if len(parts) != 2 or numbers[0] is None or numbers[1] is None:
        return NOWHERE
    first, second = (
        -number if part.startswith("-") else number
        for part, number in zip(parts, numbers, strict=True)
        if number is not None
    )
    pairs = [
        (longitude, latitude)
        for longitude, latitude in ((first, second), (second, first))
        if abs(longitude) <= 180 and abs(latitude) <= 90
    ]
    return pairs[0] if pairs else NOWHERE


_READERS = {"sex": _sex, "ip": _ip, "distance": _distance}


# --- Spark


pytestmark = pytest.mark.usefixtures("software")

[IP2REGION] = class_path(current_layout(), "ip2region")
LAKE = LakeSettings(
    warehouse="file:/none",
    checkpoint="file:/none",
    metastore_uris="thrift://127.0.0.1:9",
    max_line_bytes=LONGEST,
    first_day=date(1970, 1, 2),
    ip2region_jar=IP2REGION,
)


def settings_in(directory: Path) -> Settings:
    return local_settings(directory, {}, "local[1]").model_copy(update={"lake": LAKE})


@pytest.fixture(scope="module")
def spark(software: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A session as the streaming job has it."""
    with driver(settings_in(tmp_path_factory.mktemp("parse"))) as session:
        yield session


def parsed(spark: SparkSession, records: list[Record]) -> list[Row]:
    """Return what becomes of each record; times as microseconds since 1970."""
    frame = spark.createDataFrame([(*record, COLLECTED) for record in records], KAFKA_RECORD)
    times = {name: F.unix_micros(name) for name in ("msg_time", "collected_at")}
    return [row.asDict() for row in parse(frame, LAKE).withColumns(times).collect()]


def origin(
    offset: object = 0, file: str = "/logs/chat-1.log", host: str = "chat"
) -> dict[str, str]:
    return {"host": host, "file": file, "byteoffset": str(offset), "type": "7mo"}


def through_link(
    offset: object = 0, name: str = "chat-1.log", number: str = "17-42", links: str = "/flume/links"
) -> dict[str, str]:
    """Return the headers of a line that the agent read through a link."""
    return origin(offset, f"{links}/{name}~{number}") | {"directory": "/logs"}


FORMS = ("record", "event")


@pytest.fixture(scope="module")
def corpus(spark: SparkSession) -> dict[tuple[str, str], Row]:
    """What becomes of each case in both forms, in one job."""
    records: list[Record] = []
    for at, case in enumerate(CASES):
        # Flume takes off the line's whole end.
        records += [
            (case.line, "7MO-MSG", 0, at),
            (event(case.body, **origin(1_000 * at)), "7MO-MSG", 1, at),
        ]
    rows = parsed(spark, records)
    return {
        (case.name, form): row
        for (case, form), row in zip(
            ((case, form) for case in CASES for form in FORMS), rows, strict=True
        )
    }


# --- lines


def test_fields_are_the_designs() -> None:
    assert [field.name for field in contract.FIELDS if not field.added] == list(GOOD)
    assert {field.name for field in contract.FIELDS if field.required} == set(REQUIRED)
    assert {case.reason for case in CASES} == {None, *(reason.value for reason in contract.Reason)}
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_line_becomes_what_the_contract_says_in_both_forms(
    corpus: dict[tuple[str, str], Row], case: Case
) -> None:
    columns = {} if case.reason else GOOD_COLUMNS | case.columns
    assert reading(case.body) == (case.reason, columns)
    at = CASES.index(case)
    places = {
        "record": (None, None, None, 0, at),
        "event": ("chat", "/logs/chat-1.log", 1_000 * at, 1, at),
    }
    for form in FORMS:
        row = corpus[case.name, form]
        assert (row["reason"], bytes(row["raw"])) == (case.reason, case.body)
        assert {name: row[name] for name in columns} == columns
        place = tuple(
            row[name]
            for name in (
                "source_host",
                "source_file",
                "source_offset",
                "kafka_partition",
                "kafka_offset",
            )
        )
        assert (place, row["collected_at"]) == (
            places[form],
            int(COLLECTED.timestamp() * 1_000) * 1_000,
        )


def test_every_line_has_an_id_of_its_own(corpus: dict[tuple[str, str], Row]) -> None:
    ids = [row["message_id"] for row in corpus.values()]
    assert len(set(ids)) == len(ids) == 2 * len(CASES)
    assert all(len(bytes.fromhex(message_id)) == 16 for message_id in ids)


def test_the_recount_counts_the_corpus_as_spark_does(
    corpus: dict[tuple[str, str], Row], tmp_path: Path
) -> None:
    (tmp_path / "chat-1.log").write_bytes(b"".join(case.line + b"\n" for case in CASES))
    counted = verify.recount(settings_in(tmp_path), COLLECTED)
    rows = [corpus[case.name, "event"] for case in CASES]
    assert counted.lines == len(CASES)
    assert counted.quarantined == Counter(row["reason"] for row in rows if row["reason"])
    assert counted.rows == Counter(row["day"] for row in rows if not row["reason"])


def test_records_of_other_producers_and_flumes(spark: SparkSession) -> None:
    many = {f"header-{n}": "x" * n for n in range(11)} | origin(7)
    values = [
        None,
        line(),
        event(line()),
        event(line(), type="7mo"),
        event(line(), **origin("none")),
        event(line(), **many),
        event(b"", **origin(7)),
    ]
    rows = parsed(spark, [(value, "7MO-MSG", 0, at) for at, value in enumerate(values)])
    assert [row["reason"] for row in rows] == [
        "field_count",
        None,
        None,
        None,
        None,
        None,
        "field_count",
    ]
    assert [bytes(row["raw"]) for row in rows] == [b"", line(), line(), line(), line(), line(), b""]
    assert [row["source_offset"] for row in rows] == [None, None, None, None, None, 7, 7]


def test_a_length_over_the_topics_longest_is_only_a_bad_line(spark: SparkSession) -> None:
    """The driver is told that limit; a larger one would be reserved before anything is read."""
    size = KafkaSettings(bootstrap="kafka:9092").max_message_bytes + 1
    options = spark.conf.get("spark.driver.extraJavaOptions", "")
    for kind in ("bytes", "string"):
        assert f"-Dorg.apache.avro.limits.{kind}.maxLength={size - 1}" in str(options)
    values = [b"\x02\x02a\x02b\x00" + varint(size) + b"x", b"\x02" + varint(size) + b"x"]
    rows = parsed(spark, [(value, "7MO-MSG", 0, at) for at, value in enumerate([*values, line()])])
    assert [bytes(row["raw"]) for row in rows] == [*values, line()]
    assert [row["reason"] is None for row in rows] == [False, False, True]


# --- lines of any mix of good and broken fields

NEAR = st.text("0123456789-:., KMabf男女\t\r\0", max_size=20)
ODD = st.lists(st.one_of(NEAR, st.text(max_size=8)), min_size=30, max_size=60)
POOL = [*TIMES, *SEXES, *IPS, *POINTS, *DISTANCES, *TEXTS[:-1], *GOOD.values(), ""]
OF_KIND = {
    "time": list(TIMES),
    "sex": list(SEXES),
    "ip": list(IPS),
    "gps": list(POINTS),
    "distance": [text for text in DISTANCES if len(text) < 30],
}
BROKEN_BYTES = [
    b"\xff",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\x80",
    b"\xe4\xbd",
    b"\x01",
    b"\0",
    b"\r",
    b"\xef\xbb\xbf",
]


def moment(random: Random) -> str:
    """Return a time from before the first day up to some after the collection."""
    return str(datetime(1969, 6, 1) + timedelta(seconds=random.randrange(56 * 365 * 86_400)))


def near(random: Random, text: str) -> str:
    """Return the text with one character taken out, doubled or replaced."""
    at = random.randrange(len(text) + 1)
    return (
        text[:at]
        + random.choice(["", text[at : at + 1] * 2, *"019-:., KM\r\x01０"])
        + text[at + 1 :]
    )


def mixed(random: Random, odd: list[str]) -> bytes:
    """Return a line in which about a third of the fields are not the good line's."""
    fields = []
    for name, good in GOOD.items():
        of_kind = OF_KIND.get(name.split("_")[-1], TEXTS)
        choices = [
            random.choice(of_kind),
            near(random, random.choice(of_kind)),
            random.choice(odd),
            random.choice(POOL),
            "",
        ]
        usual = moment(random) if name == "msg_time" else good
        often_good = 0.97 if name in REQUIRED else 0.6
        fields.append(usual if random.random() < often_good else random.choice(choices))
    if random.random() < 0.05:
        fields = random.choice(
            [fields[:-1], [*fields, *[""] * len(TOO_MANY)], fields[1:], fields[:1]]
        )
    whole = "\x01".join(fields).encode()
    at = random.randrange(len(whole) + 1)
    return (
        whole[:at] + random.choice(BROKEN_BYTES) + whole[at:] if random.random() < 0.05 else whole
    )


def test_any_mix_of_fields_is_read_as_plain_python_reads_it(spark: SparkSession) -> None:
    reasons: Counter[str | None] = Counter()

    @hypothesis_settings(
        max_examples=5,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(seed=st.integers(0, 2**32), odd=ODD)
    def hold(seed: int, odd: list[str]) -> None:
        random = Random(seed)
        lines = [mixed(random, odd).replace(b"\n", b" ") for _ in range(600)]
        rows = parsed(
            spark, [(event(body, **origin(at)), "7MO-MSG", 0, at) for at, body in enumerate(lines)]
        )
        for body, row in zip(lines, rows, strict=True):
            reason, columns = reading(body)
            reasons[reason] += 1
            differences = {
                name: (row[name], value)
                for name, value in {"reason": reason, **columns}.items()
                if row[name] != value
            }
            assert not differences, f"{differences} in {body!r}"

    hold()
    assert set(reasons) == {None, *(reason.value for reason in contract.Reason)} - {"too_long"}
    assert reasons[None] > 1_000


# --- identity

PLACE = ("7MO-MSG", 0, 5)
SAME_MESSAGE: list[tuple[str, Record, Record]] = [
    (
        "sent again",
        (event(line(), **origin(7)), *PLACE),
        (event(line(), **origin(7)), "7MO-MSG", 3, 99),
    ),
    (
        "with another header",
        (event(line(), **origin(7)), *PLACE),
        (event(line(), **origin(7), attempt="2"), "7MO-MSG", 0, 6),
    ),
    ("the same record read twice", (line(), *PLACE), (line(), *PLACE)),
    (
        "after the link was made anew elsewhere",
        (event(line(), **through_link(7)), *PLACE),
        (event(line(), **through_link(7, links="/links")), *PLACE),
    ),
    (
        "after the link was made anew under the file's later name",
        (event(line(), **through_link(8)), *PLACE),
        (event(line(), **through_link(8, "1.log")), *PLACE),
    ),
    ("the same event without origin read twice", (event(line()), *PLACE), (event(line()), *PLACE)),
]
OTHER_MESSAGES: dict[str, Record] = {
    "a line": (event(line(), **origin(7)), *PLACE),
    "equal bytes at another offset": (event(line(), **origin(8)), *PLACE),
    "equal bytes in another file": (event(line(), **origin(7, file="/logs/chat-2.log")), *PLACE),
    "equal bytes on another host": (event(line(), **origin(7, host="chat-2")), *PLACE),
    "the file written anew": (event(line(message="再见"), **origin(7)), *PLACE),
    "through a link": (event(line(), **through_link(7)), *PLACE),
    "equal bytes of a new file with a used inode": (
        event(line(), **through_link(7, number="17-43")),
        *PLACE,
    ),
    "equal bytes of another file of one name": (
        event(line(), **through_link(7, number="18-42")),
        *PLACE,
    ),
    "digits that move from file to offset": (
        event(line(), **origin(17, file="/logs/chat-1.log1")),
        *PLACE,
    ),
    "a bad line": (event(b"", **origin(7)), *PLACE),
    "no origin": (line(), *PLACE),
    "no origin, next offset": (line(), "7MO-MSG", 0, 6),
    "no origin, other partition": (line(), "7MO-MSG", 1, 5),
    "no origin, other topic": (line(), "7MO-MSG-2", 0, 5),
    "no offset in the headers": (
        event(line(), host="chat", file="/logs/chat-1.log"),
        "7MO-MSG",
        0,
        7,
    ),
    "no file in the headers": (event(line(), host="chat", byteoffset="7"), "7MO-MSG", 0, 8),
    "no number in the headers": (event(line(), **origin("7x")), "7MO-MSG", 0, 9),
}


def test_a_line_is_one_message_however_often_it_comes_and_two_lines_are_two(
    spark: SparkSession,
) -> None:
    records = [record for _, *pair in SAME_MESSAGE for record in pair] + list(
        OTHER_MESSAGES.values()
    )
    ids = [row["message_id"] for row in parsed(spark, records)]
    pairs, others = ids[: 2 * len(SAME_MESSAGE)], ids[2 * len(SAME_MESSAGE) :]
    assert [
        name
        for (name, *_), first, second in zip(SAME_MESSAGE, pairs[::2], pairs[1::2], strict=True)
        if first != second
    ] == []
    assert [
        name
        for name, message_id in zip(OTHER_MESSAGES, others, strict=True)
        if others.count(message_id) > 1
    ] == []


def test_a_link_tells_the_files_first_name_its_inode_and_its_birth(spark: SparkSession) -> None:
    origins = [
        through_link(),
        through_link(name="a~1-2.log~3-4"),
        through_link(name="七 陌.log"),
        origin(),
        origin(file="/logs/a.log~17-42"),
        {},
    ]
    origins.append(origin() | {"directory": "/logs"})
    rows = parsed(spark, [(event(line(), **headers), *PLACE) for headers in origins])
    assert [(row["source_file"], row["source_id"]) for row in rows] == [
        ("/logs/chat-1.log", "17-42"),
        ("/logs/a~1-2.log~3-4", "17-42"),
        ("/logs/七 陌.log", "17-42"),
        ("/logs/chat-1.log", None),
        ("/logs/a.log~17-42", None),
        (None, None),
        ("/logs/chat-1.log", None),
    ]


# --- regions

KNOWN_PLACES = {
    "114.114.114.114": ("中国", "江苏省", "南京市"),
    "8.8.8.8": ("美国", None, None),
    "166.111.4.100": ("中国", "北京", "北京市"),
    **dict.fromkeys(
        ["0.0.0.0", "255.255.255.255", "10.0.0.1", "127.0.0.1", "172.16.0.1", "192.168.1.1"],
        (None, None, None),
    ),
    **dict.fromkeys([None, "::1", "2001:db8::1"], (None, None, None)),
    "::ffff:114.114.114.114": ("中国", "江苏省", "南京市"),
    "240e:3a1:4c2::5f": ("中国", "江苏省", "南京市"),
}


def located(addresses: list[str | None]) -> list[tuple[str | None, ...]]:
    return look_up(pl.Series(addresses), IP2REGION).rows()


def test_addresses_are_where_the_plain_reading_of_the_database_finds_them() -> None:
    random, locate = Random(1), open_regions(IP2REGION)
    numbers = [random.randrange(2**32) for _ in range(1_000)]
    # Segments begin and end at such addresses.
    numbers += [number & ~255 for number in numbers[:500]] + [
        number | 255 for number in numbers[500:]
    ]
    addresses = [str(IPv4Address(number)) for number in numbers]
    found = located([*KNOWN_PLACES, *addresses])
    assert dict(zip(KNOWN_PLACES, found, strict=False)) == KNOWN_PLACES
    assert {
        address: place[:2]
        for address, place in zip([*KNOWN_PLACES, *addresses], found, strict=True)
        if address
    } == {address: locate(address) for address in [*KNOWN_PLACES, *addresses] if address}
    assert len({place for place in found if place[0]}) > 100


def test_a_line_has_the_regions_of_both_parties(spark: SparkSession) -> None:
    ipv6 = line(sender_ip="240e:3a1:4c2::5f", receiver_ip="256.1.1.1")
    rows = parsed(spark, [(line(), *PLACE), (ipv6, *PLACE)])
    assert [
        tuple(row[f"{party}_{part}"] for party in ("sender", "receiver") for part in REGION_PARTS)
        for row in rows
    ] == [
        ("中国", "江苏省", "南京市", "美国", None, None),
        ("中国", "江苏省", "南京市", None, None, None),
    ]


def test_what_holds_the_regions_has_no_archives_to_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "modules.zip", "w") as archive:
        archive.writestr("unused.py", "")
    monkeypatch.syspath_prepend(tmp_path / "modules.zip")
    assert importlib.util.find_spec("unused")
    assert archives()
    table.cache_clear()
    table(str(IP2REGION))
    assert not archives()


def test_a_worker_begins_with_the_regions_read(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Within the test, so that the worker need not import this module.
    def tell(batches: Iterable[Any]) -> Iterator[Any]:
        has_polars = "polars" in sys.modules
        for _ in batches:
            parent = Path(f"/proc/{os.getppid()}/cmdline").read_bytes().strip(b"\0").decode()
            regions = ip2region.load.cache_info().currsize
            yield pa.RecordBatch.from_pylist(
                [{"parent": parent, "regions": regions, "has_polars": has_polars}]
            )

    # Another environment has workers of its own, which have done nothing before.
    monkeypatch.setitem(spark.sparkContext.environment, "FRESH", "1")
    begun = spark.range(1).coalesce(1)
    schema = "parent string, regions long, has_polars boolean"
    [(parent, regions, has_polars)] = begun.mapInArrow(tell, schema).collect()
    assert parent.endswith(WORKERS)
    assert regions == 1
    # A fork lacks the threads that it started.
    assert not has_polars


def archives() -> list[str]:
    """Return the archives that importlib.invalidate_caches() would read, as a worker of Spark has
    it do before each task.
    """
    return [
        place
        for place, finder in sys.path_importer_cache.items()
        if isinstance(finder, zipimporter)
    ]


# --- the time of a commit


def code_of(rows: DataFrame) -> list[str]:
    """Return the Java code that Spark makes of a query."""
    frame: Any = rows
    stages = frame._jdf.queryExecution().debug().codegenToSeq()
    return [stages.apply(number)._2() for number in range(stages.size())]


def test_the_code_of_a_commit_is_that_of_the_one_before(spark: SparkSession) -> None:
    rows = spark.createDataFrame([("a", "2024-05-06", "chat_message", 1)], SENT_AGAIN_SCHEMA)
    [code], [again] = (code_of(stamped(rows, SENT_AGAIN)) for _ in range(2))
    assert "literal" in code
    assert code == again
    began = datetime.now(timezone.utc).timestamp()
    [(written_at,)] = stamped(rows, SENT_AGAIN).select(F.unix_micros(WRITTEN_AT)).collect()
    assert began <= written_at / 1e6 <= datetime.now(timezone.utc).timestamp()
