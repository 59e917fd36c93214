"""Rejected lines: each counts once however often it comes, and is read again when the contract has
changed.

The topic takes the producer's own time here, so that a line can come on two days.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource  # pyright: ignore[reportPrivateImportUsage]  # exported unlisted

from qimo_assets import verify
from qimo_assets.clients import librdkafka_options
from qimo_assets.resources.hive import HiveResource
from qimo_assets.views.sql import QUARANTINE_VIEW, view_statement
from qimo_assets_tests.lakes.lake import Lake
from qimo_assets_tests.records import event

ZONE = ZoneInfo("Asia/Shanghai")
MONDAY, MONDAY_LATER, TUESDAY = (
    datetime(2024, 5, day, hour, tzinfo=ZONE) for day, hour in ((6, 12), (6, 15), (7, 12))
)
# More than a consumer fetches of a partition at a time (1 MiB), unless a single record is larger.
LONG = "x" * 2_000_000


def line(time: str, message: str, receiver: str = "B") -> bytes:
    return "\x01".join([time, "", "A", *[""] * 8, receiver, *[""] * 7, message]).encode()


# Name of a line -> its bytes and when it comes.
LINES: dict[str, tuple[bytes, list[datetime]]] = {
    "too few fields, on two days": ("几个\x01字段".encode(), [MONDAY, TUESDAY]),
    "ahead of its time, and again when it is not": (
        line("2024-05-06 14:00:00", "early"),
        [MONDAY, MONDAY_LATER],
    ),
    "ahead of its time": (line("2024-05-06 15:00:00", "too early"), [MONDAY]),
    "too long, on two days": (line("2024-05-06 11:00:00", LONG), [MONDAY, TUESDAY]),
    "too long, and no receiver": (line("2024-05-06 11:00:00", LONG, receiver=""), [MONDAY]),
    "good": (line("2024-05-06 11:00:00", "good"), [MONDAY]),
}
FEW_FIELDS, EARLY, TOO_EARLY, TOO_LONG, LONG_AND_BAD, GOOD = (
    bytes(body) for body, _ in LINES.values()
)


def send(lake: Lake, names: Collection[str] = LINES.keys()) -> None:
    """Send each of these lines at its times."""
    admin = AdminClient(librdkafka_options(lake.settings.kafka))
    by_producer = ConfigEntry(
        "message.timestamp.type", "CreateTime", incremental_operation=AlterConfigOpType.SET
    )
    # Years ago is long past the topic's retention.
    for_ever = ConfigEntry("retention.ms", "-1", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(
        ConfigResource.Type.TOPIC, lake.name, incremental_configs=[by_producer, for_ever]
    )
    admin.incremental_alter_configs([resource])[resource].result(timeout=60)
    producer = Producer(
        {
            **librdkafka_options(lake.settings.kafka),
            "message.max.bytes": lake.settings.kafka.max_message_bytes,
        }
    )
    for place, name in enumerate(names):
        body, times = LINES[name]
        for time in times:
            record = event(body, host="chat", file="/logs/chat.log", byteoffset=str(1000 * place))
            producer.produce(lake.name, record, partition=0, timestamp=int(time.timestamp() * 1000))
    assert producer.flush(60) == 0


def quarantine(lake: Lake) -> dict[bytes, str]:
    """Return line and reason of each row of the view."""
    rows = lake.ask(f"SELECT raw_hex, reason FROM {lake.name}.{QUARANTINE_VIEW}")
    found = {bytes.fromhex(raw): reason for raw, reason in rows}
    assert len(found) == len(rows)
    return found


def stored(lake: Lake) -> int:
    """Return the number of rows of the table under the view."""
    [(rows,)] = lake.ask(f"SELECT count(*) FROM {lake.name}.chat_quarantine_rt")
    return rows


def messages(lake: Lake) -> dict[str, str]:
    """Return message and id of each row of the lake."""
    rows = lake.ask(f"SELECT message, message_id FROM {lake.name}.chat_message_rt")
    assert len(dict(rows)) == len(rows)
    return dict(rows)


def recounted(lake: Lake) -> Mapping[str, int]:
    """Return the rejected lines as `verify` counts them."""
    counts: Counter[str] = Counter()
    for (_, reason), lines in verify.lake_answer(lake.ask, lake.settings).quarantined.items():
        counts[reason] += lines
    return counts


def test_a_rejected_line_counts_once_and_is_read_again_once(lake: Lake) -> None:
    lake.env["QIMO_LAKE__MAX_LINE_BYTES"] = "200"
    send(lake)
    lake.finish()
    with HiveResource.from_settings(lake.settings.hive).session() as session:
        session.execute(view_statement(QUARANTINE_VIEW, lake.name))
    assert stored(lake) == 5
    assert quarantine(lake) == {
        FEW_FIELDS: "field_count",
        TOO_EARLY: "time_ahead",
        TOO_LONG: "too_long",
        LONG_AND_BAD: "too_long",
    }
    assert recounted(lake) == {"field_count": 1, "time_ahead": 1, "too_long": 2}
    assert set(messages(lake)) == {"early", "good"}
    query = (
        f"SELECT raw_text, raw_bytes, day, source_offset FROM {lake.name}.{QUARANTINE_VIEW} "
        "WHERE reason = 'field_count'"
    )
    assert lake.ask(query) == [("几个\x01字段", len(FEW_FIELDS), "2024-05-06", 0)]
    [(rejected_id,)] = lake.ask(
        f"SELECT message_id FROM {lake.name}.{QUARANTINE_VIEW} WHERE reason = 'too_long' "
        "AND raw_text LIKE '%B%'"
    )

    # Killed when the good ones are in the lake, and when the others have their new reason: what is
    # in both tables counts once.
    lake.env["QIMO_LAKE__MAX_LINE_BYTES"] = str(2 * len(LONG))
    lake.crash("replay", "after the messages")
    assert set(messages(lake)) == {"early", "good", LONG}
    assert quarantine(lake) == {
        FEW_FIELDS: "field_count",
        TOO_EARLY: "time_ahead",
        LONG_AND_BAD: "too_long",
    }
    lake.crash("replay", "after the commits")
    assert set(messages(lake)) == {"early", "good", LONG}
    assert quarantine(lake) == {
        FEW_FIELDS: "field_count",
        TOO_EARLY: "time_ahead",
        LONG_AND_BAD: "no_receiver",
    }
    for _ in range(2):
        lake.finish("replay")
        assert messages(lake)[LONG] == rejected_id
        assert quarantine(lake) == {
            FEW_FIELDS: "field_count",
            TOO_EARLY: "time_ahead",
            LONG_AND_BAD: "no_receiver",
        }
        assert recounted(lake) == {"field_count": 1, "time_ahead": 1, "no_receiver": 1}
        assert stored(lake) == 4


def test_where_no_line_was_rejected_the_quarantine_is_there_and_empty(lake: Lake) -> None:
    send(lake, ["good"])
    lake.finish()
    assert len(messages(lake)) == 1
    assert stored(lake) == 0
