"""What the automation of the whole platform launches: as few runs as there are sets of days."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import dagster as dg
import pytest
from dagster._core.definitions.automation_tick_evaluation_context import build_run_requests_with_backfill_policies

from qimo_assets.automation import MESSAGES
from qimo_assets.metrics.assets import metric_key
from qimo_assets.metrics.catalog import METRICS
from qimo_assets.partitions import daily
from qimo_assets.settings import load_settings
from qimo_assets.views.assets import view_key
from qimo_assets.views.sql import view_names
from qimo_assets_tests.unit.conftest import REQUIRED

YEAR = [str(date(2025, 1, 1) + timedelta(days=number)) for number in range(365)]
# Those that look at other days or rest after a run are requested by themselves.
PLAIN = {metric_key(metric.name) for metric in METRICS if not (metric.looks_back or metric.looks_ahead or metric.rest)}

# Dagster's own use of names that it will give up; its version is pinned.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Property `OpDefinition.version`:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Function `AssetSelection.keys`:DeprecationWarning"),
]


class Platform:
    """The platform's definitions on an ephemeral instance: all views exist, and the automation has been evaluated once."""

    def __init__(self, repository: dg.RepositoryDefinition) -> None:
        self.repository = repository
        self.instance = dg.DagsterInstance.ephemeral()
        self._cursor: str | None = None
        for name in view_names():
            self.instance.report_runless_asset_event(dg.AssetMaterialization(view_key(name)))
        assert self.tick() == []

    def touch(self, *days: str) -> None:
        """Report days as changed."""
        for day in days:
            self.instance.report_runless_asset_event(dg.AssetMaterialization(MESSAGES, partition=day))

    def tick(self) -> list[dg.RunRequest]:
        """Evaluate the sensor as the code server does."""
        context = dg.build_sensor_context(self.instance, cursor=self._cursor, repository_def=self.repository)
        result = self.repository.get_sensor_def("views_and_metrics").evaluate_tick(context)
        self._cursor = result.cursor
        return list(result.run_requests or [])


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    """The platform with required settings to which nothing listens."""
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)
    load_settings.cache_clear()
    # It builds the definitions as it is imported, and needs settings for that.
    from qimo_assets.definitions import build_definitions

    yield Platform(build_definitions(load_settings()).get_repository_def())
    load_settings.cache_clear()


def test_one_run_publishes_all_metrics_of_a_day(platform: Platform) -> None:
    platform.touch(YEAR[7])
    request = next(request for request in platform.tick() if set(request.asset_selection or []) >= PLAIN)
    assert request.partition_key == YEAR[7]
    assert request.tags["dagster/max_runtime"]
    assert not [request for request in platform.tick() if set(request.asset_selection or []) & PLAIN]


def test_a_year_of_late_lines_is_one_run(platform: Platform) -> None:
    platform.touch(*YEAR)
    backfills = [request for request in platform.tick() if request.asset_graph_subset]
    assert len(backfills) == 1
    subset = backfills[0].asset_graph_subset
    assert subset is not None
    wanted = {pair for pair in subset.iterate_asset_partitions() if pair.asset_key in PLAIN}
    assert {pair.partition_key for pair in wanted} == set(YEAR)
    assert len(wanted) == len(YEAR) * len(PLAIN)
    runs = build_run_requests_with_backfill_policies(wanted, platform.repository.asset_graph, platform.instance)
    assert [(run.tags["dagster/asset_partition_range_start"], run.tags["dagster/asset_partition_range_end"]) for run in runs] == [(YEAR[0], YEAR[-1])]
    assert set(runs[0].asset_selection or []) == PLAIN
    assert platform.tick() == []


def test_a_quiet_platform_launches_nothing(platform: Platform) -> None:
    platform.touch(daily.get_last_partition_key() or "")
    platform.tick()
    assert [platform.tick() for _ in range(5)] == [[]] * 5
