"""The record of the lines that came again: totals, each written when it changed."""

from __future__ import annotations

from dataclasses import dataclass, field

import dagster as dg
import pytest

from qimo_assets.lake.sent_again import SentAgainReporter, Total

MONDAY, TUESDAY = "2024-04-29", "2024-04-30"


@dataclass
class World:
    """What the stream knows and what was recorded."""

    now: float = 0.0
    totals: dict[tuple[str, str], int] = field(default_factory=dict)
    rows: dict[str, Total] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    writes: int = 0
    is_away: bool = False

    def write(self, rows: list[Total]) -> None:
        if self.is_away:
            raise ConnectionError
        self.writes += 1
        self.rows.update({row[0]: row for row in rows})

    def reporter(self) -> SentAgainReporter:
        return SentAgainReporter(
            dg.AssetKey("again"),
            lambda: self.totals,
            lambda rows: self.write(list(rows)),
            lambda event: self.events.append(str(event.partition)),
            10.0,
            clock=lambda: self.now,
        )


def test_nothing_is_written_while_nothing_comes_again() -> None:
    world = World()
    reporter = world.reporter()
    assert (reporter.report(), reporter.report(at_once=True), world.writes) == (0, 0, 0)


def test_a_total_replaces_the_one_before() -> None:
    world = World(totals={("m", MONDAY): 1})
    reporter = world.reporter()
    assert reporter.report() == 1
    world.totals = {("m", MONDAY): 3, ("q", TUESDAY): 1}
    assert reporter.report() == 0
    world.now += 10
    assert reporter.report() == 2
    assert {row[1:] for row in world.rows.values()} == {(MONDAY, "m", 3), (TUESDAY, "q", 1)}
    assert world.events == [MONDAY, MONDAY, TUESDAY]
    world.now += 10
    assert (reporter.report(), world.writes) == (0, 2)


def test_a_record_that_failed_or_was_made_by_another_run_is_made_again() -> None:
    world = World(totals={("m", MONDAY): 1}, is_away=True)
    reporter = world.reporter()
    with pytest.raises(ConnectionError):
        reporter.report()
    world.is_away = False
    assert reporter.report() == 1
    assert world.reporter().report() == 1
    assert list(world.rows) == ["m:2024-04-29"]
