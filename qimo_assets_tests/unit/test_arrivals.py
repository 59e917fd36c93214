"""What arrived, commit by commit: each commit is recorded once per day, also after a report that
was broken off.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import dagster as dg
import pytest

from qimo_assets.lake.arrivals import Arrival, ArrivalReporter, arrivals
from qimo_assets.lake.reporter import last_instant
from qimo_assets.lake.timeline import Commit

MONDAY, TUESDAY = "2024-04-29", "2024-04-30"
KEY = dg.AssetKey(["hudi", "chat_arrival"])
NO_INSTANTS: dict[str, str | None] = {"m": None, "q": None}


class World:
    """Two tables' commits, the rows that were stored under their key, the events, and a clock."""

    def __init__(self) -> None:
        self.now = 100.0
        self.write_seconds = 0.0
        self.commits: dict[str, list[Commit]] = {"m": [], "q": []}
        self.rows: dict[str, Arrival] = {}
        self.events: list[dg.AssetMaterialization] = []
        self.storage_is_away = False

    def write(self, rows: Sequence[Arrival]) -> None:
        self.now += self.write_seconds
        self.rows |= {row[0]: row for row in rows}

    def emit(self, event: dg.AssetMaterialization) -> None:
        if self.storage_is_away:
            raise ConnectionError("the storage is away")
        self.events.append(event)

    def reporter(self, since: dict[str, str | None] | None = None) -> ArrivalReporter:
        find = {table: partial(self.later, table) for table in self.commits}
        return ArrivalReporter(
            KEY, find, self.write, self.emit, 30, since or NO_INSTANTS, clock=lambda: self.now
        )

    def later(self, table: str, since: str | None) -> list[Commit]:
        return [commit for commit in self.commits[table] if since is None or commit.instant > since]

    def lines(self) -> dict[tuple[str, str], int]:
        """Return the lines of each table and day."""
        found: dict[tuple[str, str], int] = {}
        for _, day, table, _, _, lines in self.rows.values():
            found[table, day] = found.get((table, day), 0) + lines
        return found


@pytest.fixture
def world() -> World:
    world = World()
    world.commits["m"] = [
        Commit("1", "a:0", {MONDAY: 5, TUESDAY: 2}),
        Commit("3", "a:1", {TUESDAY: 1}),
    ]
    world.commits["q"] = [Commit("2", "a:0", {TUESDAY: 7})]
    return world


def test_each_commit_is_one_row_for_each_of_its_days(world: World) -> None:
    assert world.reporter().report() == 2
    assert world.lines() == {("m", MONDAY): 5, ("m", TUESDAY): 3, ("q", TUESDAY): 7}
    assert {(event.partition, event.metadata["lines"].value) for event in world.events} == {
        (MONDAY, 5),
        (TUESDAY, 10),
    }


def test_only_new_commits_are_recorded_and_no_sooner_than_the_interval(world: World) -> None:
    reporter = world.reporter()
    reporter.report()
    world.commits["m"].append(Commit("4", "a:2", {MONDAY: 1}))
    assert reporter.report() == 0
    world.now += 30
    assert reporter.report() == 1
    assert world.lines()["m", MONDAY] == 6
    world.now += 30
    assert reporter.report() == 0
    assert len(world.events) == 3


def test_a_record_that_takes_long_is_made_less_often(world: World) -> None:
    world.write_seconds = 5
    reporter = world.reporter()
    reporter.report()
    world.now += 44
    assert not reporter.is_due()
    world.now += 1
    assert reporter.is_due()


def test_a_report_that_was_broken_off_counts_nothing_twice(world: World) -> None:
    reporter = world.reporter()
    world.storage_is_away = True
    with pytest.raises(ConnectionError):
        reporter.report()
    before = world.lines()
    world.storage_is_away = False
    assert reporter.report() == 2
    assert world.lines() == before


def test_the_next_run_begins_where_the_events_end(world: World) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        reporter = world.reporter()
        reporter.emit = instance.report_runless_asset_event
        reporter.report()
        since = {
            table: last_instant(instance, KEY, f"instant of {table}") for table in world.commits
        }
    assert since == {"m": "3", "q": "2"}
    assert world.reporter(since).report(at_once=True) == 0


def test_a_batch_written_again_keeps_its_name_and_a_commit_of_no_batch_has_its_own() -> None:
    commits = [
        Commit("1", "a:0", {MONDAY: 5}),
        Commit("2", "a:0", {MONDAY: 5}),
        Commit("3", "", {MONDAY: 1}),
    ]
    rows = arrivals("m", commits)
    assert [row[0] for row in rows] == ["m:1:2024-04-29", "m:2:2024-04-29", "m:3:2024-04-29"]
    assert [row[3] for row in rows] == ["a:0", "a:0", "3"]
