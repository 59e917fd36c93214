"""age: how old a line is when it is in the topic, queryable in the lake and in MySQL, while lines
flow with everything on.

Nothing is added to the lines or to the stack for it: each moment is one that a system keeps by
itself, all by the clock of this machine.

- **written**: the simulator appends five times a second; after each time the sizes of the files are
  kept. A line was written when the file first was as long as its end; up to 0.2 s earlier in truth,
  which is the simulator's own pace, never later.
- **in the topic**: the broker's time of arrival (`collected_at`), in milliseconds.
- **in the lake**: the time at which HDFS had the file that completes the line's commit, in
  milliseconds. A query that begins then sees the line.
- **in MySQL**: the first look, ten times a second, at which `publication` names an instant not
  older than the line's commit for the line's own day; of `message_total`, and of the last of all
  metrics that follow each change of the messages.

The ages are those of a sample of the good lines, chosen by the hash of their identity. The day has
lines already, and more flow for a while before, unmeasured, so that the stream's and the Thrift
server's code is compiled.
There is no baseline: the figures are held against what users need.
"""

from __future__ import annotations

import math
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks import hdfs
from benchmarks.measure import Figure, percentile
from benchmarks.plans import AgePlan
from benchmarks.testbed import BenchError, Testbed, say, wait_for
from qimo_assets import simulator
from qimo_assets.lake.tables import MESSAGE
from qimo_assets.metrics.catalog import METRICS, TOTAL
from qimo_assets.resources.hive import HiveResource
from qimo_assets.resources.kafka import KafkaResource
from qimo_assets.resources.mysql import MySQLResource
from qimo_assets.settings import Settings
from qimo_assets.source.files import log_files
from qimo_assets.verify import read_metrics
from qimo_assets.views.sql import lake_tables

LATE_SHARE = 0.01
BAD_SHARE = 0.001
POLL_SECONDS = 0.1
# The timeline keeps 60 commits or more, which are minutes of them; memory is slow to change.
SELDOM_SECONDS = 5.0
# The slowest way, of a line that comes just after its day was reported, while a backlog is worked
# off.
PUBLISH_SECONDS = 600
# The lines that the day has before: as many a second as one simulator makes, and the fewest that
# the platform has ever caught up with.
FILL_RATE, SLOWEST_RATE = 20_000, 2_000
SHARES = {"p50": 0.5, "p99": 0.99}
COMPLETED = ".deltacommit"


@dataclass(frozen=True)
class Line:
    """A line of the sample.

    Attributes:
        file: Name of its file.
        offset: Where it begins in it.
        day: The day of its message.
        arrived: Seconds since the epoch at which the broker had it.
        commit: The instant of its commit.
    """

    file: str
    offset: int
    day: str
    arrived: float
    commit: str


@dataclass
class Watched:
    """What was seen while lines flowed.

    Attributes:
        sizes: File -> its sizes after each time of appending.
        times: Seconds since the epoch of each of those times.
        commits: Instant -> seconds since the epoch at which it was complete.
        publications: Metric and day -> the instants that its publications had, in their order, and
            the moment at which each was first seen.
        resident_mb: Memory of all processes at each look, in MiB.
    """

    sizes: dict[str, list[int]] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    commits: dict[str, float] = field(default_factory=dict)
    publications: dict[tuple[str, str], list[tuple[str, float]]] = field(default_factory=dict)
    resident_mb: list[float] = field(default_factory=list)

    def keep_sizes(self, log_dir: Path) -> None:
        """Keep the sizes of the files, right after lines were appended."""
        for path in log_dir.iterdir():
            # A file that is new had no bytes before.
            self.sizes.setdefault(path.name, [0] * len(self.times)).append(path.stat().st_size)
        self.times.append(time.time())

    def keep_publication(self, metric: str, day: str, instant: str, now: float) -> None:
        """Keep a publication, unless it is known."""
        seen = self.publications.setdefault((metric, day), [])
        if instant and (not seen or seen[-1][0] < instant):
            seen.append((instant, now))

    def written(self, line: Line) -> float:
        """Return when a line was written."""
        # The first size that reaches beyond the line's first byte: a file grows by whole lines.
        return self.times[bisect_left(self.sizes[line.file], line.offset + 1)]

    def published(self, line: Line, metric: str) -> float | None:
        """Return when a line was in a metric's table; None before."""
        return next(
            (
                seen
                for instant, seen in self.publications.get((metric, line.day), [])
                if instant >= line.commit
            ),
            None,
        )

    def published_everywhere(self, line: Line) -> float | None:
        """Return when a line was in the last of the tables that follow each change; None before."""
        moments = [self.published(line, metric) for metric in followers()]
        return None if None in moments else max(moment for moment in moments if moment)

    def has_all(self, lines: Sequence[Line]) -> bool:
        """Return whether these lines have been seen everywhere."""
        ends = {(line.day, line.commit): line for line in lines}.values()
        return all(line.commit in self.commits and self.published_everywhere(line) for line in ends)


