"""Which runs are forgotten: old ones whose partitions all have a newer materialization, and no
others.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, StepMaterializationData
from dagster._core.storage.compute_log_manager import ComputeIOType
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.schedules.schema import AssetDaemonAssetEvaluationsTable
from dagster._core.storage.schedules.sql_schedule_storage import SqlScheduleStorage
from sqlalchemy import select

from qimo_assets.instance.retention import KEPT, delete_tick_logs, sweep, sweep_all
from qimo_assets.instance.rows import (
    PAGE,
    forget_asset_events,
    forget_check_executions,
    forget_evaluations,
    forget_events,
)
from qimo_assets.partitions import daily

OLD, NEW = "2021-11-06", "2021-11-07"
SUCCESS = dg.DagsterRunStatus.SUCCESS


@dg.asset(partitions_def=daily)
def metric() -> None: ...


@dg.asset
def view() -> None: ...


@dg.asset
def failing() -> None:
    raise RuntimeError("on purpose")


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def run(instance: dg.DagsterInstance, asset: dg.AssetsDefinition, day: str | None = None) -> str:
    return dg.materialize(
        [asset], instance=instance, partition_key=day, raise_on_error=False
    ).run_id


def swept(instance: dg.DagsterInstance, minutes: float = 1, most: int = 100) -> set[str]:
    """Sweep until the end is reached, some minutes from now, and return the runs that are left."""
    before, deadline = datetime.now(timezone.utc) + timedelta(minutes=minutes), endless()
    for status in KEPT:
        cursor, forgotten = "", 1
        while forgotten or cursor:
            forgotten, cursor = sweep(instance, status, before, cursor, deadline, most)
    return {item.run_id for item in instance.get_runs()}


def endless() -> float:
    return time.monotonic() + 3600


def later(**duration: float) -> datetime:
    return datetime.now(timezone.utc) + timedelta(**duration)


def test_a_run_is_forgotten_once_its_partition_has_a_newer_one(
    instance: dg.DagsterInstance,
) -> None:
    first, second, other = (
        run(instance, metric, OLD),
        run(instance, metric, OLD),
        run(instance, metric, NEW),
    )
    assert swept(instance) == {second, other}
    assert not instance.all_logs(first)
    assert instance.get_materialized_partitions(metric.key) == {OLD, NEW}


def test_an_asset_without_partitions_keeps_its_newest_run(instance: dg.DagsterInstance) -> None:
    run(instance, view)
    newest = run(instance, view)
    assert swept(instance) == {newest}


def test_a_failed_run_materialized_nothing_and_is_forgotten(instance: dg.DagsterInstance) -> None:
    run(instance, failing)
    assert swept(instance) == set()


def test_young_and_unfinished_runs_stay(instance: dg.DagsterInstance) -> None:
    young = {run(instance, view), run(instance, view)}
    assert swept(instance, minutes=-1) == young
    unfinished = dg.DagsterRun("j", status=dg.DagsterRunStatus.STARTED)
    instance.add_run(unfinished)
    assert unfinished.run_id in swept(instance)


def test_a_sweep_goes_on_where_the_last_one_ended(instance: dg.DagsterInstance) -> None:
    days = [f"2021-11-{day:02d}" for day in range(1, 6)]
    for day in days:
        run(instance, metric, day)
    newest = {run(instance, metric, day) for day in days}
    assert swept(instance, most=2) == newest
    assert instance.get_materialized_partitions(metric.key) == set(days)


def test_a_run_of_more_events_than_a_sweep_can_delete_is_forgotten_by_the_next_ones(
    instance: dg.DagsterInstance,
) -> None:
    first, second = run(instance, metric, OLD), run(instance, metric, OLD)
    before, over = later(minutes=1), time.monotonic()
    assert sweep(instance, SUCCESS, before, "", over) == (0, "")
    assert not forget_events(instance, first, over)
    assert swept(instance) == {second}


def test_of_what_checks_found_the_newest_of_each_stays(instance: dg.DagsterInstance) -> None:
    @dg.asset_check(asset=view)
    def first() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    @dg.asset_check(asset=view)
    def second() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False)

    for _ in range(3):
        dg.materialize([view, first, second], instance=instance)
    assert forget_check_executions(instance, later(hours=-1), endless()) == 0
    assert forget_check_executions(instance, later(hours=1), endless()) == 4
    for name, status in (("first", "SUCCEEDED"), ("second", "FAILED")):
        history = instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(view.key, name), limit=9
        )
        assert [record.status.value for record in history] == [status]


def test_of_events_without_a_run_the_newest_of_each_partition_stays(
    instance: dg.DagsterInstance,
) -> None:
    for number in range(3):
        for day in (OLD, NEW):
            event = dg.AssetMaterialization("topic", partition=day, metadata={"number": number})
            instance.report_runless_asset_event(event)
    instance.report_runless_asset_event(dg.AssetObservation("topic"))
    finished = run(instance, metric, OLD)
    assert forget_asset_events(instance, later(hours=-1), endless()) == 0
    assert forget_asset_events(instance, later(hours=1), endless()) == 4
    topic = dg.AssetKey("topic")
    assert instance.get_materialized_partitions(topic) == {OLD, NEW}
    newest = instance.fetch_materializations(topic, limit=9).records
    assert [record.asset_materialization.metadata["number"].value for record in newest] == [2, 2]  # pyright: ignore[reportOptionalMemberAccess]
    assert instance.fetch_observations(topic, limit=9).records
    assert instance.all_logs(finished)


def test_of_the_events_of_a_run_that_never_ends_the_newest_of_each_partition_stays(
    instance: dg.DagsterInstance,
) -> None:
    stream = dg.DagsterRun("stream", status=dg.DagsterRunStatus.STARTED)
    instance.add_run(stream)
    for _ in range(3):
        event = DagsterEvent(
            dg.DagsterEventType.ASSET_MATERIALIZATION.value,
            "stream",
            event_specific_data=StepMaterializationData(
                dg.AssetMaterialization("lake", partition=NEW)
            ),
        )
        instance.report_dagster_event(event, stream.run_id)
    assert forget_asset_events(instance, later(hours=1), endless()) == 2
    assert instance.get_materialized_partitions(dg.AssetKey("lake")) == {NEW}


def test_of_what_automation_thought_the_newest_of_each_asset_stays(
    instance: dg.DagsterInstance,
) -> None:
    storage = instance.schedule_storage
    assert isinstance(storage, SqlScheduleStorage)
    pages = 2 * PAGE + 10
    rows = [
        {"evaluation_id": number, "asset_key": key, "asset_evaluation_body": "x"}
        for number in range(pages)
        for key in ("a", "b")
    ]
    with storage.connect() as connection:  # pyright: ignore[reportAttributeAccessIssue]
        connection.execute(AssetDaemonAssetEvaluationsTable.insert(), rows)
    assert forget_evaluations(instance, later(hours=-1), endless()) == 0
    assert forget_evaluations(instance, later(hours=1), endless()) == 2 * (pages - 1)
    with storage.connect() as connection:  # pyright: ignore[reportAttributeAccessIssue]
        left = connection.execute(select(AssetDaemonAssetEvaluationsTable.c.evaluation_id))
        assert {row[0] for row in left} == {pages - 1}


def test_a_sweep_of_everything_tells_what_it_forgot_and_takes_an_older_cursor(
    instance: dg.DagsterInstance,
) -> None:
    run(instance, view)
    newest = run(instance, view)
    done, cursor = sweep_all(instance, later(days=30), "a-run-of-an-older-release")
    assert done["runs"] == 1
    assert {item.run_id for item in instance.get_runs()} == {newest}
    assert sweep_all(instance, later(days=30), cursor)[0]["runs"] == 0


def test_the_logs_of_a_forgotten_run_are_gone(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    first = run(instance, view)
    run(instance, view)
    logs = tmp_path / "storage" / first
    logs.mkdir(parents=True, exist_ok=True)
    swept(instance)
    assert not logs.exists()


def test_what_a_sensor_logged_is_deleted_once_it_is_old_and_a_runs_logs_stay(
    instance: dg.DagsterInstance,
) -> None:
    run(instance, view)
    manager = instance.compute_log_manager
    assert isinstance(manager, LocalComputeLogManager)
    # As the logger of a tick's context does.
    keys = [["__repository__", "views_and_metrics", name] for name in ("old", "new")]
    for key in keys:
        with manager.open_log_stream(key, ComputeIOType.STDERR) as stream:
            assert stream is not None
            stream.write("what it thought")
    old = Path(manager.get_captured_local_path(keys[0], "err"))
    now = datetime.now(timezone.utc)
    an_hour_ago = (now - timedelta(hours=1)).timestamp()
    os.utime(old, (an_hour_ago, an_hour_ago))
    before = set(Path(instance.root_directory).rglob("*.*"))
    assert delete_tick_logs(instance, now - timedelta(minutes=30)) == 1
    assert before - set(Path(instance.root_directory).rglob("*.*")) == {old}
