"""The recount: hand-written files against known figures, made-up answers against the difference
they must show.
"""

from __future__ import annotations

import json
import socket
import struct
import zipfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from confluent_kafka import TopicPartition
from pydantic import SecretStr

from qimo_assets.metrics.publish import shorten
from qimo_assets.settings import (
    HiveSettings,
    KafkaSettings,
    LakeSettings,
    MySQLSettings,
    Settings,
    SourceSettings,
)
from qimo_assets.simulator import feed
from qimo_assets.verify import (
    METRICS,
    LakeAnswer,
    Recount,
    SourceFile,
    Table,
    VerifyError,
    compare,
    count_arrivals,
    instants,
    lake_answer,
    metric_tables,
    newest_commits,
    progress,
    read_lake,
    read_metrics,
    recount,
    render,
    topic,
    verify,
)
from qimo_assets.verify.line import FIELD_COUNTS
from qimo_assets.verify.topic import PlainLine, plain_line
from qimo_assets_tests.records import event

ZONE = ZoneInfo("Asia/Shanghai")
NOW = datetime(2024, 5, 2, 12, 0, tzinfo=ZONE)
DAY = "2024-05-01"
REGIONS = [
    ("0.0.0.0", "0|0|0|0|0"),
    ("1.0.0.0", "中国|0|广东省|深圳市|电信"),
    ("1.1.0.0", "中国|0|北京|北京市|联通"),
    ("2.0.0.0", "美国|0|0|0|Level3"),
    ("3.0.0.0", "0|0|0|内网IP|内网IP"),
]
# First upper halves and texts of the IPv6 database.
IPV6_REGIONS = [
    (0, "IANA保留地址"),
    (0x240E_0000_0000_0000, "中国\t广东省\t深圳市\t南山区"),
    (0x240F_0000_0000_0000, "全球"),
]
EMPTY = LakeAnswer({}, {}, 0, 0, 0)
FILE = ("chat", "chat-1.log", "")


def number(address: str) -> int:
    return int.from_bytes(bytes(map(int, address.split("."))), "big")


