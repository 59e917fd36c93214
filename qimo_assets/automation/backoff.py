"""Pauses: twice as long after each failure in a row, and a rest after a long run. All of it is
decided from the run records; nothing is remembered.
"""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg
from dagster import AutomationContext
from dagster_shared.record import record

FIRST_PAUSE_SECONDS = 10
MAX_PAUSE_SECONDS = 300
# After so many failures in a row the pause grows no more.
TRIES_LOOKED_AT = 7


def pause_seconds(failures: int) -> int:
    """Return how long to wait after the last of so many failures in a row: twice as long after
    each.
    """
    return min(FIRST_PAUSE_SECONDS * 2 ** (failures - 1), MAX_PAUSE_SECONDS)


def failures_in_a_row(statuses: Sequence[dg.DagsterRunStatus]) -> int:
    """Return how many of the newest runs failed, by the statuses of runs, newest first."""
    return next(
        (
            place
            for place, status in enumerate(statuses)
            if status is not dg.DagsterRunStatus.FAILURE
        ),
        len(statuses),
    )


class PausedAfterFailure(dg.AutomationCondition[dg.AssetKey]):
    """True for failed days until the pause after their last failure is over; decided from the run
    records, nothing is remembered.

    The newest of the failed days stands for all: they mostly failed together, and one that fails
    for a reason of its own is alone again once the others are published.
    """

    @property
    def name(self) -> str:
        """What the page of an asset's automation shows."""
        return "paused_after_failure"

    def evaluate(self, context: AutomationContext[dg.AssetKey]) -> dg.AutomationResult[dg.AssetKey]:
        """Return the whole of the candidates or nothing."""
        subset = context.candidate_subset
        paused = not subset.is_empty and self._is_paused(context)
        return dg.AutomationResult(context, subset if paused else context.get_empty_subset())

    def _is_paused(self, context: AutomationContext[dg.AssetKey]) -> bool:
        instance = context.asset_graph_view.instance
        failed = context.candidate_subset
        days = (
            sorted(day for day in failed.expensively_compute_partition_keys() if day)[-1:]
            if failed.is_partitioned
            else []
        )
        planned = newest_planned(context, TRIES_LOOKED_AT, days)
        records = instance.get_run_records(
            dg.RunsFilter(run_ids=[event.run_id for event in planned])
        )
        runs = {record.dagster_run.run_id: record for record in records}
        tries = [runs[event.run_id] for event in planned if event.run_id in runs]
        failures = failures_in_a_row([run.dagster_run.status for run in tries])
        return bool(failures) and context.evaluation_time.timestamp() - (
            tries[0].end_time or 0
        ) < pause_seconds(failures)


@record
class RestsAfterRun(dg.AutomationCondition[dg.AssetKey]):
    """True for some times as long as the last run of an asset took, from its end on: what reads
    much takes a bounded share of the machine.

    Nothing waits after a quiet time, and what changes in the meantime is one run.
    """

    times: int

    @property
    def name(self) -> str:
        """What the page of an asset's automation shows."""
        return f"rests_{self.times}_times_its_run"

    def evaluate(self, context: AutomationContext[dg.AssetKey]) -> dg.AutomationResult[dg.AssetKey]:
        """Return the whole of the candidates or nothing: days that change one after the other do
        not make a run each.
        """
        subset = context.candidate_subset
        rests = not subset.is_empty and context.evaluation_time.timestamp() < self._rests_until(
            context
        )
        return dg.AutomationResult(context, subset if rests else context.get_empty_subset())

    def _rests_until(self, context: AutomationContext[dg.AssetKey]) -> float:
        planned = newest_planned(context, 1)
        run = (
            context.asset_graph_view.instance.get_run_record_by_id(planned[0].run_id)
            if planned
            else None
        )
        if run is None or not (run.start_time and run.end_time):
            return 0
        return run.end_time + min(self.times * (run.end_time - run.start_time), MAX_PAUSE_SECONDS)


def newest_planned(
    context: AutomationContext[dg.AssetKey],
    limit: int,
    days: Sequence[str] = (),
    key: dg.AssetKey | None = None,
) -> Sequence[dg.EventLogRecord]:
    """Return the newest requests of an asset, or of some of its days: the one that is evaluated,
    unless another is named.
    """
    which = dg.EventRecordsFilter(
        dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
        asset_key=key or context.key,
        asset_partitions=list(days) or None,
    )
    return context.asset_graph_view.instance.event_log_storage.get_event_records(which, limit=limit)
