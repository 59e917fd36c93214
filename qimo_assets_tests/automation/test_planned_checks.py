"""What Dagster's pages list of a check after a run for a range of days: that it passed, once."""

from __future__ import annotations

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.in_memory import InMemoryEventLogStorage

from qimo_assets.automation.ranges import RANGE_END_TAG, RANGE_START_TAG
from qimo_assets.instance.planned_checks import OnePlannedRow
from qimo_assets.instance.storage import PooledEventLogStorage
from qimo_assets.partitions import daily


class Storage(OnePlannedRow, InMemoryEventLogStorage):
    """Dagster's storage in memory, as that in MySQL is made."""


@dg.asset(partitions_def=daily, backfill_policy=dg.BackfillPolicy.single_run())
def metric() -> None: ...


@dg.asset_check(asset=metric)
def is_sound() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


def test_a_run_for_a_range_writes_one_row_a_check() -> None:
    defs = dg.Definitions(assets=[metric], asset_checks=[is_sound])
    with dg.DagsterInstance.ephemeral() as instance:
        instance._event_storage = Storage()
        instance._event_storage.register_instance(instance)
        done = defs.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance,
            tags={RANGE_START_TAG: "2026-03-01", RANGE_END_TAG: "2026-03-10"},
        )
        assert done.success
        history = instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(metric.key, "is_sound"), limit=20
        )
        assert len(instance.get_materialized_partitions(metric.key)) == 10
    assert [row.status for row in history] == [AssetCheckExecutionRecordStatus.SUCCEEDED]


def test_the_platforms_storage_is_made_so() -> None:
    assert issubclass(PooledEventLogStorage, OnePlannedRow)
