"""What has to hold before anything is written to a table: this is the only writer, and no instant
of the tables lies ahead of the clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pyspark.sql import SparkSession

from qimo_assets.errors import ConfigurationError, QimoError
from qimo_assets.lake.tables import Table
from qimo_assets.lake.timeline import newest_time, time_of
from qimo_assets.settings import LakeSettings

# A clock that was put right by a time server is behind by less.
PATIENCE = timedelta(seconds=30)
POLL_SECONDS = 0.02


class ClockBehind(ConfigurationError):
    """The clock lies behind what is in the lake: rows written now would be read by nobody. The
    message says by how much and what to do.
    """


@dataclass
class Clock:
    """Sees that times in the timelines only ever grow.

    Hudi puts a file into the slice of its time: one whose time lies before that of a file which is
    there is written without an error and never read.

    Attributes:
        now: The time by which Hudi names instants.
        newest: The newest time that is named so far.
        sleep: Waits some seconds.
    """

    now: Callable[[], datetime]
    newest: datetime | None = None
    sleep: Callable[[float], None] = time.sleep

    def wait(self) -> None:
        """Wait until the newest time has passed.

        Raises:
            ClockBehind: It is too far ahead.
        """
        while self.newest is not None and (behind := self.newest - self.now()) >= timedelta(0):
            if behind > PATIENCE:
                raise ClockBehind(
                    f"The newest instant of the lake is {self.newest:%Y-%m-%d %H:%M:%S}, and this "
                    f"driver's clock is {behind.total_seconds():,.0f} s behind it: what it "
                    "writes would never be read; nothing was written. Put the clock right (time "
                    "and time zone of the driver's machine). If it is right, the instant was "
                    "written by one that was ahead: roll it back with Hudi, or wait until it has "
                    "passed."
                )
            self.sleep(POLL_SECONDS)

    def passed(self) -> None:
        """Remember that something was written by now."""
        now = self.now()
        self.newest = max(now, self.newest or now)


@dataclass
class Fence:
    """Lets a write be done, or keeps it from being done.

    Attributes:
        clock: The clock.
        checks: Each raises what keeps this writer from writing, such as a lost lock.
        refused: What kept a write from being done, the last time that one was.
    """

    clock: Clock
    checks: Sequence[Callable[[], None]] = ()
    refused: QimoError | None = field(default=None, init=False)

    @contextmanager
    def __call__(self) -> Generator[None, None, None]:
        """Hold while something is written."""
        try:
            self.clock.wait()
            for check in self.checks:
                check()
        except QimoError as error:
            # The query that asked ends with a text of Java's.
            self.refused = error
            raise
        try:
            yield
        finally:
            self.clock.passed()


def open_clock(spark: SparkSession, lake: LakeSettings, tables: Iterable[Table]) -> Clock:
    """Return the clock of the driver's JVM, by which Hudi names instants, that knows the newest
    instant of some tables.
    """
    found = [newest_time(spark, table.path(lake)) for table in tables]
    return Clock(lambda: _now(spark), max((time for time in found if time), default=None))


def _now(spark: SparkSession) -> datetime:
    jvm: Any = spark._jvm
    form = jvm.java.time.format.DateTimeFormatter.ofPattern("yyyyMMddHHmmssSSS")
    return time_of(str(jvm.java.time.LocalDateTime.now().format(form)))
