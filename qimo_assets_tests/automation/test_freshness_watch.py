"""The freshness of metrics on an ephemeral instance with a clock of its own: quiet nights, days
that wait, and what Dagster makes of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import dagster as dg
import pytest
from dagster._core.asset_graph_view.asset_graph_view import AssetGraphView
from dagster._core.definitions.freshness import FreshnessState
from dagster._core.definitions.freshness_evaluator import TimeWindowFreshnessPolicyEvaluator
from dagster._core.test_utils import create_run_for_test, freeze_time

from qimo_assets.automation.conditions import MESSAGES
from qimo_assets.lake.assets import STREAM_JOB
from qimo_assets.metrics.catalog import METRICS, TOTAL, Metric
from qimo_assets.metrics.freshness import (
    Published,
    judge,
    judge_every_day,
    quiet_metrics,
    still_fresh,
)
from qimo_assets_tests.automation.graph import (
    FAIL_MINUTES,
    METRIC,
    NOON,
    WARN_MINUTES,
    Graph,
    instant,
    running,
)

M = replace(
    next(metric for metric in METRICS if metric.name == TOTAL),
    name="m",
    warn_minutes=WARN_MINUTES,
    fail_minutes=FAIL_MINUTES,
)
TODAY, YESTERDAY = NOON[:10], "2026-03-09"


@pytest.fixture
def graph() -> Graph:
    """A graph with a live stream whose metric holds everything there is."""
    graph = running()
    create_run_for_test(graph.instance, job_name=STREAM_JOB, status=dg.DagsterRunStatus.STARTED)
    graph.touch(TODAY)
    assert graph.settle() == {TODAY}
    return graph


def quiet(graph: Graph, minutes: float, metric: Metric = M, lag: int = 0) -> bool:
    """Return whether the metric is said to be fresh, some minutes later."""
    graph.now += timedelta(minutes=minutes)
    return quiet_metrics(
        graph.instance, [metric], {METRIC: {MESSAGES}}, lambda: lag, graph.now.timestamp()
    ) == [metric]


def state(graph: Graph) -> FreshnessState:
    """Return what Dagster's own evaluator says of the metric."""
    view = AssetGraphView.for_test(graph.defs, graph.instance)
    with freeze_time(graph.now):
        return asyncio.run(
            TimeWindowFreshnessPolicyEvaluator().evaluate_freshness(
                view, view.asset_graph.get(METRIC)
            )
        )


def say_fresh(graph: Graph) -> None:
    """Report what the watch reports."""
    with graph.clock():
        graph.instance.report_runless_asset_event(still_fresh(graph.instance, M))


def test_a_quiet_night_stays_green_and_starts_nothing(graph: Graph) -> None:
    said = 0
    for _ in range(12 * 60):
        if quiet(graph, minutes=1):
            say_fresh(graph)
            said += 1
        assert (graph.now.minute % 10) or state(graph) is FreshnessState.PASS
    assert 60 <= said <= 12 * 60 / (M.warn_minutes * 0.6)
    assert graph.tick() == set()
    assert (
        graph.instance.get_runs_count(
            dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED])
        )
        == 0
    )


def test_without_the_watch_a_quiet_hour_would_be_red(graph: Graph) -> None:
    assert state(graph) is FreshnessState.PASS
    graph.now += timedelta(minutes=M.warn_minutes)
    assert state(graph) is FreshnessState.WARN
    graph.now += timedelta(minutes=M.fail_minutes)
    assert state(graph) is FreshnessState.FAIL


def test_saying_so_makes_no_day_new_and_nothing_downstream_stale(graph: Graph) -> None:
    page = dg.AssetKey(["report", "page"])

    @dg.asset(
        key=page, deps=[METRIC], automation_condition=dg.AutomationCondition.any_deps_updated()
    )
    def report() -> None: ...

    defs = dg.Definitions.merge(graph.defs, dg.Definitions(assets=[report]))
    first = dg.evaluate_automation_conditions(defs, graph.instance)
    days = graph.instance.get_materialized_partitions(METRIC)
    say_fresh(graph)
    second = dg.evaluate_automation_conditions(defs, graph.instance, cursor=first.cursor)
    assert second.total_requested == 0
    assert graph.instance.get_materialized_partitions(METRIC) == days
    graph.materialize(METRIC, TODAY)
    third = dg.evaluate_automation_conditions(defs, graph.instance, cursor=second.cursor)
    assert third.get_num_requested(page) == 1


def test_what_is_said_shows_the_last_publication(graph: Graph) -> None:
    with graph.clock():
        graph.instance.report_runless_asset_event(
            dg.AssetMaterialization(
                METRIC, partition=TODAY, metadata={"rows": dg.MetadataValue.md("| 1 |")}
            )
        )
    for _ in range(2):
        say_fresh(graph)
        event = graph.instance.get_latest_materialization_event(METRIC)
        assert event is not None
        assert event.asset_materialization is not None
        assert event.asset_materialization.metadata["rows"] == dg.MetadataValue.md("| 1 |")
        assert event.asset_materialization.partition is None


