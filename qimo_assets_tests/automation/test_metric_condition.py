"""Which days of a metric are requested, and which views, tick by tick on an ephemeral instance."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import dagster as dg
import pytest

from qimo_assets.automation import MESSAGES, metric_condition, view_condition
from qimo_assets.partitions import daily

OLD, OLDER, TODAY = "2021-11-07", "2021-11-06", daily.get_last_partition_key() or ""
VIEW, METRIC = dg.AssetKey(["hive", "m"]), dg.AssetKey(["mysql", "m"])


class Graph:
    """A metric on a view on the messages, and an instance whose automation is evaluated by hand."""

    def __init__(self) -> None:
        self.fails = False
        self.during_run: Callable[[], None] = lambda: None
        self.instance = dg.DagsterInstance.ephemeral()
        self.defs = self._definitions("1")
        self._cursor = None
        self._now = datetime.now().astimezone()

    def _definitions(self, view_version: str) -> dg.Definitions:
        @dg.asset(key=VIEW, deps=[MESSAGES], automation_condition=view_condition(), code_version=view_version)
        def view() -> None: ...

        @dg.asset(
            key=METRIC,
            deps=[VIEW, MESSAGES],
            partitions_def=daily,
            backfill_policy=dg.BackfillPolicy.single_run(),
            automation_condition=metric_condition(),
        )
        def metric() -> None:
            self.during_run()
            if self.fails:
                raise RuntimeError("MySQL is away")

        messages = dg.AssetSpec(MESSAGES, partitions_def=daily)
        return dg.Definitions(assets=[messages, view, metric])

    def change_view(self) -> None:
        """Load the definitions again with other SQL in the view."""
        self.defs = self._definitions("2")

    def touch(self, *days: str) -> None:
        """Report the messages of days as changed, as the streaming run does."""
        for day in days:
            self.instance.report_runless_asset_event(dg.AssetMaterialization(MESSAGES, partition=day))

    def materialize(self, key: dg.AssetKey, day: str | None = None) -> bool:
        """Run an asset."""
        job = self.defs.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(instance=self.instance, asset_selection=[key], partition_key=day, raise_on_error=False).success

    def create_view(self) -> None:
        """Materialize the view."""
        assert self.materialize(VIEW)

    def tick(self, minutes: float = 0) -> set[str]:
        """Evaluate the conditions, some time after the tick before, and return the requested days; a view stands as its name."""
        self._now = max(self._now, datetime.now().astimezone()) + timedelta(minutes=minutes)
        result = dg.evaluate_automation_conditions(self.defs, self.instance, cursor=self._cursor, evaluation_time=self._now)
        self._cursor = result.cursor
        view = {"view"} if result.get_num_requested(VIEW) else set()
        return set(result.get_requested_partitions(METRIC)) - {None} | view  # pyright: ignore[reportReturnType]


@pytest.fixture
def graph() -> Graph:
    """A graph whose view exists and whose automation has been evaluated once."""
    graph = Graph()
    graph.create_view()
    assert graph.tick() == set()
    return graph


def test_touched_days_are_requested_once_and_no_others(graph: Graph) -> None:
    graph.touch(OLD, TODAY)
    assert graph.tick() == {OLD, TODAY}
    assert graph.tick() == set()
    graph.materialize(METRIC, OLD)
    graph.materialize(METRIC, TODAY)
    assert graph.tick() == set()
    graph.touch(OLD)
    assert graph.tick() == {OLD}
    assert graph.tick() == set()


def test_a_view_created_again_requests_no_day(graph: Graph) -> None:
    graph.touch(OLD, TODAY)
    assert graph.tick() == {OLD, TODAY}
    graph.materialize(METRIC, OLD)
    graph.materialize(METRIC, TODAY)
    graph.create_view()
    assert graph.tick() == set()
    assert graph.tick() == set()


def test_a_day_touched_right_after_its_request_is_requested_again(graph: Graph) -> None:
    graph.touch(OLD)
    assert graph.tick() == {OLD}
    graph.touch(OLD)
    assert graph.tick() == {OLD}
    assert graph.tick() == set()


def test_a_day_touched_while_its_run_reads_is_requested_again(graph: Graph) -> None:
    graph.touch(OLD)
    assert graph.tick() == {OLD}
    graph.during_run = lambda: graph.touch(OLD)
    graph.materialize(METRIC, OLD)
    assert graph.tick() == {OLD}
    assert graph.tick() == set()


def test_a_day_is_not_requested_while_its_run_is_in_progress(graph: Graph) -> None:
    seen: list[set[str]] = []

    def touch_and_tick() -> None:
        graph.touch(OLD)
        seen.append(graph.tick())

    graph.touch(OLD)
    assert graph.tick() == {OLD}
    graph.during_run = touch_and_tick
    graph.materialize(METRIC, OLD)
    assert seen == [set()]
    assert graph.tick() == {OLD}


def test_days_that_were_there_before_the_first_tick_are_requested() -> None:
    graph = Graph()
    graph.touch(OLDER, OLD)
    graph.create_view()
    assert graph.tick() == {OLDER, OLD}
    assert graph.tick() == set()


def test_days_wait_for_their_view() -> None:
    graph = Graph()
    assert graph.tick() == set()
    graph.touch(OLD)
    assert graph.tick() == {"view"}
    graph.create_view()
    assert graph.tick() == {OLD}


def test_a_view_is_created_once_and_again_when_its_sql_changed(graph: Graph) -> None:
    graph.touch(OLD)
    assert graph.tick() == {OLD}
    graph.materialize(METRIC, OLD)
    assert graph.tick() == set()
    graph.change_view()
    assert graph.tick() == {"view"}
    graph.create_view()
    assert graph.tick() == set()


def test_a_failed_day_is_tried_again_after_some_minutes_until_it_succeeds(graph: Graph) -> None:
    graph.fails = True
    graph.touch(OLD)
    assert graph.tick() == {OLD}
    assert not graph.materialize(METRIC, OLD)
    assert graph.tick() == set()
    assert graph.tick(minutes=6) == {OLD}
    assert not graph.materialize(METRIC, OLD)
    assert graph.tick() == set()
    assert graph.tick(minutes=6) == {OLD}
    graph.fails = False
    assert graph.materialize(METRIC, OLD)
    assert graph.tick(minutes=6) == set()
