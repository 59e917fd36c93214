"""What Hudi's own timeline says: which days were touched since an instant. Read through the
driver's JVM, without a scan.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import Any
from zoneinfo import ZoneInfo

from py4j.java_gateway import JavaClass
from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from qimo_assets.contract import TIMEZONE

PARTITION_PREFIX = "day="
INSTANT_FORMAT = "%Y%m%d%H%M%S"
# Options that begin with an underscore are kept in the commit's own metadata.
BATCH_OPTION = "_qimo_batch"
# A data file's day and commit: `day=DAY/ID_TOKEN_INSTANT.parquet`, `day=DAY/.ID_INSTANT.log.1`.
MADE = re.compile(rf"/{PARTITION_PREFIX}(?P<day>[^/]+)/.*_(?P<instant>\d{{17}})\.")
# Day -> lines of the batch that were new to the table.
LINES_OPTION = "_qimo_lines"
# Day -> reason -> lines that the batch had for it, in the commits of the quarantine.
REASONS_OPTION = "_qimo_reasons"
# Place -> ranges of the lines of the batch.
PLACES_OPTION = "_qimo_places"
# How often commits are read that are archived meanwhile; forty are archived at once.
TRIES = 3
# The name of a batch that no line arrived with.
REPLAY_BATCH = "replay"


class Kind(str, Enum):
    """What a commit did to the rows of its days."""

    APPEND = "append"
    CORRECTION = "correction"
    DELETE = "delete"
    SERVICE = "service"


# Hudi's name of an operation -> what it does. Any other moves rows and changes none.
KINDS = {
    "BULK_INSERT": Kind.APPEND,
    "INSERT": Kind.APPEND,
    "UPSERT": Kind.CORRECTION,
    "DELETE": Kind.DELETE,
}


@dataclass(frozen=True)
class Commit:
    """One completed commit.

    Attributes:
        instant: Its time in the timeline, when it began, which orders commits.
        batch: The micro-batch that it wrote; a batch that was written again after a crash has a
            commit more. Empty for other writers.
        rows: Day -> rows written to it.
        lines: Day -> lines that the rows were made of; None where the commit does not tell.
        reasons: Day -> lines by reason; empty for messages, and where the commit does not tell.
        completed: The time at which its rows could be read, which orders incremental reads.
        kind: What it did.
        files: Day -> bytes of each file that it made.
        places: Where the lines of its batch stood.
    """

    instant: str
    batch: str
    rows: dict[str, int]
    lines: dict[str, int] | None = None
    reasons: dict[str, dict[str, int]] = field(default_factory=dict)
    completed: str = ""
    kind: Kind = Kind.CORRECTION
    files: dict[str, list[int]] = field(default_factory=dict)
    places: dict[str, list[list[int]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Touched:
    """The days that commits after some instant wrote to.

    Attributes:
        rows: Day -> rows written to it.
        instant: The newest of those commits; None when there was none.
        reasons: Day -> rejected lines by reason, where the commits tell.
    """

    rows: dict[str, int]
    instant: str | None
    reasons: dict[str, dict[str, int]] = field(default_factory=dict)


def news_since(spark: SparkSession, path: str, completed: str | None) -> list[Commit]:
    """Return the commits of a table that completed later than an instant, services included, in the
    order of their completion.

    Args:
        spark: A session with Hudi's classes.
        path: The table's base path.
        completed: A commit's time of completion; None asks for all that the active timeline holds.
    """
    if not exists(spark, path):
        return []
    _, commits = read_commits(
        spark,
        path,
        lambda timeline: (
            timeline.findInstantsModifiedAfterByCompletionTime(completed) if completed else timeline
        ),
    )
    return sorted(commits, key=lambda commit: commit.completed)


def touched_days(spark: SparkSession, path: str, since: str | None) -> Touched:
    """Return the days written by commits later than `since` (None: by all that the active
    timeline holds).

    Where commits between `since` and the active timeline were archived, as after a crash while
    nothing could be reported for 60 commits, each day with a file that is younger than `since`
    counts as touched.
    """
    if not exists(spark, path):
        return Touched({}, None)
    timeline, commits = _later_than(spark, path, since)
    found = summed(commits)
    if since is None or not timeline.isBeforeTimelineStarts(since):
        return found
    return replace(found, rows={**dict.fromkeys(_days_after(spark, path, since), 0), **found.rows})


def summed(commits: Sequence[Commit]) -> Touched:
    """Return what some commits touched together."""
    rows: Counter[str] = Counter()
    reasons: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for commit in commits:
        rows.update(commit.rows)
        for day, lines in commit.reasons.items():
            reasons[day].update(lines)
    return Touched(
        dict(rows),
        max((commit.instant for commit in commits), default=None),
        {day: dict(lines) for day, lines in reasons.items()},
    )


def together(first: Touched, then: Touched) -> Touched:
    """Return what was touched by two rows of commits, one after the other."""
    days = {**first.reasons, **then.reasons}
    return Touched(
        {
            day: first.rows.get(day, 0) + then.rows.get(day, 0)
            for day in {**first.rows, **then.rows}
        },
        then.instant or first.instant,
        {
            day: dict(Counter(first.reasons.get(day, {})) + Counter(then.reasons.get(day, {})))
            for day in days
        },
    )


def completed_commits(spark: SparkSession, path: str) -> list[Commit]:
    """Return the completed commits of the active timeline, oldest first, but for services; none
    where there is no table yet.
    """
    return _later_than(spark, path, None)[1] if exists(spark, path) else []


def read_commits(
    spark: SparkSession, path: str, chosen: Callable[[Any], Any]
) -> tuple[Any, list[Commit]]:
    """Return the timeline of a table's completed commits, and some of the commits.

    A commit may be archived between the look at the timeline and its reading; then both are done
    again.

    Args:
        spark: A session with Hudi's classes.
        path: The table's base path.
        chosen: Returns the part of a timeline of which the commits are read.
    """
    tries = TRIES
    while True:
        tries -= 1
        timeline = _completed(spark, path)
        try:
            instants = chosen(timeline).getInstants()
            return timeline, [_commit(timeline, instant) for instant in instants]
        except Py4JJavaError as error:
            if not tries or "FileNotFoundException" not in str(error):
                raise


@dataclass(frozen=True)
class Pending:
    """Services that are scheduled and not completed.

    Attributes:
        compactions: When each compaction was scheduled, in seconds since the epoch.
        clusterings: When each clustering was.
    """

    compactions: list[float]
    clusterings: list[float]

    @property
    def planned_at(self) -> list[float]:
        """When each of them was scheduled."""
        return self.compactions + self.clusterings


def pending_services(spark: SparkSession, path: str) -> Pending:
    """Return what is scheduled for a table and not completed; nothing where there is no table
    yet.
    """
    if not exists(spark, path):
        return Pending([], [])
    timeline = _active_timeline(spark, path)
    return Pending(
        _planned_at(timeline.filterPendingCompactionTimeline()),
        _planned_at(timeline.filterPendingClusteringTimeline()),
    )


def _planned_at(timeline: Any) -> list[float]:
    return [time_of(instant.requestedTime()).timestamp() for instant in timeline.getInstants()]


def instant_of(time: datetime) -> str:
    """Return the instant that names a time."""
    local = time.astimezone(ZoneInfo(TIMEZONE))
    return f"{local.strftime(INSTANT_FORMAT)}{local.microsecond // 1000:03d}"


def newest_commit(spark: SparkSession, path: str) -> str | None:
    """Return the instant of a table's newest completed commit."""
    newest = _completed(spark, path).lastInstant()
    return str(newest.get().requestedTime()) if newest.isPresent() else None


