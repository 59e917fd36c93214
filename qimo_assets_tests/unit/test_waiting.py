"""When `verify --wait` recounts: once MySQL shows what the lake holds, or once nothing moves."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest

from qimo_assets import waiting
from qimo_assets.settings import Settings
from qimo_assets.timeouts import VERIFY_STALLED_SECONDS
from qimo_assets.verify import LAKE_TABLE, METRICS, QUARANTINE_TABLE, behind

SETTINGS = cast("Settings", None)
DAY, OLD, NEW = "2026-11-28", "20261128000000000", "20261128000005000"


class World:
    """Stations that move by a clock of their own, and the seconds of what was asked of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.asked: list[float] = []
        self.recounted: list[float] = []
        self.said: list[str] = []
        self.progress: Callable[[float], tuple[dict[str, int], str]] = lambda _: (at(5, 5), "")
        self.published_from = self.right_from = 0.0
        clock = SimpleNamespace(monotonic=lambda: self.now, sleep=self._sleep)
        monkeypatch.setattr(waiting, "time", clock)
        monkeypatch.setattr(waiting, "_progress", lambda _: self.progress(self.now))
        monkeypatch.setattr(waiting.verify, "is_published", self._is_published)
        monkeypatch.setattr(waiting.verify, "verify", self._verify)

    def _sleep(self, seconds: float) -> None:
        self.now += seconds

    def _is_published(self, _: Settings) -> bool:
        self.asked.append(self.now)
        return self.now >= self.published_from

    def _verify(self, _: Settings) -> SimpleNamespace:
        self.recounted.append(self.now)
        return SimpleNamespace(ok=self.now >= self.right_from)

    def wait(self) -> bool:
        """Return what the recount said in the end."""
        return waiting.wait_until_verified(SETTINGS, self.said.append).ok


def at(topic: int, lake: int, unread: int = 0) -> dict[str, int]:
    return {"bytes unread": unread, "topic": topic, "in the lake": lake, "in MySQL": 0}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_it_recounts_as_soon_as_mysql_shows_what_the_lake_holds(world: World) -> None:
    world.progress = lambda now: (at(5, 5 if now >= 10 else 0), f"published {now >= 20}")
    world.published_from = 20
    assert world.wait()
    assert world.recounted == [20]
    # Nothing is asked of the lake while lines are on their way to it, and nothing twice.
    assert world.asked == [10, 20]
    assert world.said == [
        "bytes unread 0 · topic 5 · in the lake 0 · in MySQL 0",
        "bytes unread 0 · topic 5 · in the lake 5 · in MySQL 0",
    ]


def test_lines_that_the_agent_has_not_read_are_waited_for(world: World) -> None:
    world.progress = lambda now: (at(5, 5, 0 if now >= 100 else 7), "")
    assert world.wait()
    assert world.recounted == [100]


def test_a_recount_that_differs_is_repeated_when_something_has_moved(world: World) -> None:
    world.progress = lambda now: (at(5, 5), f"published {now >= 60}")
    world.right_from = 60
    assert world.wait()
    assert world.recounted == [0, 60]


def test_what_is_never_published_is_recounted_once_and_told_at_the_end(world: World) -> None:
    world.published_from = world.right_from = float("inf")
    assert not world.wait()
    first, last = world.recounted
    assert waiting.QUIET_SECONDS < first <= waiting.QUIET_SECONDS + waiting.POLL_SECONDS
    assert VERIFY_STALLED_SECONDS < last <= VERIFY_STALLED_SECONDS + waiting.POLL_SECONDS


def test_a_day_is_behind_where_it_is_older_than_one_of_its_rows() -> None:
    instants = dict.fromkeys(((metric, DAY) for metric in METRICS), OLD)
    assert behind({}, {}) == set()
    assert behind({LAKE_TABLE: {DAY: OLD}}, instants) == set()
    assert behind({LAKE_TABLE: {DAY: NEW}}, instants) == {(metric, DAY) for metric in METRICS}
    assert behind({LAKE_TABLE: {DAY: OLD}}, {}) == {(metric, DAY) for metric in METRICS}
    # Rejected lines are in one metric alone.
    assert behind({QUARANTINE_TABLE: {DAY: NEW}}, instants) == {("data_quality", DAY)}
