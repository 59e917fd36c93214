"""The published metrics as they should be: each one's columns, a second time."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import Any

UNKNOWN = "未知"
OTHERS = "其他"
MAX_TEXTS = 100
QUALITY = "data_quality"
TOP_ACCOUNTS = 100
WEEK_DAYS, MONTH_DAYS = 7, 30
TEXT_LENGTH = 191

Row = tuple[Any, ...]
Table = dict[Row, Row]

# Each metric's columns: those of its grain after the day, and its measures.
METRICS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "message_total": ((), ("messages", "senders", "receivers", "pairs")),
    "message_hourly": (("hour",), ("messages", "senders", "receivers")),
    "sender_province": (("country", "province"), ("messages", "users")),
    "receiver_province": (("country", "province"), ("messages", "users")),
    "sender_top": (("rank",), ("account", "nickname", "messages")),
    "receiver_top": (("rank",), ("account", "nickname", "messages")),
    "sex_pair": (("sender_sex", "receiver_sex"), ("messages",)),
    "phone_type": (("phone_type",), ("messages", "senders")),
    "os": (("os",), ("messages", "senders")),
    "network": (("network",), ("messages", "senders")),
    "message_type": (("msg_type",), ("messages", "senders")),
    "distance_band": (("band",), ("messages",)),
    "active_user": ((), ("daily", "weekly", "monthly", "new", "returning_next_day")),
    "data_quality": (
        (),
        (
            *(
                "lines",
                "rows",
                "quarantined_too_long",
                "quarantined_not_utf8",
                "quarantined_field_count",
                "quarantined_bad_time",
                "quarantined_before_first_day",
            ),
            *(
                "quarantined_time_ahead",
                "quarantined_no_sender",
                "quarantined_no_receiver",
                "sent_again",
                "late",
                "age_p50",
                "age_p99",
            ),
        ),
    ),
}


def masked(name: str, table: Table) -> Table:
    """Return a table with its accounts as they are published under `mysql.mask_accounts`."""
    measures = METRICS[name][1]
    if "account" not in measures:
        return table
    at = measures.index("account")
    return {key: (*row[:at], _mask(row[at]), *row[at + 1 :]) for key, row in table.items()}


def _mask(account: str) -> str:
    return f"{account[:3]}****{account[-4:]}" if len(account) > 7 else f"{account[:1]}****"


def published_texts(table: Table) -> Table:
    """Return a table with its texts as MySQL has room for them."""
    return {tuple(map(_text, key)): tuple(map(_text, row)) for key, row in table.items()}


@lru_cache(maxsize=65_536)
def _text(value: Any) -> Any:
    """Return a text that is longer than a column as its beginning and a hash of the whole; one of
    just that form and length is no other's beginning and hash.
    """
    if not isinstance(value, str) or len(value) < TEXT_LENGTH:
        return value
    beginning, hashed = TEXT_LENGTH - 33, 32
    if len(value) == TEXT_LENGTH and value[beginning] != "…":
        return value
    return f"{value[:beginning]}…{sha256(value.encode()).hexdigest()[:hashed]}"
