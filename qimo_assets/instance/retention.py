"""Keeps Dagster's own storage flat: runs and logs that nobody needs any more are forgotten.

A stream that touches one day makes up to 8,000 runs a day, each with about a hundred events and a
log. A finished run is forgotten when it is old and each partition that it materialized was
materialized again since, so that what Dagster knows of every partition stays. Knows Dagster and no
room.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import dagster as dg
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager

KEEP = timedelta(days=7)
# What automation logs at a tick is 60 KB: 30 MB were there after an hour of lines. Dagster forgets
# old ticks, and deletes none of their logs.
TICK_LOGS_KEPT = timedelta(hours=2)
# 600 s and 180 runs are three times what comes in at one run each 10 s.
SWEEP_SECONDS = 600
MOST_RUNS = 180
# A sensor's tick is broken off after 60 s.
LONGEST_SWEEP_SECONDS = 30
FINISHED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


def build_retention_definitions() -> dg.Definitions:
    """Return the sensor that forgets old runs and the logs of old ticks."""

    @dg.sensor(
        name="old_runs",
        minimum_interval_seconds=SWEEP_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Forgets finished runs, their events and their logs after {KEEP.days} days, "
        "but "
        "for the newest of each partition, "
        f"and what sensors logged after {TICK_LOGS_KEPT.seconds // 3600} hours.",
    )
    def old_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        now = datetime.now(timezone.utc)
        forgotten, context_cursor = sweep(context.instance, now - KEEP, context.cursor)
        context.update_cursor(context_cursor)
        deleted = delete_tick_logs(context.instance, now - TICK_LOGS_KEPT)
        return dg.SkipReason(
            f"{forgotten} old runs were forgotten, and the logs of {deleted} old ticks."
        )

    return dg.Definitions(sensors=[old_runs])


def sweep(instance: dg.DagsterInstance, before: datetime, cursor: str | None) -> tuple[int, str]:
    """Forget the runs that ended before a time and were superseded, a part of them at each call.

    Args:
        instance: Dagster's instance.
        before: Runs that changed later are left alone.
        cursor: What the call before returned: the run after which to go on; empty begins anew.

    Returns:
        The number of runs that were forgotten, and the next cursor.
    """
    deadline = time.monotonic() + LONGEST_SWEEP_SECONDS
    filters = dg.RunsFilter(statuses=list(FINISHED), updated_before=before)
    runs = instance.get_runs(filters, limit=MOST_RUNS, cursor=cursor or None, ascending=True)
    forgotten, kept = 0, ""
    for run in runs:
        if time.monotonic() > deadline:
            return forgotten, kept or cursor or ""
        if is_superseded(instance, run.run_id):
            instance.delete_run(run.run_id)
            instance.compute_log_manager.delete_logs(prefix=[run.run_id])
            forgotten += 1
        else:
            kept = run.run_id
    # Past the last one the next call begins again: what was the newest then may be superseded by
    # now.
    return forgotten, (kept or cursor or "") if len(runs) == MOST_RUNS else ""


def is_superseded(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Return whether each partition that the run materialized was materialized later by another
    run.
    """
    records = instance.get_records_for_run(
        run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
    ).records
    events = [record.event_log_entry.dagster_event for record in records]
    partitions = {
        (event.asset_key, event.partition)
        for event in events
        if event is not None and event.asset_key is not None
    }
    return all(_newest_run(instance, key, partition) != run_id for key, partition in partitions)


def _newest_run(instance: dg.DagsterInstance, key: dg.AssetKey, partition: str | None) -> str:
    which = dg.AssetRecordsFilter(key, asset_partitions=[partition] if partition else None)
    return instance.fetch_materializations(which, limit=1).records[0].run_id


def delete_tick_logs(instance: dg.DagsterInstance, before: datetime) -> int:
    """Delete what sensors logged at the ticks before a time, and return how many logs that were;
    logs that are no files are left alone.
    """
    manager = instance.compute_log_manager
    if not isinstance(manager, LocalComputeLogManager):
        return 0
    # The name of the repository stands where a run's logs have the run's id.
    directory = Path(
        manager.get_captured_local_path([SINGLETON_REPOSITORY_NAME, "any sensor"], "err")
    ).parent
    old = [path for path in directory.glob("*/*") if path.stat().st_mtime < before.timestamp()]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)
