"""Keeps Dagster's own storage flat: what nobody needs any more is forgotten.

A stream that touches one day makes up to 8,000 runs a day, each with about a hundred events, a log
and what checks found, and automation writes down what it thinks at each tick. A finished run is
forgotten when it is old and each partition that it materialized was materialized again since, so
that what Dagster knows of every partition stays. Knows Dagster and no room.
"""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import dagster as dg
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager

from qimo_assets.automation.ticks import each
from qimo_assets.instance.rows import (
    forget_asset_events,
    forget_check_executions,
    forget_evaluations,
    forget_events,
    materialized,
)

# A run that went well is looked at on the day after; one that did not within a week.
KEPT = {
    dg.DagsterRunStatus.SUCCESS: timedelta(days=2),
    dg.DagsterRunStatus.FAILURE: timedelta(days=7),
    dg.DagsterRunStatus.CANCELED: timedelta(days=7),
}
# Superseded events without a finished run, and what checks found.
EVENTS_KEPT = timedelta(days=1)
# What automation thinks at a tick is 60 KB a metric, and what it logs as much. Dagster keeps the
# one for 30 days and the other for ever.
TICKS_KEPT = timedelta(hours=2)
# 600 s and 180 runs are three times what comes in at one run each 10 s.
SWEEP_SECONDS = 600
MAX_RUNS = 180
# A sensor's tick is broken off after 60 s: what one step leaves of this is the next one's.
MAX_SWEEP_SECONDS = 40


def build_retention_definitions() -> dg.Definitions:
    """Return the sensor that forgets old runs, events, evaluations and logs."""

    @dg.sensor(
        name="old_runs",
        minimum_interval_seconds=each(SWEEP_SECONDS),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Forgets finished runs, their events and their logs "
        f"({KEPT[dg.DagsterRunStatus.SUCCESS].days} days after they went well, "
        f"{KEPT[dg.DagsterRunStatus.FAILURE].days} otherwise), superseded events and what checks "
        f"found after {EVENTS_KEPT.days} day, but for the newest of each partition, "
        f"and what automation thought after {TICKS_KEPT.seconds // 3600} hours.",
    )
    def old_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        done, cursor = sweep_all(context.instance, datetime.now(timezone.utc), context.cursor)
        context.update_cursor(cursor)
        return dg.SkipReason(
            ", ".join(f"{number} {what}" for what, number in done.items()) + " were forgotten."
        )

    return dg.Definitions(sensors=[old_runs])


def sweep_all(
    instance: dg.DagsterInstance,
    now: datetime,
    cursor: str | None,
    seconds: float = MAX_SWEEP_SECONDS,
) -> tuple[dict[str, int], str]:
    """Forget a part of everything that is old.

    Args:
        instance: Dagster's instance.
        now: The time.
        cursor: What the call before returned; empty begins anew.
        seconds: How long it may take.

    Returns:
        What was forgotten -> its number, and the next cursor.
    """
    deadline = time.monotonic() + seconds
    done = {
        "evaluations": forget_evaluations(instance, now - TICKS_KEPT, deadline),
        "logs of ticks": delete_tick_logs(instance, now - TICKS_KEPT),
        "check executions": forget_check_executions(instance, now - EVENTS_KEPT, deadline),
        "events": forget_asset_events(instance, now - EVENTS_KEPT, deadline),
        "runs": 0,
    }
    cursors = _cursors(cursor)
    for status, kept in KEPT.items():
        forgotten, cursors[status.value] = sweep(
            instance, status, now - kept, cursors.get(status.value), deadline
        )
        done["runs"] += forgotten
    return done, json.dumps(cursors)


def _cursors(cursor: str | None) -> dict[str, str]:
    try:
        return json.loads(cursor or "{}")
    except ValueError:  # of an older release: a run
        return {}


def sweep(
    instance: dg.DagsterInstance,
    status: dg.DagsterRunStatus,
    before: datetime,
    cursor: str | None,
    deadline: float,
    most: int = MAX_RUNS,
) -> tuple[int, str]:
    """Forget the runs that ended before a time and were superseded, a part of them at each call.

    Args:
        instance: Dagster's instance.
        status: How they ended.
        before: Runs that changed later are left alone.
        cursor: What the call before returned: the run after which to go on; empty begins anew.
        deadline: Monotonic time after which no further run is begun.
        most: Runs that are looked at.

    Returns:
        The number of runs that were forgotten, and the next cursor.
    """
    filters = dg.RunsFilter(statuses=[status], updated_before=before)
    runs = instance.get_runs(filters, limit=most, cursor=cursor or None, ascending=True)
    forgotten, kept = 0, ""
    for run in runs:
        if time.monotonic() > deadline:
            return forgotten, kept or cursor or ""
        if not is_superseded(instance, run.run_id):
            kept = run.run_id
        # The rest of a run of a million events waits for the next call, which begins with it.
        elif not forget_events(instance, run.run_id, deadline):
            return forgotten, kept or cursor or ""
        else:
            instance.delete_run(run.run_id)
            instance.compute_log_manager.delete_logs(prefix=[run.run_id])
            forgotten += 1
    # Past the last one the next call begins again: what was the newest then may be superseded by
    # now.
    return forgotten, (kept or cursor or "") if len(runs) == most else ""


def is_superseded(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Return whether each partition that the run materialized was materialized later by another
    run.
    """
    return all(
        _newest_run(instance, key, partition) != run_id
        for key, partition in materialized(instance, run_id)
    )


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
