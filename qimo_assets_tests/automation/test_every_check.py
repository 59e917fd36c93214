"""Every check of the graph is evaluated by the platform itself, and what it found stays visible."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any, cast

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest
from dagster._core.test_utils import create_run_for_test, freeze_time

from qimo_assets.automation.checks import EVALUATED, REPORT_TTL_SECONDS, unheard
from qimo_assets.automation.conditions import MESSAGES
from qimo_assets.lake import pending
from qimo_assets.lake.assets import REPLAY_JOB, STREAM_JOB
from qimo_assets.lake.gaps import Gaps
from qimo_assets.lake.places import Known
from qimo_assets.lake.watch import Watch
from qimo_assets.metrics.catalog import METRICS
from qimo_assets.metrics.specs import metric_key
from qimo_assets.partitions import daily
from qimo_assets.resources.kafka import PartitionState
from qimo_assets.views.assets import view_key
from qimo_assets.views.sql import view_names

# Dagster's own use of names that it will give up; its version is pinned.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Property `OpDefinition.version`:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Function `AssetSelection.keys`:DeprecationWarning"),
]


class Topic:
    """A broker's answers."""

    def __init__(self) -> None:
        self.partitions = [PartitionState(0, 0, 100, 100)]

    def state(self) -> list[PartitionState]:
        return self.partitions


class EmptyDatabase:
    """MySQL without a row: everything asked for has no answer, no table is counted."""

    @contextmanager
    def connect(self) -> Generator[EmptyDatabase, None, None]:
        yield self

    @contextmanager
    def cursor(self, **_: Any) -> Generator[EmptyDatabase, None, None]:
        yield self

    def execute(self, statement: str) -> None:
        self._rows = [(0,)] if "information_schema" in statement else []

    def fetchall(self) -> list[Any]:
        return self._rows


class Night:
    """The platform after a busy day: each metric was published by a run that evaluated nothing."""

    def __init__(self, repository: dg.RepositoryDefinition) -> None:
        # Later than the rows' own times, which the database sets.
        self.now = datetime.now(timezone.utc).replace(hour=14, minute=0) + timedelta(days=1)
        self.repository = repository
        self.graph = repository.asset_graph
        self.instance = dg.DagsterInstance.ephemeral()
        self.topic = Topic()
        self._cursors: dict[str, str | None] = {}
        with freeze_time(self.now):
            for name in view_names():
                self.instance.report_runless_asset_event(dg.AssetMaterialization(view_key(name)))
            self.stream = create_run_for_test(
                self.instance, job_name=STREAM_JOB, status=dg.DagsterRunStatus.STARTED
            )
            self._materialize(self.stream, MESSAGES)
            self.tick("views_and_metrics")
        self.publish()

    def publish(self, *, checks: bool = False) -> None:
        """Publish each metric by a run."""
        self.now += timedelta(minutes=1)
        with freeze_time(self.now):
            run = create_run_for_test(
                self.instance, job_name="publish_metrics", status=dg.DagsterRunStatus.SUCCESS
            )
            for metric in METRICS:
                self._materialize(run, metric_key(metric.name))
            for key in self.checks() if checks else ():
                self._report(
                    run,
                    dg.DagsterEvent(
                        "ASSET_CHECK_EVALUATION",
                        run.job_name,
                        event_specific_data=dg.AssetCheckEvaluation(
                            asset_key=key.asset_key, check_name=key.name, passed=True, metadata={}
                        ),
                    ),
                )

    def checks(self) -> list[dg.AssetCheckKey]:
        """Return the checks of the metrics."""
        metrics = {metric_key(metric.name) for metric in METRICS}
        return [key for key in self.graph.asset_check_keys if key.asset_key in metrics]

    def _materialize(self, run: dg.DagsterRun, key: dg.AssetKey) -> None:
        day = daily.get_last_partition_key() or ""
        self._report(
            run,
            dg.DagsterEvent(
                "ASSET_MATERIALIZATION",
                run.job_name,
                event_specific_data=dg_materialization(key, day),
            ),
        )

    def _report(self, run: dg.DagsterRun, event: dg.DagsterEvent) -> None:
        self.instance.report_dagster_event(event, run.run_id)

    def tick(self, name: str, minutes: float = 0) -> Any:
        """Evaluate a sensor some minutes later, and report what it tells."""
        self.now += timedelta(minutes=minutes)
        with freeze_time(self.now):
            context = dg.build_sensor_context(
                self.instance,
                cursor=self._cursors.get(name),
                repository_def=self.repository,
                resources={"kafka": self.topic, "mysql": EmptyDatabase()},
            )
            found = self.repository.get_sensor_def(name).evaluate_tick(context)
            self._cursors[name] = found.cursor
            for event in found.asset_events:
                self.instance.report_runless_asset_event(event)
        return found

    def grey(self) -> set[str]:
        """Return the checks of the metrics that Dagster's pages show as not evaluated."""
        with freeze_time(self.now):
            silent = unheard(self.instance, self.checks(), self.now.timestamp())
        return {key.to_user_string() for key in silent}


def dg_materialization(key: dg.AssetKey, day: str) -> Any:
    from dagster._core.events import StepMaterializationData

    return StepMaterializationData(dg.AssetMaterialization(key, partition=day))


