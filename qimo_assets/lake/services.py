"""Table services beside the stream: small files of a day are put together, what deletes and
corrections left in log files is compacted, and files that no reader can have open any more go.

Each batch makes a file or a few of its day. So many of one size become one of the next; a row is
written again a few times in all, whatever the day holds. What is broken off stays written down,
and the next run begins with it.
"""

from __future__ import annotations

import logging
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from pyspark.sql import SparkSession

from qimo_assets.contract import TIMEZONE
from qimo_assets.lake.background import repeated
from qimo_assets.lake.pace import Pace
from qimo_assets.lake.tables import Table, write_options
from qimo_assets.lake.timeline import (
    Kind,
    commits_from,
    exists,
    instant_of,
    news_since,
    pending_services,
)
from qimo_assets.lake.write import Guard, hudi_client
from qimo_assets.settings import LakeSettings
from qimo_assets.timeouts import SERVICE_STOP_SECONDS

logger = logging.getLogger(__name__)

# Spark shares its slots between this pool and that of the batches.
POOL = "services"
# A file that is smaller than a level's limit belongs to it.
LIMITS = (2 * 2**20, 24 * 2**20, 160 * 2**20)
LARGEST = 256 * 2**20
# A day that nothing was written to for so long has its rest put together.
QUIET_SECONDS, REST = 600.0, 4
# A stream is behind while its batches are nearly as large as they may be, and for so long after
# the last one. Putting files together then takes the processors from it that it needs to come up.
FULL, BEHIND_SECONDS = 0.9, 30.0
# Groups of files that Hudi plans at once; it leaves further ones out without a word, by default
# those beyond 30.
MAX_GROUPS = 100_000
# Otherwise it waits for five commits of its own.
COMPACTED = {"hoodie.compact.inline.max.delta.commits": "1"}


@dataclass
class Day:
    """A day's files.

    Attributes:
        files: How many there are of each level.
        appended_at: When rows came last; None once its rest is put together.
    """

    files: list[int] = field(default_factory=lambda: [0] * len(LIMITS))
    appended_at: float | None = None


@dataclass
class Levels:
    """Learns from a table's commits which days have files to be put together.

    Attributes:
        files: So many files of one level are put together.
        clock: Seconds, only ever growing.
    """

    files: int
    clock: Callable[[], float] = time.monotonic
    _days: dict[str, Day] = field(default_factory=dict, init=False)

    def appended(self, files: Mapping[str, Iterable[int]]) -> None:
        """Learn of files with new rows of some days, by their bytes."""
        self.written(files)
        for name in files:
            self._day(name).appended_at = self.clock()

    def written(self, files: Mapping[str, Iterable[int]]) -> None:
        """Learn of files that others became."""
        for name, sizes in files.items():
            for size in sizes:
                if size < LIMITS[-1]:
                    self._day(name).files[bisect_right(LIMITS, size)] += 1

    def due(self, *, is_behind: bool = False) -> dict[int, list[str]]:
        """Return level -> days of which so many files are to be put together, each day once.

        Args:
            is_behind: Whether so many times more are left alone.
        """
        files = self.files**2 if is_behind else self.files
        found: dict[int, list[str]] = {}
        for name, day in self._days.items():
            full = [level for level, number in enumerate(day.files) if number >= files]
            if full:
                found.setdefault(full[-1], []).append(name)
            elif self._is_quiet(day) and sum(day.files) >= REST:
                found.setdefault(len(LIMITS) - 1, []).append(name)
        return found

    def put_together(self, level: int, days: Iterable[str]) -> None:
        """Learn that the files of some days up to a level are put together."""
        for name in days:
            day = self._day(name)
            day.files[: level + 1] = [0] * (level + 1)
            if level + 1 == len(LIMITS):
                day.appended_at = None

    def _day(self, name: str) -> Day:
        return self._days.setdefault(name, Day())

    def _is_quiet(self, day: Day) -> bool:
        return day.appended_at is not None and self.clock() - day.appended_at > QUIET_SECONDS


