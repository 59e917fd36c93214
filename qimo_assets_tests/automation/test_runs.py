"""What the automation of the whole platform launches: as few runs as there are sets of days."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

import dagster as dg
import pytest

from qimo_assets.automation import under_way as waiting
from qimo_assets.automation.conditions import MESSAGES
from qimo_assets.automation.jobs import PUBLISH_METRICS
from qimo_assets.automation.lateness import MAX_DAYS
from qimo_assets.automation.ranges import (
    PARTITION_TAG,
    PRIORITY_TAG,
    RANGE_END_TAG,
    RANGE_START_TAG,
    bounded,
)
from qimo_assets.metrics.catalog import METRICS, TOTAL
from qimo_assets.metrics.specs import metric_key
from qimo_assets.partitions import daily
from qimo_assets.views.assets import view_key
from qimo_assets.views.sql import view_names
from qimo_assets_tests.automation.graph import HeldClock

STARTED = dg.DagsterRunStatus.STARTED
YEAR = [str(date(2025, 1, 1) + timedelta(days=number)) for number in range(365)]
# Those that look at other days or rest after a run are requested by themselves.
PLAIN = {
    metric_key(metric.name)
    for metric in METRICS
    if not (metric.looks_back or metric.looks_ahead or metric.rest)
}

# Dagster's own use of names that it will give up; its version is pinned.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Property `OpDefinition.version`:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Function `AssetSelection.keys`:DeprecationWarning"),
]


class Platform(HeldClock):
    """The platform's definitions on an ephemeral instance: all views exist, and the automation has
    been evaluated once.
    """

    def __init__(self, repository: dg.RepositoryDefinition) -> None:
        super().__init__(datetime.now(timezone.utc))
        self.repository = repository
        self.instance = dg.DagsterInstance.ephemeral()
        self._cursor: str | None = None
        with self.clock():
            for name in view_names():
                self.instance.report_runless_asset_event(dg.AssetMaterialization(view_key(name)))
        assert self.tick() == []

    def touch(self, *days: str) -> None:
        """Report days as changed."""
        with self.clock():
            for day in days:
                self.instance.report_runless_asset_event(
                    dg.AssetMaterialization(MESSAGES, partition=day)
                )

    def tick(self) -> list[dg.RunRequest]:
        """Evaluate the sensor as the code server does, a second after the last time."""
        with self.clock():
            return self._evaluate()

    def _evaluate(self) -> list[dg.RunRequest]:
        context = dg.build_sensor_context(
            self.instance, cursor=self._cursor, repository_def=self.repository
        )
        result = self.repository.get_sensor_def("views_and_metrics").evaluate_tick(context)
        self._cursor = result.cursor
        return list(result.run_requests or [])


def today() -> str:
    """Return the newest day that there is."""
    return daily.get_last_partition_key() or ""


@pytest.fixture
def platform(repository: dg.RepositoryDefinition) -> Platform:
    return Platform(repository)


def test_one_run_publishes_all_metrics_of_a_day(platform: Platform) -> None:
    platform.touch(YEAR[7])
    request = next(
        request for request in platform.tick() if set(request.asset_selection or []) >= PLAIN
    )
    assert request.partition_key == YEAR[7]
    assert request.tags["dagster/max_runtime"]
    assert not [
        request for request in platform.tick() if set(request.asset_selection or []) & PLAIN
    ]


def test_a_year_of_late_lines_is_a_run_for_each_month_of_days_the_newest_first(
    platform: Platform,
) -> None:
    platform.touch(*YEAR)
    spans: list[tuple[str, str]] = []
    while runs := [run for run in platform.tick() if set(run.asset_selection or []) & PLAIN]:
        [run] = runs
        assert set(run.asset_selection or []) == PLAIN
        assert run.tags["dagster/max_runtime"]
        spans.append((run.tags[RANGE_START_TAG], run.tags[RANGE_END_TAG]))
    first, last = (YEAR[-MAX_DAYS], YEAR[-1]), (YEAR[0], YEAR[len(YEAR) % MAX_DAYS - 1])
    assert (spans[0], spans[-1], len(spans)) == (first, last, len(YEAR) // MAX_DAYS + 1)


def test_a_range_is_bounded_and_ends_with_the_newest_day() -> None:
    spans = bounded(YEAR)
    assert [span.end for span in spans] == YEAR[::-1][::MAX_DAYS]
    days = [day for span in spans for day in daily.get_partition_keys_in_range(span)]
    assert sorted(days) == YEAR
    assert max(len(daily.get_partition_keys_in_range(span)) for span in spans) == MAX_DAYS


def test_today_passes_the_days_that_wait(platform: Platform) -> None:
    platform.touch(YEAR[3], today())
    runs = [request for request in platform.tick() if set(request.asset_selection or []) >= PLAIN]
    assert [(run.partition_key, run.tags.get(PRIORITY_TAG)) for run in runs] == [
        (today(), "1"),
        (YEAR[3], None),
    ]


def test_each_run_of_the_platform_has_a_job_with_a_name(platform: Platform) -> None:
    platform.instance.report_runless_asset_event(
        dg.AssetMaterialization(view_key(TOTAL), tags={"dagster/code_version": "old"})
    )
    platform.touch(*YEAR[:3], YEAR[8])
    requests = platform.tick()
    assert requests
    jobs = {job.name: job for job in platform.repository.get_all_jobs()}
    for request in requests:
        assert request.job_name in ("publish_metrics", "create_views", "hourly_checks")
        selected = jobs[request.job_name].asset_layer.selected_asset_keys
        assert set(request.asset_selection or []) <= set(selected)


def test_days_that_do_not_follow_each_other_are_runs_of_their_own(platform: Platform) -> None:
    platform.touch(YEAR[7], YEAR[8], YEAR[30])
    runs = [request for request in platform.tick() if set(request.asset_selection or []) & PLAIN]
    assert {
        run.partition_key or (run.tags[RANGE_START_TAG], run.tags[RANGE_END_TAG]) for run in runs
    } == {(YEAR[7], YEAR[8]), YEAR[30]}
    assert all(set(run.asset_selection or []) == PLAIN for run in runs)


def test_a_metric_waits_for_the_run_of_the_others_and_shares_the_next_one(
    platform: Platform,
) -> None:
    total = metric_key(TOTAL)
    platform.touch(today())
    platform.tick()
    job = platform.repository.get_implicit_global_asset_job_def()
    with platform.clock():
        run = platform.instance.create_run_for_job(
            job, asset_selection=frozenset({total}), tags={PARTITION_TAG: today()}, status=STARTED
        )
    platform.touch(today())
    assert not [
        request for request in platform.tick() if set(request.asset_selection or []) & PLAIN
    ]
    with platform.clock():
        platform.instance.report_run_failed(run)
    [request] = [
        request for request in platform.tick() if set(request.asset_selection or []) & PLAIN
    ]
    assert set(request.asset_selection or []) == PLAIN - {total}, (
        "the total itself rests after its failure"
    )


@pytest.fixture
def under_way(platform: Platform) -> dg.DagsterRun:
    """A run of the job that publishes days, of one metric for which the others wait."""
    platform.touch(today())
    platform.tick()
    job = platform.repository.get_job(PUBLISH_METRICS)
    with platform.clock():
        run = platform.instance.create_run_for_job(
            job,
            asset_selection=frozenset({metric_key(TOTAL)}),
            tags={PARTITION_TAG: today()},
            status=STARTED,
        )
    platform.touch(today())
    return run


def test_a_day_is_asked_for_by_the_tick_in_which_its_run_ends(
    platform: Platform, under_way: dg.DagsterRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        waiting.time, "sleep", lambda _: platform.instance.report_run_failed(under_way)
    )
    [request] = [
        request for request in platform.tick() if set(request.asset_selection or []) & PLAIN
    ]
    assert request.partition_key == today()


@pytest.mark.usefixtures("under_way")
def test_a_tick_does_not_wait_for_long(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = iter([waiting.WAIT_SECONDS / 2, waiting.WAIT_SECONDS / 2])
    now = [0.0]
    monkeypatch.setattr(waiting.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(waiting.time, "sleep", lambda _: now.append(now.pop() + next(waits)))
    assert not [
        request for request in platform.tick() if set(request.asset_selection or []) & PLAIN
    ]
    assert list(waits) == []


def test_a_quiet_platform_launches_nothing(platform: Platform) -> None:
    platform.touch(today())
    platform.tick()
    assert [platform.tick() for _ in range(5)] == [[]] * 5
