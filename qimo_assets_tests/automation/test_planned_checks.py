"""What Dagster's pages list of a check while a run is going to evaluate it, and after a run for a
range of days.
"""

from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.in_memory import InMemoryEventLogStorage

from qimo_assets.automation.jobs import HOURLY_CHECKS, PUBLISH_METRICS
from qimo_assets.automation.ranges import RANGE_END_TAG, RANGE_START_TAG
from qimo_assets.instance.planned_checks import PlannedChecks
from qimo_assets.instance.storage import PooledEventLogStorage
from qimo_assets.partitions import daily

PLANNED, SUCCEEDED = (
    AssetCheckExecutionRecordStatus.PLANNED,
    AssetCheckExecutionRecordStatus.SUCCEEDED,
)
# What the page would list while the metric is computed.
SEEN: list[list[AssetCheckExecutionRecordStatus]] = []


class Storage(PlannedChecks, InMemoryEventLogStorage):
    """Dagster's storage in memory, as that in MySQL is made."""


def listed(instance: dg.DagsterInstance) -> list[AssetCheckExecutionRecordStatus]:
    """Return what the page lists of the check, the newest first."""
    key = dg.AssetCheckKey(metric.key, "is_sound")
    history = instance.event_log_storage.get_asset_check_execution_history(key, limit=20)
    return [row.status for row in history]


@dg.asset(partitions_def=daily, backfill_policy=dg.BackfillPolicy.single_run())
def metric(context: dg.AssetExecutionContext) -> None:
    SEEN.append(listed(context.instance))


@dg.asset_check(asset=metric)
def is_sound() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


JOBS = [dg.define_asset_job(name, selection=[metric]) for name in (PUBLISH_METRICS, HOURLY_CHECKS)]
DEFS = dg.Definitions(assets=[metric], asset_checks=[is_sound], jobs=JOBS)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance that stores events as the platform's does."""
    SEEN.clear()
    with dg.DagsterInstance.ephemeral() as instance:
        instance._event_storage = Storage()
        instance._event_storage.register_instance(instance)
        yield instance


def test_a_run_for_a_range_writes_one_row_a_check(instance: dg.DagsterInstance) -> None:
    done = DEFS.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance, tags={RANGE_START_TAG: "2026-03-01", RANGE_END_TAG: "2026-03-10"}
    )
    assert done.success
    assert len(instance.get_materialized_partitions(metric.key)) == 10
    assert listed(instance) == [SUCCEEDED]


@pytest.mark.parametrize(
    ("job", "meanwhile"),
    [(PUBLISH_METRICS, [SUCCEEDED]), (HOURLY_CHECKS, [PLANNED, SUCCEEDED])],
)
def test_a_check_keeps_its_outcome_while_the_next_run_of_metrics_is_under_way(
    instance: dg.DagsterInstance, job: str, meanwhile: list[AssetCheckExecutionRecordStatus]
) -> None:
    for _ in range(2):
        assert (
            DEFS.resolve_job_def(job)
            .execute_in_process(instance=instance, partition_key="2026-03-01")
            .success
        )
    assert SEEN[1] == meanwhile
    assert listed(instance) == [SUCCEEDED, SUCCEEDED]


def test_the_platforms_storage_is_made_so() -> None:
    assert issubclass(PooledEventLogStorage, PlannedChecks)