@dataclass
class Services:
    """The services of one table."""

    spark: SparkSession
    lake: LakeSettings
    table: Table
    guard: Guard
    pace: Pace
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        """Begin as if nothing had been seen."""
        self._levels = Levels(self.pace.files, self.clock)
        self._seen: str | None = None
        self._cleaned_at = self.clock()
        self._corrections = 0
        self._full_at = ""

    def look(self) -> bool:
        """Do what is broken off or due, and return whether files were put together."""
        path = self.table.path(self.lake)
        if not exists(self.spark, path):
            return False
        self.spark.sparkContext.setLocalProperty("spark.scheduler.pool", POOL)
        self.finish()
        for commit in news_since(self.spark, path, self._seen):
            self._seen = commit.completed
            if commit.kind is Kind.APPEND:
                self._levels.appended(commit.files)
            elif commit.kind is Kind.SERVICE:
                self._levels.written(commit.files)
            else:
                self._corrections += 1
            if sum((commit.lines or {}).values()) >= FULL * self.lake.max_lines_per_batch:
                self._full_at = commit.completed
        due = self._levels.due(is_behind=self._full_at > _instant_before(BEHIND_SECONDS))
        for level, days in due.items():
            self.put_together(level, days)
        if self._corrections >= self.pace.corrections:
            self._call("run_compaction", "op => 'scheduleAndExecute'", COMPACTED)
            self._corrections = 0
        if self.clock() - self._cleaned_at > self.pace.clean_seconds:
            self._cleaned_at = self.clock()
            self._clean()
        return bool(due)

    def finish(self) -> None:
        """Do what a run before has begun: nothing can be changed in files that are being put
        together.
        """
        path = self.table.path(self.lake)
        if not exists(self.spark, path):
            return
        pending = pending_services(self.spark, path)
        if pending.compactions:
            self._call("run_compaction", "op => 'execute'")
        if pending.clusterings:
            self._call("run_clustering", "op => 'execute'")

    def put_together(self, level: int, days: list[str]) -> None:
        """Put the files of some days up to a level together."""
        selected = ",".join(f"day={day}" for day in days)
        self._call(
            "run_clustering",
            f"op => 'scheduleAndExecute', selected_partitions => '{selected}'",
            {
                "hoodie.clustering.plan.strategy.small.file.limit": str(LIMITS[level]),
                "hoodie.clustering.plan.strategy.target.file.max.bytes": str(LARGEST),
                "hoodie.clustering.plan.strategy.max.num.groups": str(MAX_GROUPS),
                # Otherwise it waits for so many commits since the last one.
                "hoodie.clustering.inline.max.commits": "1",
                "hoodie.clustering.async.max.commits": "1",
            },
        )
        self._levels.put_together(level, days)

    def _clean(self) -> None:
        """Delete the files that were put together or compacted before any query of now began."""
        path = self.table.path(self.lake)
        news = news_since(self.spark, path, _instant_before(self.pace.readers_minutes * 60))
        # Hudi counts back by the time at which a commit began: one that took long began early.
        earliest = min((commit.instant for commit in news), default=None)
        retained = 1 + (commits_from(self.spark, path, earliest) if earliest else 0)
        options = {
            **write_options(self.table),
            "hoodie.clean.policy": "KEEP_LATEST_COMMITS",
            "hoodie.clean.commits.retained": str(retained),
            "hoodie.clean.trigger.max.commits": "1",
            # Hudi refuses to keep fewer commits than are retained here; nothing is archived now.
            "hoodie.keep.min.commits": str(retained + 1),
            "hoodie.keep.max.commits": str(retained + 2),
        }
        with self.guard(), hudi_client(self.spark, self.lake, self.table, options) as client:
            client.clean()

    def _call(self, procedure: str, arguments: str, more: Mapping[str, str] | None = None) -> None:
        """Call one of Hudi's procedures, unless the guard forbids it."""
        options = ",".join(
            f"{name}={value}"
            for name, value in {
                **write_options(self.table),
                **(more or {}),
                **self.pace.options,
            }.items()
        )
        path = self.table.path(self.lake)
        with self.guard():
            self.spark.sql(
                f"CALL {procedure}(path => '{path}', options => '{options}', {arguments})"
            )


def _instant_before(seconds: float) -> str:
    """Return the instant that names the time so long ago."""
    return instant_of(datetime.now(ZoneInfo(TIMEZONE)) - timedelta(seconds=seconds))


@contextmanager
def serving(services: Iterable[Services], pace: Pace) -> Generator[None, None, None]:
    """Serve tables in a thread of its own until the block ends.

    A run that is stopped waits for the service that is under way, but not for ever.

    Args:
        services: The services of each table.
        pace: How often is looked for what is due.
    """
    own, at_work = list(services), threading.Lock()

    def look() -> None:
        with at_work:
            for one in own:
                try:
                    one.look()
                except Exception:  # the lines go on without it, and it is tried again
                    logger.exception("%s could not be served", one.table.name)

    with repeated(look, pace.look_seconds, "services", SERVICE_STOP_SECONDS):
        yield