def ipv6_database() -> bytes:
    texts, entries = b"", b""
    for start, text in IPV6_REGIONS:
        entries += struct.pack("<Q", start) + (24 + len(texts)).to_bytes(3, "little")
        texts += text.encode() + b"\0" + b"\0"
    header = struct.pack("<4sHBBQQ", b"IPDB", 1, 3, 8, len(IPV6_REGIONS), 24 + len(texts))
    return header + texts + entries


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a directory `logs` and a small address database; nothing listens at the
    endpoints.
    """
    regions = [text.encode() for _, text in REGIONS]
    starts = [number(address) for address, _ in REGIONS]
    ends = [start - 1 for start in starts[1:]] + [2**32 - 1]
    index = 256 + sum(map(len, regions))
    entries, pointer = b"", 256
    for start, end, region in zip(starts, ends, regions, strict=True):
        entries += struct.pack("<IIHI", start, end, len(region), pointer)
        pointer += len(region)
    header = struct.pack("<HHIII", 2, 1, 0, index, index + 14 * (len(regions) - 1)).ljust(
        256, b"\0"
    )
    with zipfile.ZipFile(tmp_path / "ip.jar", "w") as jar:
        jar.writestr("ip2region/ip2region.xdb", header + b"".join(regions) + entries)
        jar.writestr("ip2region/ipv6wry.db", ipv6_database())
    (tmp_path / "logs").mkdir()
    return Settings.model_construct(
        source=SourceSettings(
            log_dir=tmp_path / "logs", position_file=tmp_path / "positions", host="chat"
        ),
        kafka=KafkaSettings(bootstrap="127.0.0.1:9", timeout_seconds=0.5),
        lake=LakeSettings(
            warehouse="file:/none",
            checkpoint="file:/none",
            metastore_uris="thrift://127.0.0.1:9",
            ip2region_jar=tmp_path / "ip.jar",
        ),
        hive=HiveSettings(host="127.0.0.1", port=9, timeout_seconds=1),
        mysql=MySQLSettings(
            host="127.0.0.1", port=9, password=SecretStr("none"), timeout_seconds=1
        ),
    )


def line(
    moment: str = f"{DAY} 10:00:00",
    sender: str = "A",
    receiver: str = "B",
    *,
    nickname: str = "",
    sexes: tuple[str, str] = ("男", "女"),
    addresses: tuple[str, str] = ("1.0.0.1", "1.1.0.1"),
    message: str = "你好",
) -> bytes:
    fields = [
        moment,
        nickname,
        sender,
        sexes[0],
        addresses[0],
        "iOS",
        "iPhone 15",
        "5G",
        "114.06,22.54",
    ]
    fields += [
        "收",
        addresses[1],
        receiver,
        "Android",
        "Xiaomi 14",
        "4G",
        "",
        sexes[1],
        "TEXT",
        "1.00KM",
        message,
    ]
    return "\x01".join(fields).encode()


def write(settings: Settings, *lines: bytes, name: str = "chat-1.log") -> None:
    (settings.source.log_dir / name).write_bytes(b"".join(item + b"\n" for item in lines))


# --- lines


def test_line_ends_and_an_unterminated_line(settings: Settings) -> None:
    (settings.source.log_dir / "chat-1.log").write_bytes(line() + b"\r\n" + line() + b"\n" + line())
    counted = recount(settings, NOW)
    assert (counted.lines, counted.rows, counted.quarantined) == (2, {DAY: 2}, {})


def test_only_a_carriage_return_before_the_line_feed_belongs_to_the_end(settings: Settings) -> None:
    write(settings, line(message="a\rb\x85\u2028c"), line() + b"\r\r", b"\r", b"")
    counted = recount(settings, NOW)
    assert (counted.rows, counted.quarantined) == ({DAY: 2}, {"field_count": 2})


def test_files_are_those_of_the_pattern(settings: Settings) -> None:
    write(settings, line(), line())
    write(settings, line(), name="chat-2.log")
    write(settings, line(), name="chat-1.log.gz")
    write(settings, name="empty.log")
    (settings.source.log_dir / "old.log").mkdir()
    counted = recount(settings, NOW)
    assert counted.files == {FILE: 2, ("chat", "chat-2.log", ""): 1, ("chat", "empty.log", ""): 0}
    assert counted.lines == 3


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (line(message="x" * 1_048_577), "too_long"),
        (b"\xff" * 1_048_577, "too_long"),
        (b"x" * 5_000_000, "too_long"),
        (line() + b"\xe6\xb6", "not_utf8"),
        (b"\xed\xa0\x80", "not_utf8"),
        (b"", "field_count"),
        (b"\x01" * 18, "field_count"),
        (line() + b"\x01" * (FIELD_COUNTS[-1] - 19), "field_count"),
        (line(""), "bad_time"),
        (line("2023-02-29 10:00:00"), "bad_time"),
        (line("2024-05-01T10:00:00"), "bad_time"),
        (line("2024-05-01 24:00:00"), "bad_time"),
        (line("2024-05-01 10:00:60"), "bad_time"),
        (line("0000-01-01 10:00:00"), "bad_time"),
        (line("２０２４-05-01 10:00:00"), "bad_time"),
        (line(" 2024-05-01 10:00:00"), "bad_time"),
        (line("2020-12-31 23:59:59"), "before_first_day"),
        (line("1970-01-01 08:00:00"), "before_first_day"),
        (line("0001-01-01 00:00:00"), "before_first_day"),
        (line("2024-05-02 13:00:01"), "time_ahead"),
        (line("2024-05-02 13:00:01", sender=""), "time_ahead"),
        (line(sender=""), "no_sender"),
        (line(sender="", receiver=""), "no_sender"),
        (line(receiver=""), "no_receiver"),
    ],
)
def test_each_reason(settings: Settings, bad: bytes, reason: str) -> None:
    write(settings, line(), bad, line())
    counted = recount(settings, NOW)
    assert (counted.lines, counted.rows, counted.quarantined) == (3, {DAY: 2}, {reason: 1})


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_longest_line(settings: Settings, end: bytes) -> None:
    filling = 1_048_576 - len(line(message=""))
    content = (
        line(message="x" * filling) + end + line(message="x" * (filling + 1)) + end + line() + end
    )
    (settings.source.log_dir / "chat-1.log").write_bytes(content)
    counted = recount(settings, NOW)
    assert (counted.rows, counted.quarantined) == ({DAY: 2}, {"too_long": 1})


def test_unterminated_line_that_is_too_long(settings: Settings) -> None:
    (settings.source.log_dir / "chat-1.log").write_bytes(line() + b"\n" + b"x" * 3_000_000)
    assert recount(settings, NOW).lines == 1


def test_space_is_a_sender_and_the_first_day_is_a_day(settings: Settings) -> None:
    write(settings, line(sender=" "), line("2021-01-01 00:00:00"), line("2024-05-02 13:00:00"))
    assert recount(settings, NOW).rows == {"2021-01-01": 1, DAY: 1, "2024-05-02": 1}


@pytest.mark.parametrize(
    ("moment", "hour"),
    [
        ("1986-05-04 01:59:59", 1),
        ("1986-05-04 02:00:00", 3),
        ("1986-05-04 02:30:00", 3),
        ("1986-05-04 03:00:00", 3),
        ("1986-09-14 01:30:00", 1),
        ("1991-04-14 02:59:59", 3),
        ("1970-01-02 00:00:00", 0),
    ],
)
def test_a_time_that_never_was_is_an_hour_later(settings: Settings, moment: str, hour: int) -> None:
    settings.lake.first_day = date(1970, 1, 2)
    write(settings, line(moment))
    assert list(recount(settings, NOW).tables["message_hourly"]) == [(moment[:10], hour)]


def test_a_line_rejected_as_ahead_is_held_against_its_own_collection(settings: Settings) -> None:
    ahead = line("2024-05-02 11:00:00")
    write(settings, line(), ahead, ahead)
    at = len(line()) + 1
    assert recount(settings, NOW, {FILE: {at: "2024-05-02 10:59:59"}}).quarantined == {
        "time_ahead": 1
    }
    assert recount(settings, NOW, {FILE: {at: "2024-05-02 11:00:00"}}).quarantined == {}


# --- metrics


def test_every_metric(settings: Settings) -> None:
    write(
        settings,
        line(f"{DAY} 09:59:59", "A", "B", nickname="老"),
        line(f"{DAY} 10:00:00", "A", "C", nickname="甲", sexes=("男", "?")),
        line(f"{DAY} 10:00:00", "A", "C", nickname="乙", addresses=("2.3.4.5", "fe80::1")),
        line(f"{DAY} 10:30:00", "A", "B", sexes=("", "女"), addresses=("9.9.9.9", "01.0.0.1")),
        line(f"{DAY} 10:31:00", "B", "A", addresses=("1.1.2.3", "")),
        line("2024-04-30 23:00:00", "A", "B", nickname="丙"),
    )
    tables = recount(settings, NOW).tables
    assert set(tables) == set(METRICS)
    assert tables["message_total"] == {("2024-04-30",): (1, 1, 1, 1), (DAY,): (5, 2, 3, 3)}
    assert tables["message_hourly"] == {
        ("2024-04-30", 23): (1, 1, 1),
        (DAY, 9): (1, 1, 1),
        (DAY, 10): (4, 2, 3),
    }
    assert tables["sender_top"] == {
        ("2024-04-30", 1): ("A", "丙", 1),
        (DAY, 1): ("A", "甲", 4),
        (DAY, 2): ("B", "未知", 1),
    }
    of_day = {key[1:]: value for key, value in tables["sender_province"].items() if key[0] == DAY}
    assert of_day == {
        ("中国", "广东省"): (2, 1),
        ("美国", "未知"): (1, 1),
        ("未知", "未知"): (1, 1),
        ("中国", "北京"): (1, 1),
    }
    of_day = {key[1:]: value for key, value in tables["receiver_province"].items() if key[0] == DAY}
    assert of_day == {("中国", "北京"): (2, 2), ("未知", "未知"): (3, 3)}
    of_day = {key[1:]: value for key, value in tables["sex_pair"].items() if key[0] == DAY}
    assert of_day == {("男", "女"): (3,), ("男", "未知"): (1,), ("未知", "女"): (1,)}


def test_active_users(settings: Settings) -> None:
    sent = {
        "2024-01-31": "AB",
        "2024-02-01": "AC",
        "2024-02-07": "D",
        "2024-02-29": "CD",
        "2024-03-01": "A",
        "2024-03-02": "A",
        "2024-03-31": "A",
    }
    write(
        settings,
        *(
            line(f"{day} 12:00:00", sender)
            for day, senders in sent.items()
            for sender in senders * 2
        ),
    )
    assert recount(settings, NOW).tables["active_user"] == {
        ("2024-01-31",): (2, 2, 2, 2, 1),
        ("2024-02-01",): (2, 3, 3, 1, 0),
        ("2024-02-07",): (1, 3, 4, 1, 0),
        # B sent 29 days before, which is the first of the 30.
        ("2024-02-29",): (2, 2, 4, 0, 0),
        ("2024-03-01",): (1, 3, 3, 0, 1),
        ("2024-03-02",): (1, 3, 3, 0, 0),
        ("2024-03-31",): (1, 1, 1, 0, 0),
    }


@pytest.mark.parametrize("length", [190, 191, 192, 5_000])
@pytest.mark.parametrize("mark", ["字", "…"])
def test_a_text_too_long_for_its_column_is_expected_as_it_is_published(
    settings: Settings, length: int, mark: str
) -> None:
    text = ("长" * 158 + mark + "x" * length)[:length]
    write(settings, line(nickname=text))
    assert recount(settings, NOW).tables["sender_top"] == {(DAY, 1): ("A", shorten(text), 1)}
    assert len(shorten(text)) <= 191


def plain_of(*lines: bytes, at: int = 5) -> list[PlainLine]:
    return [(0, at + number, NOW, text) for number, text in enumerate(lines)]


def test_lines_of_other_producers_are_counted_and_their_metrics_held(settings: Settings) -> None:
    write(settings, line())
    plain = plain_of(line(sender="P"), line(sender=""), line("2024-05-02 13:00:01"), b"")
    counted = recount(settings, NOW, plain=plain)
    assert (counted.lines, counted.plain, counted.rows) == (1, 4, {DAY: 2})
    assert counted.quarantined == {"no_sender": 1, "time_ahead": 1, "field_count": 1}
    assert counted.tables["message_total"] == {(DAY,): (2, 2, 1, 2)}
    rejected = {"no_sender": 1, "time_ahead": 1, "field_count": 1}
    lake = LakeAnswer(
        of_file({DAY: 1}) | of_file({DAY: 1}, None),
        of_file(rejected, None),
        2,
        2,
        0,
        {},
        {DAY: rejected},
        {DAY: (0, 5, 9)},
        plain={(0, DAY): (1, 5, 5)} | {(0, reason): (1, 6, 8) for reason in rejected},
    )
    quality: Table = {(DAY,): (5, 2, 0, 0, 1, 0, 0, 1, 1, 0, 0, 0, 5, 9)}
    found = compare(counted, lake, 5, counted.tables | {"data_quality": quality})
    assert (found.ok, found.lines, found.plain, found.gone) == (True, 1, 4, {})
    assert "lines in the topic only" in render(found)
    lost = compare(
        counted,
        replace(lake, rows=of_file({DAY: 1})),
        5,
        counted.tables | {"data_quality": quality},
    )
    assert any("1 in the files, 4 of other producers" in text for text in lost.differences)
    wrong = counted.tables["message_total"] | {(DAY,): (1, 1, 1, 1)}
    tables = counted.tables | {"data_quality": quality, "message_total": wrong}
    assert not compare(counted, lake, 5, tables).metrics["message_total"].ok


def test_lines_of_other_producers_that_the_topic_deleted_are_left_out(settings: Settings) -> None:
    write(settings, line())
    deleted = {(0, DAY), (0, "no_sender")}
    plain = plain_of(line(sender="P"), line(sender=""), line("2024-04-30 10:00:00"))
    counted = recount(settings, NOW, plain=plain, left_out=deleted)
    assert (counted.plain, counted.rows, counted.quarantined) == (
        1,
        {"2024-04-30": 1, DAY: 1},
        {},
    )
    lake = LakeAnswer(
        of_file({DAY: 1}) | of_file({DAY: 3, "2024-04-30": 1}, None),
        of_file({"no_sender": 2}, None),
        5,
        5,
        0,
        {},
        {DAY: {"no_sender": 2}},
        {DAY: (0, 5, 9), "2024-04-30": (0, 5, 9)},
        plain={(0, DAY): (3, 1, 5), (0, "2024-04-30"): (1, 7, 7), (0, "no_sender"): (2, 3, 6)},
    )
    quality: Table = {
        (DAY,): (6, 4, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 5, 9),
        ("2024-04-30",): (1, 1, *[0] * 10, 5, 9),
    }
    found = compare(counted, lake, 7, counted.tables | {"data_quality": quality}, deleted)
    assert (found.ok, found.days_left_out) == (True, [DAY])
    assert found.gone == {
        f"topic, partition 0, {DAY}": 3,
        "topic, partition 0, no_sender": 2,
    }


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (b"2024\x01a", b"2024\x01a"),
        (b"2024\x01a\r", b"2024\x01a"),
        (b"", b""),
        (b"\x02", b"\x02"),
        (event(b"body", host="h"), b"body"),
        (event(b"body"), b"body"),
        (event(b"body", host="h") + b"x", event(b"body", host="h") + b"x"),
        (event(b"body", file="/logs/a.log", byteoffset="0"), None),
        (event(b"", file="/logs/a.log", byteoffset="0"), None),
    ],
)
def test_what_a_record_of_the_topic_holds_beside_the_files(
    record: bytes, text: bytes | None
) -> None:
    assert plain_line(record) == text


class ImpatientConsumer:
    """Has the records of one partition, and fails where a real one waits for more than it has."""

    def __init__(self, *values: bytes) -> None:
        self.values = values
        self.at = 0

    def get_watermark_offsets(self, *_: object, timeout: float) -> tuple[int, int]:
        return 0, len(self.values)

    def assign(self, places: list[TopicPartition]) -> None:
        [place] = places
        self.at = place.offset

    def consume(self, count: int, timeout: float) -> list[SimpleNamespace]:
        assert self.at + count <= len(self.values), "it waits until the time-out"
        offsets = range(self.at, self.at + count)
        self.at += count
        return [
            SimpleNamespace(
                error=lambda: None,
                offset=lambda offset=offset: offset,
                value=lambda offset=offset: self.values[offset],
                timestamp=lambda: (1, int(NOW.timestamp() * 1000)),
            )
            for offset in offsets
        ]


def test_no_more_records_are_waited_for_than_there_are(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = [b"before", b"plain", event(b"line", file="a.log"), b"another", b"after"]
    monkeypatch.setattr(topic, "_consumer", lambda _: nullcontext(ImpatientConsumer(*values)))
    found = list(topic.plain_lines(settings.kafka, {0: (1, 3)}))
    assert [(offset, line) for _, offset, _, line in found] == [(1, b"plain"), (3, b"another")]
    assert [line for *_, line in topic.plain_lines(settings.kafka, {0: (4, 99)})] == [b"after"]


def test_masked_accounts_are_expected_where_they_are_published_so(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(settings, line(sender="13812341234", receiver="short"))
    counted = recount(settings, NOW)
    answer = LakeAnswer(of_file({DAY: 1}), {}, 1, 1, 0, arrivals={DAY: (0, 1, 1)})
    quality = {(DAY,): (1, 1, *[0] * 10, 1, 1)}
    tops = {
        "sender_top": {(DAY, 1): ("138****1234", "未知", 1)},
        "receiver_top": {(DAY, 1): ("s****", "收", 1)},
    }
    monkeypatch.setattr("qimo_assets.verify.read_lake", lambda _: answer)
    monkeypatch.setattr("qimo_assets.verify.count_arrivals", lambda _: 1)
    monkeypatch.setattr(
        "qimo_assets.verify.read_metrics",
        lambda _: counted.tables | {"data_quality": quality} | tops,
    )
    assert [name for name, result in verify(settings).metrics.items() if not result.ok] == [
        "sender_top",
        "receiver_top",
    ]
    settings.mysql.mask_accounts = True
    assert verify(settings).ok


def test_top_is_a_hundred_and_ties_go_by_account(settings: Settings) -> None:
    write(
        settings,
        *(line(sender=f"{account:03d}") for account in reversed(range(150))),
        line(sender="149"),
        line(sender="é"),
        line(sender="Z"),
    )
    top = recount(settings, NOW).tables["sender_top"]
    assert len(top) == 100
    assert [top[DAY, rank][0] for rank in (1, 2, 3, 100)] == ["149", "000", "001", "098"]


def test_a_hundred_texts_are_told_apart_and_the_rest_is_one(settings: Settings) -> None:
    texts = [f"system {number:03d}".encode() for number in range(150)] + ["其他".encode()]
    write(
        settings,
        *(
            line(sender=sender).replace(b"\x01iOS\x01", b"\x01" + text + b"\x01")
            for text in texts
            for sender in ("A", "B")
        ),
        line(sender="C").replace(b"\x01iOS\x01", b"\x01system 149\x01"),
    )
    found = recount(settings, NOW).tables["os"]
    assert len(found) == 101
    assert found[DAY, "其他"] == (2 * 51, 2)
    assert found[DAY, "system 098"] == (2, 2)
    assert found[DAY, "system 149"] == (3, 3)
    assert (DAY, "system 099") not in found


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("1.0.0.0", ("中国", "广东省")),
        ("1.0.255.255", ("中国", "广东省")),
        ("1.1.0.0", ("中国", "北京")),
        ("2.255.255.255", ("美国", "未知")),
        ("0.0.0.0", ("未知", "未知")),
        ("255.255.255.255", ("未知", "未知")),
        ("1.0.0.256", ("未知", "未知")),
        ("1.0.0", ("未知", "未知")),
        ("1.0.0.00", ("未知", "未知")),
        (" 1.0.0.1", ("未知", "未知")),
        ("１.0.0.1", ("未知", "未知")),
        ("::ffff:1.0.0.1", ("中国", "广东省")),
        ("240e:3a1::1", ("中国", "广东省")),
        ("240E:3A1::1", ("中国", "广东省")),
        ("240e:3a1::1%1", ("未知", "未知")),
        ("240f::1", ("未知", "未知")),
        ("2001:db8::1", ("未知", "未知")),
    ],
)
def test_place_of_an_address(settings: Settings, address: str, place: tuple[str, str]) -> None:
    write(settings, line(addresses=(address, "")))
    assert list(recount(settings, NOW).tables["sender_province"]) == [(DAY, *place)]


def test_simulated_lines_are_recounted(settings: Settings) -> None:
    report = feed(
        settings.source.log_dir, 5_000, days=2, bad=0.2, late=0.1, repeat=0.1, seed=1, now=NOW
    )
    counted = recount(settings, NOW)
    assert counted.lines == 5_000
    assert sum(counted.quarantined.values()) == report.bad
    assert sum(counted.rows.values()) == 5_000 - report.bad
    assert set(counted.quarantined) >= {
        "not_utf8",
        "field_count",
        "bad_time",
        "before_first_day",
        "time_ahead",
        "no_sender",
        "no_receiver",
    }
    assert (
        sum(messages for (messages,) in counted.tables["sex_pair"].values()) == 5_000 - report.bad
    )


def test_what_cannot_be_read_is_one_message(settings: Settings) -> None:
    settings.lake.ip2region_jar.write_bytes(b"no jar")
    with pytest.raises(VerifyError, match="lake.ip2region_jar"):
        recount(settings, NOW)
    settings.source.log_dir.rmdir()
    with pytest.raises(VerifyError):
        recount(settings, NOW)


# --- comparison


@pytest.fixture
def counted(settings: Settings) -> Recount:
    write(
        settings,
        line(),
        line(f"{DAY} 11:00:00", "B", "A"),
        line("2024-04-30 08:00:00"),
        b"",
        line(sender=""),
    )
    return recount(settings, NOW)


def agreeing(counted: Recount) -> LakeAnswer:
    rows = sum(counted.rows.values())
    arrivals: dict[str, tuple[int, int | None, int | None]] = {
        "2024-04-30": (1, None, None),
        DAY: (0, 5, 9),
    }
    return LakeAnswer(
        of_file(counted.rows),
        of_file(counted.quarantined),
        rows,
        rows,
        0,
        {},
        {DAY: dict(counted.quarantined)},
        arrivals,
    )


def of_file(
    counts: dict[str, int], file: SourceFile | None = FILE
) -> dict[tuple[SourceFile | None, str], int]:
    return {(file, name): count for name, count in counts.items()}


def published(counted: Recount, sent_again: int = 0) -> dict[str, Table]:
    """Return the tables as they should be in MySQL; what is in quarantine was collected
    on the day.
    """
    quality: Table = {
        ("2024-04-30",): (1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, None, None),
        (DAY,): (4, 2, 0, 0, 1, 0, 0, 0, 1, 0, sent_again, 0, 5, 9),
    }
    return counted.tables | {"data_quality": quality}


def test_everything_agrees(counted: Recount) -> None:
    found = compare(counted, agreeing(counted), 7, published(counted, sent_again=2))
    assert found.ok
    assert (found.lines, found.rows, found.quarantined, found.sent_again) == (
        5,
        3,
        {"field_count": 1, "no_sender": 1},
        2,
    )
    assert list(found.as_dict()) == [
        "ok",
        "lines",
        "rows",
        "quarantined",
        "sent_again",
        "metrics",
        "plain",
        "gone",
        "days_left_out",
        "differences",
    ]
    assert found.as_dict()["metrics"]["message_total"] == {"ok": True, "rows": 2, "differences": []}
    assert json.loads(json.dumps(found.as_dict())) == found.as_dict()
    assert "Everything agrees." in render(found)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            lambda lake: replace(lake, rows=of_file({DAY: 2})),
            "lake 2024-04-30: expected 1, found 0",
        ),
        (
            lambda lake: replace(lake, rows=lake.rows | of_file({"2024-05-03": 1})),
            "lake 2024-05-03: expected 0, found 1",
        ),
        (
            lambda lake: replace(lake, rows=of_file({DAY: 1})),
            "lines: 5 in the files, 3 in lake (1) and quarantine (2)",
        ),
        (
            lambda lake: replace(lake, quarantined=of_file({"field_count": 2})),
            "quarantine no_sender: expected 1, found 0",
        ),
        (lambda lake: replace(lake, messages=2), "3 rows, but 2 distinct message_id"),
        (
            lambda lake: replace(lake, records=2),
            "3 rows, but 2 distinct (kafka_partition, kafka_offset)",
        ),
        (lambda lake: replace(lake, ahead=1), "1 rows were too far ahead"),
        (
            lambda lake: replace(
                lake, rows=of_file({DAY: 2, "2024-04-30": 1}, ("other", "chat-1.log", ""))
            ),
            "file other:chat-1.log: expected 0, found 3",
        ),
    ],
)
def test_lake_differences_are_named(
    counted: Recount, change: Callable[[LakeAnswer], LakeAnswer], named: str
) -> None:
    found = compare(counted, change(agreeing(counted)), 5, published(counted))
    assert not found.ok
    assert named in "\n".join(found.differences)
    assert named in render(found)


def test_fewer_arrivals_than_rows(counted: Recount) -> None:
    found = compare(counted, agreeing(counted), 4, published(counted))
    assert (found.ok, found.sent_again) == (False, -1)
    assert "topic: 4 records arrived" in found.differences[0]


def test_unknown_files_are_not_compared(counted: Recount) -> None:
    unknown = LakeAnswer(of_file(counted.rows, None), of_file(counted.quarantined, None), 3, 3, 0)
    assert compare(
        counted,
        replace(unknown, rejected=agreeing(counted).rejected, arrivals=agreeing(counted).arrivals),
        5,
        published(counted),
    ).ok


def test_files_that_are_gone_are_named_and_left_out(counted: Recount) -> None:
    gone = ("chat", "chat-1.log", "17-42")
    known = agreeing(counted)
    lake = replace(
        known,
        rows=known.rows | of_file({DAY: 4}, gone),
        quarantined=known.quarantined | of_file({"no_sender": 3}, gone),
        messages=7,
        records=7,
    )
    # The metrics of that day hold four messages that no file tells of; the other day is compared.
    right = published(counted)
    quality = right["data_quality"] | {(DAY,): (11, 6, *right["data_quality"][DAY,][2:])}
    # Who was active the day before may have come back with one of them.
    users = right["active_user"] | {("2024-04-30",): (9, 9, 9, 9, 9)}
    found_tables = right | {
        "message_total": {(DAY,): (6, 1, 1, 1), ("2024-04-30",): (1, 1, 1, 1)},
        "data_quality": quality,
        "active_user": users,
    }
    found = compare(counted, lake, 12, found_tables)
    assert (found.ok, found.gone, found.days_left_out) == (
        True,
        {"chat:chat-1.log:17-42": 7},
        [DAY],
    )
    assert (found.lines, found.rows, found.quarantined) == (
        5,
        7,
        {"field_count": 1, "no_sender": 4},
    )
    assert "7 lines of 1 files" in render(found)
    wrong = compare(
        counted,
        lake,
        12,
        found_tables | {"message_total": {(DAY,): (6, 1, 1, 1), ("2024-04-30",): (2, 1, 1, 1)}},
    )
    assert wrong.metrics["message_total"].differences == [
        "message_total 2024-04-30: messages expected 1, found 2"
    ]


def test_a_truncated_file_is_not_gone(counted: Recount) -> None:
    truncated = ("chat", "chat-2.log", "17-42")
    known = agreeing(counted)
    lake = replace(known, rows=known.rows | of_file({DAY: 4}, truncated), messages=7, records=7)
    found = compare(
        replace(counted, files=counted.files | {truncated: 0}), lake, 9, published(counted)
    )
    assert not found.ok
    assert "file chat:chat-2.log:17-42: expected 0, found 4" in found.differences


def test_a_file_is_counted_through_its_link_under_its_first_name(settings: Settings) -> None:
    logs, links = settings.source.log_dir, settings.source.link_dir
    links.mkdir()
    write(settings, line(), line(), name="a.log")
    write(settings, line(), name="b.log")
    ids = {name: f"{(logs / name).stat().st_ino}-1" for name in ("a.log", "b.log")}
    for name, source_id in ids.items():
        (links / f"{name}~{source_id}").hardlink_to(logs / name)
    (logs / "a.log").rename(logs / "a.1.log")
    (logs / "b.log").rename(logs / "b.log.gz")
    write(settings, line(), line(), line(), name="a.log")
    assert recount(settings, NOW).files == {
        ("chat", "a.log", ids["a.log"]): 2,
        ("chat", "b.log", ids["b.log"]): 1,
        ("chat", "a.log", ""): 3,
    }


@pytest.mark.parametrize(
    ("table", "key", "value", "named"),
    [
        ("message_total", (DAY,), (2, 2, 2, 9), f"message_total {DAY}: pairs expected 2, found 9"),
        (
            "message_hourly",
            (DAY, 11),
            None,
            f"message_hourly {DAY} 11: expected messages 1, senders 1, receivers 1, found no row",
        ),
        (
            "sex_pair",
            (DAY, "女", "女"),
            (4,),
            f"sex_pair {DAY} 女 女: expected no row, found messages 4",
        ),
        (
            "sender_top",
            (DAY, 1),
            ("A", "别", 1),
            f"sender_top {DAY} 1: nickname expected 未知, found 别",
        ),
        (
            "sender_province",
            (DAY, None, None),
            (1, 1),
            f"sender_province {DAY} None None: expected no row",
        ),
        ("active_user", (DAY,), (2, 2, 2, 2, 0), f"active_user {DAY}: new expected 1, found 2"),
        (
            "data_quality",
            (DAY,),
            (4, 2, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 5, 9),
            "quarantined_field_count expected 1, found 0; quarantined_bad_time expected 0, found 1",
        ),
        (
            "data_quality",
            (DAY,),
            (4, 2, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 5, 8),
            f"data_quality {DAY}: age_p99 expected 9, found 8",
        ),
        (
            "data_quality",
            ("2024-04-30",),
            (1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0),
            "data_quality 2024-04-30: age_p50 expected None, found 0",
        ),
        (
            "data_quality",
            (DAY,),
            (4, 2, 0, 0, 1, 0, 0, 0, 1, 0, 3, 0, 5, 9),
            "lines 5 and sent_again 3 make 8 arrivals, the topic has 5",
        ),
    ],
)
def test_metric_differences_are_named(
    counted: Recount, table: str, key: tuple[Any, ...], value: tuple[Any, ...] | None, named: str
) -> None:
    rows = {
        other: measures for other, measures in published(counted)[table].items() if other != key
    } | ({key: value} if value else {})
    found = compare(counted, agreeing(counted), 5, published(counted) | {table: rows})
    assert not found.ok
    assert [name for name, result in found.metrics.items() if not result.ok] == [table]
    assert named in found.metrics[table].differences[0]
    assert named in render(found)


def test_many_differences_become_a_count(counted: Recount) -> None:
    extra = {(DAY, str(sex), "女"): (1,) for sex in range(50)}
    differences = (
        compare(
            counted,
            agreeing(counted),
            5,
            published(counted) | {"sex_pair": counted.tables["sex_pair"] | extra},
        )
        .metrics["sex_pair"]
        .differences
    )
    assert len(differences) == 21
    assert differences[-1] == "sex_pair: 30 more differences"


def test_a_table_that_is_not_there(counted: Recount) -> None:
    result = compare(
        counted, agreeing(counted), 5, published(counted) | {"sex_pair": None}
    ).metrics["sex_pair"]
    assert (result.ok, result.rows, result.differences) == (
        False,
        0,
        ["sex_pair: there is no such table; expected 2 rows"],
    )


def test_a_table_that_is_not_there_while_there_are_no_lines(counted: Recount) -> None:
    nothing = replace(counted, tables=counted.tables | {"sex_pair": {}})
    result = compare(
        nothing, agreeing(counted), 5, published(counted) | {"sex_pair": None}
    ).metrics["sex_pair"]
    assert (result.ok, result.rows, result.differences) == (True, 0, [])


# --- what the systems say


# Each rejected line once, and only if it is not in the lake.
REJECTED = "GROUP BY message_id) LEFT ANTI JOIN `qimo`.`chat_message_rt` USING (message_id))"


def test_lake_answer_out_of_queries(settings: Settings) -> None:
    answers = {
        "SHOW DATABASES": [("default",), ("qimo",)],
        "SHOW TABLES": [("qimo", "chat_message_rt", False), ("qimo", "chat_quarantine_rt", False)],
        "count(DISTINCT message_id), count(DISTINCT kafka": [(3, 3, 0)],
        "source_id, day, count(*)": [
            ("chat", "/logs/a.log", "7-1", DAY, 3),
            (None, None, None, DAY, 1),
        ],
        "source_id, reason, count(*)": [("chat", "/logs/b.log", None, "time_ahead", 1)],
        "SELECT arrival.day, arrival.reason": [(DAY, "time_ahead", 1)],
        "kafka_partition, day, count(*)": [(0, DAY, 1, 7, 7), (1, "2024-04-30", 3, 2, 9)],
        "kafka_partition, reason, count(*)": [(0, "no_sender", 2, 5, 11)],
        "collect_list": [(DAY, 1, 5, 9)],
        "reason = 'time_ahead'": [
            ("chat", "/logs/b.log", None, 42, int(NOW.timestamp())),
            (None, None, None, None, int(NOW.timestamp())),
        ],
    }

    def ask(query: str) -> list[tuple[Any, ...]]:
        # The quality of a day counts what was first rejected on it, also what is in the lake since.
        of_day = "min(struct(collected_at, kafka_partition, kafka_offset, day, reason))" in query
        assert ("reason" in query and not of_day) == (REJECTED in query)
        [answer] = [rows for part, rows in answers.items() if part in query]
        return answer

    a, b = ("chat", "a.log", "7-1"), ("chat", "b.log", "")
    expected = LakeAnswer(
        rows={(a, DAY): 3, (None, DAY): 1},
        quarantined={(b, "time_ahead"): 1},
        messages=3,
        records=3,
        ahead=0,
        rejected_ahead={b: {42: "2024-05-02 13:00:00"}},
        rejected={DAY: {"time_ahead": 1}},
        arrivals={DAY: (1, 5, 9)},
        plain={
            (0, DAY): (1, 7, 7),
            (1, "2024-04-30"): (3, 2, 9),
            (0, "no_sender"): (2, 5, 11),
        },
    )
    assert lake_answer(ask, settings) == expected
    assert expected.files() == {a: 3, b: 1}
    assert expected.plain_ranges() == {0: (5, 11), 1: (2, 9)}


@pytest.mark.parametrize("databases", [["default"], ["default", "qimo"]])
def test_what_is_not_there_yet_has_no_rows(settings: Settings, databases: list[str]) -> None:
    def ask(query: str) -> list[tuple[Any, ...]]:
        assert query.startswith("SHOW")
        if query == "SHOW DATABASES":
            return [(name,) for name in databases]
        assert "qimo" in databases
        return []

    assert lake_answer(ask, settings) == EMPTY
    assert newest_commits(ask, "qimo") == {}


def test_newest_commits_out_of_queries() -> None:
    answers = {
        "SHOW DATABASES": [("qimo",)],
        "SHOW TABLES": [("qimo", "chat_message_rt", False), ("qimo", "chat_total", False)],
        "FROM `qimo`.`chat_message_rt` GROUP BY day": [(DAY, "20240501120000000")],
    }

    def ask(query: str) -> list[tuple[Any, ...]]:
        [answer] = [rows for part, rows in answers.items() if part in query]
        return answer

    assert newest_commits(ask, "qimo") == {"chat_message_rt": {DAY: "20240501120000000"}}


@pytest.mark.parametrize("tables", [[], ["publication"]])
def test_instants_out_of_queries(tables: list[str]) -> None:
    def ask(query: str) -> list[tuple[Any, ...]]:
        if query == "SHOW TABLES":
            return [(name,) for name in tables]
        return [("os", date(2024, 5, 1), "20240501120000000")]

    assert instants(ask) == dict.fromkeys([("os", DAY)] if tables else [], "20240501120000000")


def test_metric_tables_out_of_queries() -> None:
    queries: list[str] = []

    def ask(query: str) -> list[tuple[Any, ...]]:
        queries.append(query)
        return (
            [("message_hourly",), ("publication",)]
            if query == "SHOW TABLES"
            else [(date(2024, 5, 1), 9, 3, 2, 1)]
        )

    tables = metric_tables(ask)
    assert tables == dict.fromkeys(METRICS) | {"message_hourly": {(DAY, 9): (3, 2, 1)}}
    assert (
        queries[1]
        == "SELECT `day`, `hour`, `messages`, `senders`, `receivers` FROM `message_hourly`"
    )


def test_progress_out_of_queries() -> None:
    answers = {
        "SHOW TABLES": [("message_total",), ("publication",)],
        "SELECT count(*)": [(3, NOW)],
        "SELECT coalesce": [(Decimal(7),)],
    }

    def ask(query: str) -> list[tuple[Any, ...]]:
        return next(rows for beginning, rows in answers.items() if query.startswith(beginning))

    assert progress(ask) == (7, f"3 {NOW}")
    answers["SHOW TABLES"] = []
    assert progress(ask) == (0, "")


def test_systems_that_do_not_answer_are_named(settings: Settings) -> None:
    with pytest.raises(VerifyError, match="HiveServer2 at 127.0.0.1:9 .*qimo up"):
        read_lake(settings)
    with pytest.raises(VerifyError, match="MySQL at 127.0.0.1:9 .*qimo up"):
        read_metrics(settings.mysql)
    with pytest.raises(VerifyError, match="7MO-MSG at 127.0.0.1:9 .*qimo up"):
        count_arrivals(settings.kafka)


def test_a_hive_server_that_stays_silent_is_given_up(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings.hive.port = server.getsockname()[1]
        with pytest.raises(VerifyError, match="HiveServer2 .*timeout"):
            read_lake(settings)
