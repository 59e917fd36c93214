"""The message contract, read a second time: a line's fields, or the reason why it has none."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from zoneinfo import ZoneInfo

from qimo_assets.settings import LakeSettings
from qimo_assets.verify.metrics import UNKNOWN

ZONE = ZoneInfo("Asia/Shanghai")
# A line of the first servers has 20 fields; that of later ones would have more (docs/schema.md).
FIELD_COUNTS = (20,)
TIME = "%Y-%m-%d %H:%M:%S"
_TIME_SHAPE = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}", re.ASCII)
_DISTANCE_SHAPE = re.compile(r"\d+(\.\d+)?KM", re.ASCII)
_BANDS = ((1, "0-1"), (10, "1-10"), (100, "10-100"), (1000, "100-1000"))
_LAST_BAND = "1000+"


def latest_time(collected: datetime, lake: LakeSettings) -> str:
    """Return the last message time that is not too far ahead of a time of collection; as text it
    orders as the times do.
    """
    return (collected.astimezone(ZONE) + timedelta(minutes=lake.max_ahead_minutes)).strftime(TIME)


def read_line(line: bytes, too_long: int, first: str, latest: str) -> list[str] | str:
    """Return the line's fields, or the reason why it is none of the lake's.

    Args:
        line: The line's bytes, without its end.
        too_long: The most bytes that a line may have.
        first: The first day that there is.
        latest: The last time that is not too far ahead.
    """
    if len(line) > too_long:
        return "too_long"
    try:
        fields = line.decode("utf-8").split("\x01")
    except UnicodeDecodeError:
        return "not_utf8"
    if len(fields) not in FIELD_COUNTS:
        return "field_count"
    if len(fields[0]) != 19 or not _is_time(fields[0]):
        return "bad_time"
    if fields[0] < first:
        return "before_first_day"
    if fields[0] > latest:
        return "time_ahead"
    if not fields[2]:
        return "no_sender"
    if not fields[11]:
        return "no_receiver"
    return [_clock_time(fields[0]), *fields[1:]]


@lru_cache(maxsize=65_536)
def _is_time(text: str) -> bool:
    if not _TIME_SHAPE.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=65_536)
def _clock_time(text: str) -> str:
    """Return the time that a clock in Shanghai showed: where it was put forward, an hour later."""
    moment = datetime.fromisoformat(text).replace(tzinfo=ZONE)
    return moment.astimezone(timezone.utc).astimezone(ZONE).strftime(TIME)


def band(distance: str) -> str:
    """Return the band of a distance as the line gives it."""
    if not _DISTANCE_SHAPE.fullmatch(distance):
        return UNKNOWN
    kilometres = float(distance.removesuffix("KM"))
    return next(
        (name for limit, name in _BANDS if kilometres < limit),
        UNKNOWN if kilometres == float("inf") else _LAST_BAND,
    )
