"""Tells readers how many lines came again: the totals that the stream knows, as rows of a small
table.

Each row is a total and replaces the one before, so a record that is made twice, late or by another
run is right.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg

from qimo_assets.lake.events import emit_days

SENT_AGAIN_SCHEMA = "again_id string, day string, table_name string, lines bigint"
# Id, day, table and lines.
Total = tuple[str, str, str, int]
# Table and day -> lines.
Totals = Mapping[tuple[str, str], int]


@dataclass
class SentAgainReporter:
    """Records the totals that have changed, at most once in `interval` seconds.

    Attributes:
        key: The asset `chat_sent_again`.
        totals: What the stream knows.
        write: Stores rows of `SENT_AGAIN_SCHEMA`.
        emit: Takes the materialization of each day.
        interval: Least seconds between two records.
        told: What the table holds.
        clock: Seconds, only ever growing.
    """

    key: dg.AssetKey
    totals: Callable[[], Totals]
    write: Callable[[Sequence[Total]], None]
    emit: Callable[[dg.AssetMaterialization], None]
    interval: float
    told: dict[tuple[str, str], int] = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic
    _reported_at: float | None = field(default=None, init=False)

    def is_due(self) -> bool:
        """Return whether the last record is old enough for the next one."""
        return self._reported_at is None or self.clock() - self._reported_at >= self.interval

    def report(self, *, at_once: bool = False) -> int:
        """Record the totals that are not recorded yet; return the number of days they are of."""
        if not at_once and not self.is_due():
            return 0
        changed = {of: lines for of, lines in self.totals().items() if self.told.get(of) != lines}
        if not changed:
            return 0
        self.write([(f"{table}:{day}", day, table, n) for (table, day), n in changed.items()])
        days: dict[str, dict[str, int]] = {}
        for (table, day), lines in changed.items():
            days.setdefault(day, {})[table] = lines
        emit_days(self.emit, self.key, days, {}, {})
        self.told.update(changed)
        self._reported_at = self.clock()
        return len(days)
