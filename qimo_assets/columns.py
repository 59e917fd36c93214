"""What the columns of the lake and of the views are called in both languages, as Dagster shows
them. A column that is not named here has its Chinese comment and its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import dagster as dg

from qimo_assets.contract import FIELDS


@dataclass(frozen=True)
class Words:
    """A column in words.

    Attributes:
        type: Its type in Spark SQL.
        en: English description.
        zh: Chinese description, where neither the contract nor a view has one.
    """

    type: str
    en: str
    zh: str = ""


_PARTIES = {"sender": "发件人", "receiver": "收件人"}
_OF_PARTY = {
    "nickname": ("string", "name that the {} showed", ""),
    "account": ("string", "account of the {}", ""),
    "sex": ("string", "sex of the {}; empty when unknown", ""),
    "ip": ("string", "IP address of the {}", ""),
    "os": ("string", "operating system of the {}", ""),
    "phone_type": ("string", "phone of the {}", ""),
    "network": ("string", "network of the {}", ""),
    "longitude": ("double", "longitude of the {}", ""),
    "latitude": ("double", "latitude of the {}", ""),
    "country": ("string", "country of the {}'s IP address", "国家"),
    "province": ("string", "province of the {}'s IP address", "省份"),
    "city": ("string", "city of the {}'s IP address", "城市"),
}
WORDS: dict[str, Words] = {
    "message_id": Words("string", "identity of the physical line", "行标识"),
    "day": Words("string", "day, in Shanghai; the partition", "日期(分区, yyyy-MM-dd)"),
    "hour": Words("int", "hour of the day, 0 to 23", "小时(0-23)"),
    "msg_time": Words("timestamp", "time of the message"),
    **{
        f"{party}_{name}": Words(kind, en.format(party), zh and f"{party_zh}{zh}")
        for party, party_zh in _PARTIES.items()
        for name, (kind, en, zh) in _OF_PARTY.items()
    },
    "msg_type": Words("string", "kind of the message"),
    "distance": Words("double", "kilometres between the two"),
    "message": Words("string", "text of the message"),
    "reason": Words("string", "why the line was rejected", "拒收原因"),
    "raw": Words("binary", "bytes of the line", "原始行字节"),
    "raw_text": Words("string", "the line as text"),
    "raw_hex": Words("string", "bytes of the line in hexadecimal digits"),
    "raw_bytes": Words("int", "length of the line in bytes"),
    "source_host": Words("string", "host of the log file", "来源主机"),
    "source_file": Words("string", "path of the log file", "来源文件"),
    "source_offset": Words("bigint", "offset of the line in its file", "来源文件中的字节偏移"),
    "source_id": Words("string", "identity of the log file", "来源文件标识"),
    "kafka_partition": Words("int", "partition of the topic", "Kafka分区"),
    "kafka_offset": Words("bigint", "offset in the partition", "Kafka偏移"),
    "collected_at": Words("timestamp", "arrival in Kafka", "采集时间"),
    "written_at": Words("timestamp", "arrival in the lake", "入湖时间"),
    "again_id": Words("string", "table and day", "表与日期"),
    "table_name": Words("string", "table that was written to", "写入的表"),
    "lines": Words("bigint", "lines", "行数"),
    "rows": Words("bigint", "lines in the lake"),
    "sent_again": Words("bigint", "lines that came again"),
    "late": Words("bigint", "lines that came after their day"),
    "age_p50": Words("double", "median seconds from sending to the lake"),
    "age_p99": Words("double", "seconds from sending to the lake, 99th percentile"),
    "messages": Words("bigint", "messages"),
    "senders": Words("bigint", "distinct accounts that sent"),
    "receivers": Words("bigint", "distinct accounts that were written to"),
    "pairs": Words("bigint", "distinct pairs of sender and receiver"),
    "users": Words("bigint", "distinct accounts"),
    "daily": Words("bigint", "accounts that sent on the day"),
    "weekly": Words("bigint", "accounts that sent in the 7 days up to it"),
    "monthly": Words("bigint", "accounts that sent in the 30 days up to it"),
    "new": Words("bigint", "accounts that never sent before"),
    "returning_next_day": Words("bigint", "accounts that sent again the next day"),
    "rank": Words("int", "rank, 1 to 100"),
    "account": Words("string", "account"),
    "nickname": Words("string", "name that was shown last on the day"),
    "country": Words("string", "country of the IP address"),
    "province": Words("string", "province of the IP address"),
    "os": Words("string", "operating system of the sender"),
    "network": Words("string", "network of the sender"),
    "phone_type": Words("string", "phone of the sender"),
    "band": Words("string", "band of distances in kilometres, its lower end included"),
}
OF_FIELDS = {name: zh for field in FIELDS for name, zh in field.columns.items()}


def column_schema(columns: Mapping[str, str] | Iterable[str]) -> dict[str, dg.TableSchema]:
    """Return the metadata that describes the columns of a table in both languages.

    Args:
        columns: Names in their order, with their Chinese descriptions where a statement has them.
    """
    given = dict(columns) if isinstance(columns, Mapping) else dict.fromkeys(columns, "")
    described = [_column(name, zh) for name, zh in given.items()]
    return {"dagster/column_schema": dg.TableSchema(columns=described)}


def english(name: str) -> str:
    """Return what a column is called in English."""
    return _words(name).en


def _column(name: str, zh: str) -> dg.TableColumn:
    words = _words(name)
    return dg.TableColumn(
        name, words.type, in_both(words.en, zh or OF_FIELDS.get(name) or words.zh)
    )


def _words(name: str) -> Words:
    rejected = name.removeprefix("quarantined_")
    if rejected != name:
        return Words("bigint", f"rejected lines: {rejected.replace('_', ' ')}")
    return WORDS.get(name) or Words("string", name.replace("_", " "))


def in_both(en: str, zh: str) -> str:
    """Return a description in English and Chinese; the one there is where the other is missing."""
    return " · ".join(text for text in (en, zh) if text)
