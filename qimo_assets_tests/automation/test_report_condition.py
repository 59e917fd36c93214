"""When the report is requested: after publications, at most once a minute, and not when nothing is new."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import dagster as dg
import pytest
from dagster._core.test_utils import freeze_time

from qimo_assets.automation import pause_seconds, report_condition
from qimo_assets.partitions import daily

TOTAL, HOURLY, REPORT = dg.AssetKey(["mysql", "total"]), dg.AssetKey(["mysql", "hourly"]), dg.AssetKey(["report", "daily"])
DAY, OLD = "2026-11-24", "2021-11-07"


class Graph:
    """A report on two metrics, and an instance whose automation is evaluated by hand, on a clock of its own."""

    def __init__(self) -> None:
        self.fails = False
        self.instance = dg.DagsterInstance.ephemeral()
        self._cursor = None
        self._now = datetime(2026, 11, 24, 7, 0, 30, tzinfo=timezone.utc)

        @dg.asset(key=REPORT, deps=[TOTAL, HOURLY], automation_condition=report_condition())
        def report() -> None:
            if self.fails:
                raise RuntimeError("MySQL is away")

        self.defs = dg.Definitions(assets=[*(dg.AssetSpec(key, partitions_def=daily) for key in (TOTAL, HOURLY)), report])

    def publish(self, key: dg.AssetKey, day: str) -> None:
        """Report a day of a metric as published."""
        with freeze_time(self._now + timedelta(seconds=1)):
            self.instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=day))

    def refresh(self) -> bool:
        """Run the report."""
        job = self.defs.resolve_implicit_global_asset_job_def()
        with freeze_time(self._now + timedelta(seconds=2)):
            return job.execute_in_process(instance=self.instance, asset_selection=[REPORT], raise_on_error=False).success

    def tick(self, seconds: float = 60) -> bool:
        """Evaluate the condition some time after the tick before; return whether the report is requested."""
        self._now += timedelta(seconds=seconds)
        with freeze_time(self._now):
            result = dg.evaluate_automation_conditions(self.defs, self.instance, cursor=self._cursor, evaluation_time=self._now)
        self._cursor = result.cursor
        return result.get_num_requested(REPORT) > 0


@pytest.fixture
def graph() -> Graph:
    """A report that is up to date."""
    graph = Graph()
    graph.publish(TOTAL, DAY)
    graph.tick()
    assert graph.tick()
    assert graph.refresh()
    assert not graph.tick()
    return graph


def test_nothing_is_requested_when_nothing_is_new(graph: Graph) -> None:
    assert [graph.tick() for _ in range(10)] == [False] * 10


@pytest.mark.parametrize("day", [DAY, OLD])
def test_a_publication_of_any_day_requests_it_once(graph: Graph, day: str) -> None:
    graph.publish(HOURLY, day)
    assert graph.tick()
    graph.refresh()
    assert [graph.tick() for _ in range(3)] == [False] * 3


def test_publications_within_a_minute_request_it_once(graph: Graph) -> None:
    requested = []
    for key, day in ((TOTAL, DAY), (HOURLY, DAY), (TOTAL, OLD), (HOURLY, OLD)):
        graph.publish(key, day)
        requested.append(graph.tick(seconds=5))
    requested += [graph.tick(seconds=10) for _ in range(6)]
    assert requested.count(True) == 1
    graph.refresh()
    assert not graph.tick()


def test_a_publication_while_it_runs_requests_it_again(graph: Graph) -> None:
    graph.publish(TOTAL, DAY)
    assert graph.tick()
    graph.publish(HOURLY, DAY)
    graph.refresh()
    assert graph.tick()
    graph.refresh()
    assert not graph.tick()


def test_a_failed_one_is_tried_again_with_growing_pauses(graph: Graph) -> None:
    graph.fails = True
    graph.publish(TOTAL, DAY)
    assert graph.tick()
    for failures in range(1, 5):
        assert not graph.refresh()
        # The run ended two seconds after the tick before it.
        assert not graph.tick(seconds=pause_seconds(failures) + 1)
        assert graph.tick(seconds=1)
    graph.fails = False
    assert graph.refresh()
    assert [graph.tick() for _ in range(6)].count(True) == 0
