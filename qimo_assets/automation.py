"""When an asset is materialized without being asked: the conditions of metrics, views and checks,
as Dagster automation.

Each condition is "something happened since it was last requested". Two of Dagster's own building
blocks are left out on purpose:

- `since_last_handled()` also forgets a change when the asset is materialized, so a day that is
  touched while its run is reading would stay old for ever.
- `any_deps_updated()` drops the time of an event, so a day that is touched in the interval after
  its request would be forgotten at the next tick. `newly_updated()` by itself keeps the time; for
  the same reason each cause below has a `since` of its own.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import and_
from typing import Any

import dagster as dg
from dagster import AutomationContext
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster_shared.record import copy, record

from qimo_assets.partitions import daily

# The version is pinned, so that a beta parameter cannot change; six lines of warning at each load
# hide what matters. Said here, because whatever loads a room of assets loads this first.
warnings.filterwarnings("ignore", category=dg.BetaWarning)

HOURLY_CRON = "5 * * * *"
MESSAGES = dg.AssetKey(["hudi", "chat_message"])
# Whatever a metric reads there, a day changes when one of its tables does.
LAKE = dg.AssetSelection.key_prefixes(["hudi"], include_sources=True)
FIRST_PAUSE_SECONDS = 10
LONGEST_PAUSE_SECONDS = 300
# The tags of a run for a range of days and for one.
RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"
PARTITION_TAG = "dagster/partition"
# After so many failures in a row the pause grows no more.
TRIES_LOOKED_AT = 7

_Condition = dg.AutomationCondition


def pause_seconds(failures: int) -> int:
    """Return how long to wait after the last of so many failures in a row: twice as long after
    each.
    """
    return min(FIRST_PAUSE_SECONDS * 2 ** (failures - 1), LONGEST_PAUSE_SECONDS)


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


def metric_condition(rest: int = 0, beside: dg.AssetKey | None = None) -> dg.AutomationCondition:
    """Request exactly the days whose lake data changed, the days never published, and failed days
    again with growing pauses.

    A view that is created again requests nothing: that would be every day of history.

    Args:
        rest: How many times as long as its last run took a metric rests after it; 0 follows each
            change.
        beside: The metric for whose run this one waits as for its own, so that both share the next
        one; two that began at different times would take
            turns for ever, each with a reading of the messages of its own.
    """
    ready = ~_Condition.any_deps_missing().ignore(LAKE) & _Condition.any_deps_match(
        ~_Condition.missing()
    ).allow(LAKE)
    touched = _Condition.any_deps_match(_Condition.newly_updated()).allow(LAKE)
    unpublished = (_Condition.missing() & ready).newly_true()
    wanted = (
        (_pending(touched) | _pending(unpublished) | _pending(_Condition.execution_failed()))
        & ready
        & ~_Condition.in_progress()
        & ~_resting()
    )
    alone = (
        wanted & ~_Condition.asset_matches(beside, _Condition.in_progress()) if beside else wanted
    )
    return alone & ~RestsAfterRun(times=rest) if rest else alone


def view_condition(deps: Sequence[dg.AssetKey]) -> dg.AutomationCondition:
    """Request a view when it does not exist or its SQL changed, as soon as all that it reads
    exists, and after a failure with growing pauses.

    Args:
        deps: What the view reads; of a dated table one day is enough.
    """
    each = [
        _Condition.any_deps_match(~_Condition.missing()).allow(dg.AssetSelection.assets(key))
        for key in deps
    ]
    readable = reduce(and_, each)
    absent = _Condition.missing().newly_true()
    changed = _Condition.code_version_changed()
    return (
        (_pending(absent) | _pending(changed) | _pending(_Condition.execution_failed()))
        & readable
        & ~_Condition.in_progress()
        & ~_resting()
    )


def hourly() -> dg.AutomationCondition:
    """Request once an hour."""
    return _Condition.cron_tick_passed(HOURLY_CRON) & ~_Condition.in_progress()


class RunPerRangeSensor(dg.AutomationConditionSensorDefinition):
    """Requests days that follow each other as one run, at once.

    Dagster's own hands more than one day of an asset to the backfill daemon, which looks each 30 s
    and holds the days until it has looked again after their run: with some late lines among 1,000 a
    second, each minute saw one publication.
    """

    def __init__(self, name: str, **options: Any) -> None:
        # In the code server: the pause after failures is a condition of this project, which the
        # daemon cannot evaluate.
        super().__init__(name, emit_backfills=False, use_user_code_server=True, **options)

    def evaluate_tick(self, context: dg.SensorEvaluationContext) -> SensorExecutionData:
        """Evaluate the conditions and join the requests for single days."""
        found = super().evaluate_tick(context)
        return copy(found, run_requests=in_ranges(found.run_requests or []))


def in_ranges(requests: Sequence[dg.RunRequest]) -> list[dg.RunRequest]:
    """Return requests for a day each as one for all assets of the same days that follow each other;
    other requests as they are.

    Args:
        requests: At most one for each asset and day.
    """
    dated = [request for request in requests if request.partition_key]
    days: defaultdict[dg.AssetKey, set[str]] = defaultdict(set)
    for request in dated:
        for key in request.asset_selection or ():
            days[key].add(request.partition_key or "")
    assets: defaultdict[frozenset[str], list[dg.AssetKey]] = defaultdict(list)
    for key, of_asset in days.items():
        assets[frozenset(of_asset)].append(key)
    tags = (
        {name: value for name, value in dated[0].tags.items() if name != PARTITION_TAG}
        if dated
        else {}
    )
    return [
        *(request for request in requests if not request.partition_key),
        *(
            _for_range(keys, span, tags)
            for of_assets, keys in assets.items()
            for span in daily.subset_with_partition_keys(of_assets).get_partition_key_ranges(daily)
        ),
    ]


def _for_range(
    keys: Sequence[dg.AssetKey], span: dg.PartitionKeyRange, tags: Mapping[str, str]
) -> dg.RunRequest:
    if span.start == span.end:
        return dg.RunRequest(
            asset_selection=keys, partition_key=span.start, tags={**tags, PARTITION_TAG: span.start}
        )
    return dg.RunRequest(
        asset_selection=keys, tags={**tags, RANGE_START_TAG: span.start, RANGE_END_TAG: span.end}
    )


def _pending(cause: dg.AutomationCondition) -> dg.AutomationCondition:
    return cause.since(_Condition.newly_requested())


def _resting() -> dg.AutomationCondition:
    return _Condition.execution_failed() & PausedAfterFailure()


class PausedAfterFailure(dg.AutomationCondition):
    """True for failed days until the pause after their last failure is over; decided from the run
    records, nothing is remembered.

    The newest of the failed days stands for all: they mostly failed together, and one that fails
    for a reason of its own is alone again once the others are published.
    """

    @property
    def name(self) -> str:
        """What the page of an asset's automation shows."""
        return "paused_after_failure"

    def evaluate(self, context: AutomationContext) -> dg.AutomationResult:
        """Return the whole of the candidates or nothing."""
        subset = context.candidate_subset
        paused = not subset.is_empty and self._is_paused(context)
        return dg.AutomationResult(context, subset if paused else context.get_empty_subset())

    def _is_paused(self, context: AutomationContext) -> bool:
        instance = context.asset_graph_view.instance
        failed = context.candidate_subset
        days = (
            sorted(day for day in failed.expensively_compute_partition_keys() if day)[-1:]
            if failed.is_partitioned
            else []
        )
        planned = _newest_planned(context, TRIES_LOOKED_AT, days)
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
class RestsAfterRun(dg.AutomationCondition):
    """True for some times as long as the last run of an asset took, from its end on: what reads
    much takes a bounded share of the machine.

    Nothing waits after a quiet time, and what changes in the meantime is one run.
    """

    times: int

    @property
    def name(self) -> str:
        """What the page of an asset's automation shows."""
        return f"rests_{self.times}_times_its_run"

    def evaluate(self, context: AutomationContext) -> dg.AutomationResult:
        """Return the whole of the candidates or nothing: days that change one after the other do
        not make a run each.
        """
        subset = context.candidate_subset
        rests = not subset.is_empty and context.evaluation_time.timestamp() < self._rests_until(
            context
        )
        return dg.AutomationResult(context, subset if rests else context.get_empty_subset())

    def _rests_until(self, context: AutomationContext) -> float:
        planned = _newest_planned(context, 1)
        run = (
            context.asset_graph_view.instance.get_run_record_by_id(planned[0].run_id)
            if planned
            else None
        )
        if run is None or not (run.start_time and run.end_time):
            return 0
        return run.end_time + min(
            self.times * (run.end_time - run.start_time), LONGEST_PAUSE_SECONDS
        )


def _newest_planned(
    context: AutomationContext, limit: int, days: Sequence[str] = ()
) -> Sequence[dg.EventLogRecord]:
    which = dg.EventRecordsFilter(
        dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
        asset_key=context.key,
        asset_partitions=list(days) or None,
    )
    return context.asset_graph_view.instance.event_log_storage.get_event_records(which, limit=limit)