@pytest.fixture
def night(repository: dg.RepositoryDefinition) -> Night:
    return Night(repository)


def told(found: Any) -> set[dg.AssetCheckKey]:
    return {
        event.asset_check_key
        for event in found.asset_events
        if isinstance(event, dg.AssetCheckEvaluation)
    }


def test_each_check_is_evaluated_by_the_platform_at_a_pace_that_it_states(night: Night) -> None:
    watches = ("source_watcher", "topic_watcher", "freshness_watch")
    heard = {key for name in watches for key in told(night.tick(name))}
    # An hour passes, and a night.
    for minutes in (61, 24 * 60):
        for request in night.tick("views_and_metrics", minutes=minutes).run_requests:
            heard |= set(request.asset_check_keys or [])
    with freeze_time(night.now):
        for judge in (lambda now: pending.judge({}, now), Gaps(Known()).judge):
            Watch(night.instance, judge, clock=night.now.timestamp).look()
    of_the_stream = [key for key in night.graph.asset_check_keys if key.asset_key.path[0] == "hudi"]
    heard |= set(
        night.instance.event_log_storage.get_latest_asset_check_execution_by_key(of_the_stream)
    )
    every = set(night.graph.asset_check_keys)
    assert len(every) > 40
    assert {key.to_user_string() for key in every - heard} == set()
    paceless = {key for key in every if not night.graph.get(key).metadata.get(EVALUATED)}
    assert {key.to_user_string() for key in paceless} == set()


def test_no_check_belongs_to_what_the_stream_reports(night: Night) -> None:
    for name in (STREAM_JOB, REPLAY_JOB):
        layer = night.repository.get_job(name).asset_layer
        assert layer.asset_graph.asset_check_keys == set(), name
        written = layer.selected_asset_keys
        assert {key for key in night.graph.asset_check_keys if key.asset_key in written} == set()


def test_a_quiet_night_is_green(night: Night) -> None:
    night.publish(checks=True)
    assert night.grey() == set()
    said = 0
    for _ in range(10):
        events = night.tick("freshness_watch", minutes=4).asset_events
        said += sum(isinstance(event, dg.AssetMaterialization) for event in events)
        assert night.grey() == set()
    assert said > 2 * len(METRICS)
    assert night.instance.get_runs_count() == 3


def test_what_a_newer_run_hides_is_evaluated_within_a_minute(night: Night) -> None:
    night.publish(checks=True)
    assert night.grey() == set()
    night.publish()
    assert len(night.grey()) == len(night.checks())
    assert told(night.tick("freshness_watch", minutes=1)) >= set(night.checks())


def test_what_the_agent_has_read_since_makes_the_topic_no_unsynced_asset(night: Night) -> None:
    [topic] = [key for key in night.graph.materializable_asset_keys if key.path[0] == "kafka"]
    night.tick("topic_watcher")
    night.tick("source_watcher", minutes=1)
    loading = LoadingContextForTest(night.instance)
    resolver = CachingStaleStatusResolver(night.instance, night.graph, loading)
    assert resolver.get_status(topic) is StaleStatus.FRESH


def test_an_outcome_that_stays_is_told_once_an_hour(night: Night) -> None:
    night.tick("topic_watcher")
    evaluations = [
        minute
        for minute in range(1, 1 + 2 * REPORT_TTL_SECONDS // 60)
        if told(night.tick("topic_watcher", minutes=1))
    ]
    assert evaluations == [REPORT_TTL_SECONDS // 60, 2 * REPORT_TTL_SECONDS // 60]


def test_a_change_is_told_at_once_and_the_report_with_it(night: Night) -> None:
    night.tick("topic_watcher")
    night.topic.partitions = [PartitionState(0, 150, 400, 100)]
    found = night.tick("topic_watcher", minutes=1)
    results = {
        event.check_name: event.passed
        for event in found.asset_events
        if isinstance(event, dg.AssetCheckEvaluation)
    }
    assert results == {"nothing_lost_to_retention": False}
    assert any(isinstance(event, dg.AssetMaterialization) for event in found.asset_events)


@pytest.mark.parametrize(
    ("lag", "minutes", "passes"),
    [(50, 5, True), (50, 11, False), (0, 11, True), (300_000, 1, False)],
)
def test_a_lake_that_takes_nothing_or_falls_far_behind_fails(
    night: Night, lag: int, minutes: int, passes: bool
) -> None:
    night.topic.partitions = [PartitionState(0, 0, 100 + lag, 100)]
    night.tick("topic_watcher")
    night.tick("topic_watcher", minutes=minutes)
    [key] = [key for key in night.graph.asset_check_keys if key.name == "lake_keeps_up"]
    last = night.instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
    assert cast("dg.AssetCheckEvaluation", last.evaluation).passed is passes


def test_a_lake_that_is_far_behind_and_catches_up_passes(night: Night) -> None:
    for progress in (100, 50_000, 100_000):
        night.topic.partitions = [PartitionState(0, 0, 400_000, progress)]
        night.tick("topic_watcher", minutes=1)
    [key] = [key for key in night.graph.asset_check_keys if key.name == "lake_keeps_up"]
    last = night.instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
    assert cast("dg.AssetCheckEvaluation", last.evaluation).passed