def run(plan: AgePlan, bed: Testbed) -> Sequence[Figure]:
    """Let lines flow at each rate, one after the other, on the whole stack."""
    bed.qimo("up")
    say("the stack is up")
    try:
        _fill(plan, bed)
        return [
            figure
            for number, (rate, seconds) in enumerate(plan.flows)
            for figure in _at_rate(plan, bed, rate, rate * seconds, plan.seed + 2 * number)
        ]
    finally:
        bed.qimo("down", check=False)


@cache
def followers() -> list[str]:
    """Return the metrics that are made of the messages alone and published at each
    change of them.
    """
    return [
        metric.name
        for metric in METRICS
        if not metric.rest and lake_tables(metric.name) == [MESSAGE.name]
    ]


def _fill(plan: AgePlan, bed: Testbed) -> None:
    """Give the day the lines that it has before, and wait until they are in every metric."""
    settings = bed.settings
    seconds = PUBLISH_SECONDS + plan.day_lines / SLOWEST_RATE
    _feed(settings, plan.day_lines, FILL_RATE, plan.seed - 1, lambda: None)
    say(f"{plan.day_lines:,} lines are written")
    _await_lake(settings, seconds)
    say("they are in the lake")
    newest = max(commits_of(hdfs.written(bed.layout, _timeline(settings))))
    _await_publications(settings)
    wait_for(
        lambda: _day_is_published(settings, newest), seconds, SELDOM_SECONDS, "The day in MySQL"
    )
    say("they are in MySQL")


