"""The clock before a write: small differences are waited for, larger ones stop the stream."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from qimo_assets.lake.fence import PATIENCE, Clock, ClockBehind, Fence
from qimo_assets.lake.writer_lock import WriterLockHeld

NOON = datetime(2024, 5, 1, 12, tzinfo=timezone.utc)


class World:
    """A clock that a wait moves on."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now
        self.waited = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.waited += seconds

    def clock(self, newest: datetime | None) -> Clock:
        return Clock(lambda: self.now, newest, self.sleep)


def test_a_clock_that_is_ahead_of_the_lake_waits_for_nothing() -> None:
    world = World()
    for newest in (None, NOON - timedelta(milliseconds=1)):
        world.clock(newest).wait()
    assert world.waited == 0


def test_a_small_difference_is_waited_for() -> None:
    world = World()
    world.clock(NOON + timedelta(seconds=5)).wait()
    assert world.now > NOON + timedelta(seconds=5)


def test_a_clock_of_another_time_zone_stops_the_writer() -> None:
    with pytest.raises(ClockBehind, match="28,800 s behind"):
        World().clock(NOON + timedelta(hours=8)).wait()


def test_a_clock_that_is_put_back_while_the_stream_runs_is_seen_before_the_next_write() -> None:
    world = World()
    written: list[datetime] = []
    fence = Fence(world.clock(None))
    with fence():
        world.now += timedelta(seconds=3)
        written.append(world.now)
    world.now -= PATIENCE + timedelta(seconds=1)
    with pytest.raises(ClockBehind), fence():
        written.append(world.now)
    assert len(written) == 1


def test_nothing_is_written_by_a_writer_that_lost_its_lock() -> None:
    def check() -> None:
        raise WriterLockHeld("somebody else writes")

    written: list[int] = []
    fence = Fence(World().clock(None), [check])
    with pytest.raises(WriterLockHeld), fence():
        written.append(1)
    assert not written
    assert str(fence.refused) == "somebody else writes"