def has_commits(spark: SparkSession, path: str) -> bool:
    """Return whether a table stands at this path and was written to; one whose first write was
    broken off has no columns.
    """
    return exists(spark, path) and newest_commit(spark, path) is not None


def commits_from(spark: SparkSession, path: str, instant: str) -> int:
    """Return how many completed commits of the active timeline began at an instant or later."""
    return int(_completed(spark, path).findInstantsAfterOrEquals(instant).countInstants())


def starts_after(spark: SparkSession, path: str, instant: str) -> bool:
    """Return whether commits later than an instant may have been archived."""
    return bool(_completed(spark, path).isBeforeTimelineStarts(instant))


def newest_time(spark: SparkSession, path: str) -> datetime | None:
    """Return the newest time that a table's timeline names, of any action and state; None where
    there is none.
    """
    if not exists(spark, path):
        return None
    instants = list(_active_timeline(spark, path).getInstants())
    named = [instant.requestedTime() for instant in instants] + [
        instant.getCompletionTime() for instant in instants if instant.getCompletionTime()
    ]
    return time_of(max(named)) if named else None


def time_of(instant: str) -> datetime:
    """Return the time that an instant names: Shanghai's, to the millisecond."""
    seconds = datetime.strptime(instant[:14], INSTANT_FORMAT)
    return seconds.replace(microsecond=int(instant[14:17]) * 1000, tzinfo=ZoneInfo(TIMEZONE))


