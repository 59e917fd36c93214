"""Which runs are forgotten: old ones whose partitions all have a newer materialization, and no
others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.compute_log_manager import ComputeIOType
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager

from qimo_assets.instance import retention
from qimo_assets.instance.retention import delete_tick_logs, sweep
from qimo_assets.partitions import daily

OLD, NEW = "2021-11-06", "2021-11-07"


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


def swept(instance: dg.DagsterInstance, minutes: float = 1) -> set[str]:
    """Sweep until the end is reached, some minutes from now, and return the runs that are left."""
    before, cursor, forgotten = datetime.now(timezone.utc) + timedelta(minutes=minutes), "", 1
    while forgotten or cursor:
        forgotten, cursor = sweep(instance, before, cursor)
    return {item.run_id for item in instance.get_runs()}


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


def test_a_sweep_goes_on_where_the_last_one_ended(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "MOST_RUNS", 2)
    days = [f"2021-11-{day:02d}" for day in range(1, 6)]
    for day in days:
        run(instance, metric, day)
    newest = {run(instance, metric, day) for day in days}
    assert swept(instance) == newest
    assert instance.get_materialized_partitions(metric.key) == set(days)


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