def _at_rate(plan: AgePlan, bed: Testbed, rate: int, count: int, seed: int) -> list[Figure]:
    settings = bed.settings
    _feed(settings, rate * plan.warm_seconds, rate, seed, lambda: None)
    _await_lake(settings)
    watched = Watched()
    began = time.time()
    watched.keep_sizes(settings.source.log_dir)
    with _watching(bed, settings, watched):
        seconds = _feed(
            settings,
            count,
            rate,
            seed + 1,
            lambda: watched.keep_sizes(settings.source.log_dir),
        )
        say(f"{count / seconds:,.0f} lines/s flowed for {seconds:.0f} s")
        _await_lake(settings)
        lines = read_sample(settings, began, count // plan.sample + 1)
        wait_for(
            lambda: watched.has_all(lines), PUBLISH_SECONDS, SELDOM_SECONDS, "All lines in MySQL"
        )
    found = figures(f"{rate:,} lines/s", lines, watched)
    # The next rate takes long, and may fail.
    for figure in found:
        say(f"{figure.name}: {figure.medians['platform']:.1f} {figure.unit}")
    return found


def figures(name: str, lines: Sequence[Line], watched: Watched) -> list[Figure]:
    """Return the percentiles of the lines' ages at each station, the memory, and how many lines
    they are made of.

    Args:
        name: The rate, for the names of the figures.
        lines: The sample.
        watched: What was seen meanwhile.
    """
    reached: dict[str, Callable[[Line], float | None]] = {
        "in MySQL": lambda line: watched.published(line, TOTAL),
        "in all of MySQL": watched.published_everywhere,
        "in the lake": lambda line: watched.commits[line.commit],
        "in the topic": lambda line: line.arrived,
    }
    written = [watched.written(line) for line in lines]
    found = []
    for station, moment in reached.items():
        ages = [
            (moment(line) or math.inf) - since for line, since in zip(lines, written, strict=True)
        ]
        found += [
            Figure(
                f"age {station}, {label}, at {name}", "s", {"platform": [percentile(ages, share)]}
            )
            for label, share in reversed(SHARES.items())
        ]
    details = {"lines in the sample": float(len(lines)), "commits": float(len(watched.commits))}
    return [
        *found,
        Figure(
            f"resident memory at {name}", "MiB", {"platform": [max(watched.resident_mb)]}, details
        ),
    ]


def read_sample(settings: Settings, since: float, one_of: int) -> list[Line]:
    """Return one of so many lines that arrived since some time, chosen by the hash of their
    identity.

    Args:
        settings: HiveServer2 and the database.
        since: Seconds since the epoch.
        one_of: 1 for all.
    """
    query = (
        "SELECT source_file, source_offset, day, unix_millis(collected_at) AS arrived, "
        "_hoodie_commit_time AS commit_time "
        f"FROM {settings.lake.database}.{MESSAGE.name} WHERE unix_millis(collected_at) >= "
        f"{since * 1000:.0f} AND pmod(hash(message_id), {one_of}) = 0"
    )
    with HiveResource.from_settings(settings.hive).session() as session:
        rows = session.query(query)
    if not rows:
        raise BenchError("None of the lines is in the lake.")
    return [
        Line(
            Path(row["source_file"]).name,
            row["source_offset"],
            row["day"],
            row["arrived"] / 1000,
            row["commit_time"],
        )
        for row in rows
    ]


def commits_of(files: Mapping[str, float]) -> dict[str, float]:
    """Return instant -> time of completion of the delta commits in a timeline's directory: a
    completed one is named by both of its times.
    """
    found = (
        (name.removesuffix(COMPLETED).partition("_"), moment)
        for name, moment in files.items()
        if name.endswith(COMPLETED)
    )
    return {instant: moment for (instant, completed, _), moment in found if completed}


def _feed(
    settings: Settings, lines: int, rate: int, seed: int, on_written: Callable[[], None]
) -> float:
    """Append lines at a rate, and return the seconds that it took."""
    report = simulator.feed(
        settings.source.log_dir,
        lines,
        rate=rate,
        bad=BAD_SHARE,
        late=LATE_SHARE,
        seed=seed,
        on_progress=lambda _: on_written(),
    )
    return report.seconds


def _await_lake(settings: Settings, seconds: float = PUBLISH_SECONDS) -> None:
    """Wait until the files are read and the lake holds what the topic holds."""
    kafka = KafkaResource.from_settings(settings.kafka)

    def stands() -> bool:
        return not sum(file.unread for file in log_files(settings.source)) and not sum(
            partition.lag for partition in kafka.state()
        )

    wait_for(stands, seconds, SELDOM_SECONDS, "All lines in the lake")


def _await_publications(settings: Settings) -> None:
    """Wait until each metric that is watched has been published at all."""

    def published() -> bool:
        tables = read_metrics(settings.mysql)
        return all(tables[metric] for metric in followers())

    wait_for(published, PUBLISH_SECONDS, SELDOM_SECONDS, "The first lines in MySQL")


def _day_is_published(settings: Settings, instant: str) -> bool:
    """Return whether each metric that is watched has been published for its newest day, as of an
    instant or later.
    """
    names = followers()
    query = (
        "SELECT COUNT(*) FROM publication WHERE day = (SELECT MAX(day) FROM publication) "
        f"AND source_instant >= %s AND metric IN ({', '.join(['%s'] * len(names))})"
    )
    with (
        MySQLResource.from_settings(settings.mysql).connect() as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(query, (instant, *names))
        return [(len(names),)] == cursor.fetchall()


@contextmanager
def _watching(bed: Testbed, settings: Settings, watched: Watched) -> Generator[None, None, None]:
    """Look at publications, commits and memory in threads of their own."""
    ended = threading.Event()
    errors: list[BaseException] = []

    def repeat(look: Callable[[], None], pause: float) -> None:
        try:
            while not ended.wait(pause):
                look()
        except Exception as error:  # noqa: BLE001  # told to who ends the watch
            errors.append(error)

    with MySQLResource.from_settings(settings.mysql).connect() as connection:
        looks = {
            lambda: _look_at_publications(connection, watched): POLL_SECONDS,
            lambda: watched.commits.update(
                commits_of(hdfs.written(bed.layout, _timeline(settings)))
            ): SELDOM_SECONDS,
            lambda: watched.resident_mb.append(bed.resident_mb()): SELDOM_SECONDS,
        }
        threads = [
            threading.Thread(target=repeat, args=(look, pause), daemon=True)
            for look, pause in looks.items()
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            for thread in threads:
                thread.join()
    if errors:
        raise BenchError(f"What was measured cannot be looked at: {errors[0]}") from errors[0]


def _look_at_publications(connection: Any, watched: Watched) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT metric, day, source_instant FROM publication")
        now = time.time()
        for metric, day, instant in cursor.fetchall():
            watched.keep_publication(
                metric, day.isoformat() if isinstance(day, date) else day, instant, now
            )
    # The next look is to see what was committed since.
    connection.rollback()


def _timeline(settings: Settings) -> str:
    """Return the directory of the table's timeline, without the file system that holds it."""
    return f"{urlsplit(MESSAGE.path(settings.lake)).path}/.hoodie/timeline"
