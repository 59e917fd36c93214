"""How many commits lie between two compactions of a table: more where a compaction takes long.

A compaction reads and writes all rows of the days that it touches. Done after a fixed number of
commits it takes ever more of the processors as a day fills: after each 20, the median batch of a
day of a million rows grew by 0.27 s in 1,000 commits without a pause (p 0.00001); so it does not
(0.003 s, p 0.49).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from qimo_assets.lake.tables import COMPACTED_AFTER, Table

# Of the time, at most.
SHARE = 0.25
# Each is a log file in each bucket, which a query opens in about 10 ms.
MOST_COMMITS = 200
# Who reads a day holds the rows of its log files, in memory as far as it goes. So many, 20 of the
# largest batches, went through a backlog's compactions.
MOST_LINES = 1_000_000


@dataclass
class Cadence:
    """Learns from the commits and compactions of each table when the next compaction is due.

    Attributes:
        clock: Seconds, only ever growing.
    """

    clock: Callable[[], float] = time.monotonic
    _lines: dict[Table, int] = field(default_factory=dict, init=False)
    _wanted: dict[Table, int] = field(default_factory=dict, init=False)
    _began: dict[Table, float] = field(default_factory=dict, init=False)

    def commits(self, table: Table) -> int:
        """Return after how many commits since the last compaction of a table the next
        one is due.
        """
        most = min(MOST_COMMITS, MOST_LINES // max(self._lines.get(table, 0), 1))
        return max(min(self._wanted.get(table, COMPACTED_AFTER), most), COMPACTED_AFTER)

    def committing(self, table: Table, lines: int) -> None:
        """Learn how many lines a commit has."""
        self._lines[table] = lines

    def compacted(self, table: Table, began: float) -> None:
        """Learn from a compaction that has just ended.

        Args:
            table: The table.
            began: What the clock said when it began.
        """
        last, self._began[table] = self._began.get(table), began
        # The first one of a run tells nothing of the pace of the commits.
        if last is not None:
            seconds_per_commit = (began - last) / self.commits(table)
            self._wanted[table] = math.ceil((self.clock() - began) / SHARE / seconds_per_commit)