def exists(spark: SparkSession, path: str) -> bool:
    """Return whether a table stands at this path: what it is was written to its end."""
    properties = hadoop_path(spark, f"{path}/.hoodie/hoodie.properties*")
    found = file_system(spark, path).globStatus(properties) or []
    return any(status.getLen() for status in found)


def forget_unmade(spark: SparkSession, path: str) -> None:
    """Delete what a writer has left that was killed while it made a table: Hudi makes the
    directories first and writes last what the table is, and refuses one that is in between.
    """
    files, root = file_system(spark, path), hadoop_path(spark, path)
    if exists(spark, path) or not files.exists(root):
        return
    if [str(status.getPath().getName()) for status in files.listStatus(root)] == [".hoodie"]:
        files.delete(root, True)


def _completed(spark: SparkSession, path: str) -> Any:
    # Not the delta commits alone: the bulk insert that makes a table is a plain commit.
    return _active_timeline(spark, path).getCommitsTimeline().filterCompletedInstants()


def _later_than(spark: SparkSession, path: str, since: str | None) -> tuple[Any, list[Commit]]:
    """Return the timeline and its commits later than an instant, oldest first, but for services."""
    timeline, commits = read_commits(
        spark, path, lambda timeline: timeline.findInstantsAfter(since) if since else timeline
    )
    of_lines = [commit for commit in commits if commit.kind is not Kind.SERVICE]
    return timeline, sorted(of_lines, key=lambda commit: commit.instant)


def _commit(timeline: Any, instant: Any) -> Commit:
    # As one text: looked through from here, each step of it was a call and each end of a Java
    # iterator an exception, 70 ms a commit.
    metadata = json.loads(timeline.readCommitMetadata(instant).toJsonString())
    stats, told = metadata["partitionToWriteStats"], metadata["extraMetadata"]
    rows = {
        day.removeprefix(PARTITION_PREFIX): sum(stat["numWrites"] for stat in of_day)
        for day, of_day in stats.items()
    }
    lines: dict[str, int] | None = json.loads(told[LINES_OPTION]) if LINES_OPTION in told else None
    # The commit that makes a table has a day and no row.
    rows = {**dict.fromkeys(lines or {}, 0), **rows}
    return Commit(
        instant.requestedTime(),
        told.get(BATCH_OPTION, ""),
        rows,
        lines,
        json.loads(told.get(REASONS_OPTION, "{}")),
        instant.getCompletionTime(),
        KINDS.get(metadata["operationType"], Kind.SERVICE),
        {
            day.removeprefix(PARTITION_PREFIX): [stat["fileSizeInBytes"] for stat in of_day]
            for day, of_day in stats.items()
        },
        json.loads(told.get(PLACES_OPTION, "{}")),
    )


def _days_after(spark: SparkSession, path: str, since: str) -> set[str]:
    found = file_system(spark, path).globStatus(hadoop_path(spark, f"{path}/{PARTITION_PREFIX}*/*"))
    return days_after([str(status.getPath().toString()) for status in found or ()], since)


def days_after(files: Iterable[str], since: str) -> set[str]:
    """Return the days with a data file that a commit later than `since` made.

    Args:
        files: Paths of a table's data files, of base files and of log files.
        since: An instant.
    """
    made = (MADE.search(file) for file in files)
    return {found["day"] for found in made if found and found["instant"] > since}


def file_system(spark: SparkSession, path: str) -> Any:
    """Return the Hadoop file system that holds a path."""
    return hadoop_path(spark, path).getFileSystem(_configuration(spark))


def _active_timeline(spark: SparkSession, path: str) -> Any:
    return meta_client(spark, path).getActiveTimeline()


def meta_client(spark: SparkSession, path: str) -> Any:
    """Return what Hudi knows of the table at this path, read anew."""
    storage = _java(spark, "org.apache.hudi.hadoop.fs.HadoopFSUtils").getStorageConf(
        _configuration(spark)
    )
    return (
        _java(spark, "org.apache.hudi.common.table.HoodieTableMetaClient")
        .builder()
        .setBasePath(path)
        .setConf(storage)
        .build()
    )


def hadoop_path(spark: SparkSession, path: str) -> Any:
    """Return a path as Hadoop's file systems take it."""
    return _java(spark, "org.apache.hadoop.fs.Path")(path)


def _configuration(spark: SparkSession) -> Any:
    jsc: Any = spark._jsc
    return jsc.hadoopConfiguration()


def _java(spark: SparkSession, name: str) -> Any:
    """Return a Java class by its full name; asked for part by part, each part is looked for in
    every jar (1.1 ms instead of 0.3).
    """
    jvm: Any = spark._jvm
    return JavaClass(name, jvm._gateway_client)
