"""How many lines arrived for each day, kept as rows of a small table.

The lake holds a line once however often it was sent, so it cannot tell how often. Each commit's own
metadata can, until the commit is
archived: what it says is written to `chat_arrival` as one row for a table, a commit and a day. Rows
are made again under the same key after a crash, so that none is counted twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg

from qimo_assets.lake.events import emit_days
from qimo_assets.lake.timeline import REPLAY_BATCH, Commit, summed

# A record is a commit of its own, which takes 1.5 s on a quiet machine and 4 s beside 1,000
# lines/s: after it the reporter rests nine times as long.
RESTS = 9
INSTANT_PREFIX = "instant of "
ARRIVAL_SCHEMA = (
    "arrival_id string, day string, table_name string, batch string, instant string, lines bigint"
)
Arrival = tuple[str, str, str, str, str, int]


@dataclass
class ArrivalReporter:
    """Records the commits of the lake's tables since the last record, at most once in `interval`
    seconds and in a tenth of the time.

    Attributes:
        key: The asset `chat_arrival`.
        find: Table -> its completed commits later than an instant.
        write: Stores rows of `ARRIVAL_SCHEMA`.
        emit: Takes the materialization of each day.
        interval: Least seconds between two records.
        since: Table -> instant up to which its commits are recorded.
        clock: Seconds, only ever growing.
    """

    key: dg.AssetKey
    find: Mapping[str, Callable[[str | None], list[Commit]]]
    write: Callable[[Sequence[Arrival]], None]
    emit: Callable[[dg.AssetMaterialization], None]
    interval: float
    since: dict[str, str | None]
    clock: Callable[[], float] = time.monotonic
    due_at: float | None = field(default=None, init=False)

    def is_due(self) -> bool:
        """Return whether the last record is old enough for the next one."""
        return self.due_at is None or self.clock() >= self.due_at

    def report(self, *, at_once: bool = False) -> int:
        """Record what was committed since the last record; return the number of days that this
        concerns.
        """
        if not at_once and not self.is_due():
            return 0
        began = self.clock()
        commits = {table: self._new_commits(table) for table in self.find}
        lines = summed([commit for of_table in commits.values() for commit in of_table]).rows
        if not lines:
            return 0
        self.write(
            [row for table, of_table in commits.items() for row in arrivals(table, of_table)]
        )
        reached = {
            table: summed(of_table).instant or self.since.get(table)
            for table, of_table in commits.items()
        }
        told = {day: {"lines": number} for day, number in lines.items()}
        emit_days(self.emit, self.key, told, _named(self.since), _named(reached))
        self.since, ended = reached, self.clock()
        self.due_at = ended + max(self.interval, RESTS * (ended - began))
        return len(lines)

    def _new_commits(self, table: str) -> list[Commit]:
        return [
            commit
            for commit in self.find[table](self.since.get(table))
            if commit.batch != REPLAY_BATCH
        ]


def _named(instants: Mapping[str, str | None]) -> dict[str, str | None]:
    return {f"{INSTANT_PREFIX}{table}": instant for table, instant in instants.items()}


def arrivals(table: str, commits: Sequence[Commit]) -> list[Arrival]:
    """Return the rows that commits of a table amount to; a commit that belongs to no micro-batch is
    a batch of its own.
    """
    return [
        (
            f"{table}:{commit.instant}:{day}",
            day,
            table,
            commit.batch or commit.instant,
            commit.instant,
            lines,
        )
        for commit in commits
        for day, lines in sorted((commit.rows if commit.lines is None else commit.lines).items())
    ]
