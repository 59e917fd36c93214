"""The times of the lines: over days as people write, or the present at a steady rate."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import accumulate
from random import Random
from zoneinfo import ZoneInfo

from qimo_assets.contract import TIMEZONE
from qimo_assets.simulator.tables import TABLES

ZONE = ZoneInfo(TIMEZONE)
TIME = "%Y-%m-%d %H:%M:%S"
CHUNK_LINES = 10_000
TICK_SECONDS = 0.2
_MINUTES_SECONDS = tuple(f"{second // 60:02d}:{second % 60:02d}" for second in range(3600))


def spread(random: Random, lines: int, start: datetime, end: datetime) -> Iterator[list[str]]:
    """Yield the times of all lines in order, in chunks, between start and end, more by day than by
    night.
    """
    hours = list(_hours(start, end))
    bounds = list(
        accumulate(
            TABLES["hour_weights"][opened.hour] * (until - since) for opened, since, until in hours
        )
    )
    prefixes = [opened.strftime("%Y-%m-%d %H:") for opened, _, _ in hours]
    step = bounds[-1] / max(lines, 1)
    hour, lower = 0, 0.0
    for first in range(0, lines, CHUNK_LINES):
        times = []
        for number in range(first, min(first + CHUNK_LINES, lines)):
            point = (number + random.random()) * step
            while point >= bounds[hour] and hour < len(hours) - 1:
                lower = bounds[hour]
                hour += 1
            _, since, until = hours[hour]
            share = min((point - lower) / (bounds[hour] - lower), 1.0)
            times.append(
                prefixes[hour] + _MINUTES_SECONDS[min(int(since + share * (until - since)), 3599)]
            )
        yield times


def _hours(start: datetime, end: datetime) -> Iterator[tuple[datetime, float, float]]:
    """Yield each hour of the clock between start and end with the seconds of it that lie between
    them.
    """
    opened = start.replace(minute=0, second=0, microsecond=0)
    while opened < end:
        since = max((start - opened).total_seconds(), 0.0)
        until = min((end - opened).total_seconds(), 3600.0)
        yield opened, since, until
        opened += timedelta(hours=1)


def paced(lines: int, rate: float) -> Iterator[list[str]]:
    """Yield the present time once for each line that is due, `rate` lines per second."""
    started, done = time.monotonic(), 0
    while done < lines:
        due = min(int((time.monotonic() - started) * rate), lines, done + CHUNK_LINES)
        if due > done:
            yield [datetime.now(ZONE).strftime(TIME)] * (due - done)
            done = due
        else:
            next_line = started + (done + 1) / rate - time.monotonic()
            time.sleep(max(next_line, TICK_SECONDS))