def test_nothing_is_said_before_it_is_due(graph: Graph) -> None:
    assert not quiet(graph, minutes=8)
    assert quiet(graph, minutes=2)


def test_nothing_is_said_while_lines_are_not_in_the_lake(graph: Graph) -> None:
    assert not quiet(graph, minutes=10, lag=1)
    assert quiet(graph, minutes=0)


def test_nothing_is_said_without_a_live_stream() -> None:
    graph = running()
    graph.touch(TODAY)
    graph.settle()
    assert not quiet(graph, minutes=10)


def test_nothing_is_said_while_a_day_is_not_published(graph: Graph) -> None:
    graph.touch(YESTERDAY, minutes=10)
    assert not quiet(graph, minutes=5)
    graph.materialize(METRIC, YESTERDAY)
    assert quiet(graph, minutes=10)


def test_nothing_is_said_of_a_metric_that_looks_back_until_its_whole_window_is_published(
    graph: Graph,
) -> None:
    looking = replace(M, looks_back=1)
    graph.touch(YESTERDAY)
    graph.materialize(METRIC, YESTERDAY)
    assert quiet(graph, minutes=10)
    assert not quiet(graph, minutes=0, metric=looking)
    graph.materialize(METRIC, TODAY)
    assert quiet(graph, minutes=10, metric=looking)


def test_a_metric_that_was_never_published_is_not_said_to_be_fresh() -> None:
    graph = running()
    create_run_for_test(graph.instance, job_name=STREAM_JOB, status=dg.DagsterRunStatus.STARTED)
    assert not quiet(graph, minutes=60)


def verdict(graph: Graph, published: Mapping[str, str], minutes: float = 0) -> str:
    """Return the newest day's check, some minutes later, for days published from instants."""
    graph.now += timedelta(minutes=minutes)
    known: Published = {("m", day): value for day, value in published.items()}
    [result] = judge(graph.instance, [M], known, graph.now.timestamp())
    return "passed" if result.passed else result.severity.value


def test_a_day_that_waits_is_told_by_its_age() -> None:
    graph = running()
    graph.touch(TODAY)
    assert verdict(graph, {}, minutes=14) == "passed"
    assert verdict(graph, {}, minutes=2) == "WARN"
    assert verdict(graph, {}, minutes=45) == "ERROR"
    assert verdict(graph, {TODAY: instant(graph.now)}) == "passed"


def test_a_day_that_is_published_older_waits_as_well() -> None:
    graph = running()
    graph.touch(TODAY)
    first = instant(graph.now)
    for _ in range(20):
        graph.touch(TODAY, minutes=1)
    assert verdict(graph, {TODAY: first}) == "WARN"
    for _ in range(45):
        graph.touch(TODAY, minutes=1)
    assert verdict(graph, {TODAY: first}) == "ERROR"
    assert verdict(graph, {TODAY: instant(graph.now - timedelta(minutes=5))}) == "passed"


def test_a_new_day_does_not_hide_the_one_before_it() -> None:
    graph = running("2026-03-10 22:50")
    graph.touch("2026-03-10")
    graph.now += timedelta(minutes=71)
    graph.touch("2026-03-11")
    assert verdict(graph, {}, minutes=1) == "ERROR"
    assert verdict(graph, {"2026-03-11": instant(graph.now)}) == "ERROR"
    assert verdict(graph, {"2026-03-10": instant(graph.now)}) == "passed"


def test_an_old_day_that_is_published_does_not_hide_the_newest() -> None:
    graph = running()
    graph.touch(TODAY)
    graph.touch(YESTERDAY, minutes=61)
    assert verdict(graph, {YESTERDAY: instant(graph.now)}) == "ERROR"


def test_an_empty_lake_is_no_failure() -> None:
    assert verdict(running(), {}, minutes=600) == "passed"


def every_day(graph: Graph, minutes: float = 0) -> list[str]:
    """Return the days that the check of all days names, some minutes later."""
    graph.now += timedelta(minutes=minutes)
    result = judge_every_day(graph.instance, [M], {METRIC: {MESSAGES}}, graph.now.timestamp())
    value = result.metadata["each day"]
    assert isinstance(value, dg.TableMetadataValue)
    assert result.passed == (not value.records)
    return [str(record.data["day"]) for record in value.records]


def test_all_days_that_wait_are_named_and_not_the_newest_alone(graph: Graph) -> None:
    graph.touch("2026-02-01", YESTERDAY, TODAY)
    assert every_day(graph) == []
    assert every_day(graph, FAIL_MINUTES + 1) == [TODAY, YESTERDAY, "2026-02-01"]
    graph.materialize(METRIC, YESTERDAY)
    graph.materialize(METRIC, TODAY)
    assert every_day(graph) == ["2026-02-01"]
    graph.materialize(METRIC, "2026-02-01")
    assert every_day(graph) == []


def test_a_day_that_is_touched_again_and_again_waits_since_it_was_first(graph: Graph) -> None:
    for _ in range(FAIL_MINUTES // 10 + 1):
        graph.touch(YESTERDAY, minutes=10)
    assert every_day(graph) == [YESTERDAY]
