"""Which days of an asset are older than what they are made from, whatever ended their last run.

A touched day is requested at once, and a failed one again. What neither sees is a run that a person
or a time limit ended, one that was deleted, and a request that got lost: found here by comparing
the events of both sides, now and then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg
from dagster import AutomationContext
from dagster_shared.record import record

from qimo_assets.contract import TIMEZONE
from qimo_assets.partitions import daily

# Each look asks for the newest event of each day of both sides.
POLL_SECONDS = 60
SENSOR_TAG = "dagster/sensor_name"
MATERIALIZED = dg.DagsterEventType.ASSET_MATERIALIZATION

Touched = Mapping[str, int]


def touched_days(instance: dg.DagsterInstance, key: dg.AssetKey) -> Touched:
    """Return the id of the newest materialization of each day."""
    return instance.get_latest_storage_id_by_partition(key, MATERIALIZED)


def days_behind(
    instance: dg.DagsterInstance,
    key: dg.AssetKey,
    touched: Iterable[Touched],
    today: date,
    looks_back: int = 0,
    looks_ahead: int = 0,
) -> set[str]:
    """Return the days of an asset that are older than what they are made from.

    Args:
        instance: Holds the events of both sides.
        key: The asset.
        touched: What `touched_days` returned of each asset that it is made from.
        today: The last day that there is.
        looks_back: Days before its own from which a day is made.
        looks_ahead: Days after its own from which a day is made.
    """
    done = touched_days(instance, key)
    made_from = [
        (date.fromisoformat(day) + timedelta(days=offset), event)
        for days in touched
        for day, event in days.items()
        for offset in range(-looks_ahead, looks_back + 1)
    ]
    older = {
        str(day)
        for day, event in made_from
        if daily.start.date() <= day <= today and done.get(str(day), 0) < event
    }
    return older | _ended_without(instance, key)


def _ended_without(instance: dg.DagsterInstance, key: dg.AssetKey) -> set[str]:
    """Return the days whose last run was launched by a sensor and ended without publishing them.

    Such a day may look published: what touched it while the run before was reading is older than
    that run's publication.
    """
    storage = instance.event_log_storage
    tries = storage.get_latest_asset_partition_materialization_attempts_without_materializations(
        key
    )
    runs = (
        {
            found.dagster_run.run_id: found.dagster_run
            for found in instance.get_run_records(
                dg.RunsFilter(run_ids=list({run_id for run_id, _ in tries.values()}))
            )
        }
        if tries
        else {}
    )
    return {
        day
        for day, (run_id, _) in tries.items()
        if (run := runs.get(run_id)) and run.is_finished and SENSOR_TAG in run.tags
    }


@record
class LeftBehind(dg.AutomationCondition[dg.AssetKey]):
    """True, at a look each minute, for the days that are older than what they are made from in the
    lake.
    """

    looks_back: int
    looks_ahead: int

    @property
    def name(self) -> str:
        """What the page of an asset's automation shows."""
        return "left_behind_the_lake"

    def evaluate(self, context: AutomationContext[dg.AssetKey]) -> dg.AutomationResult[dg.AssetKey]:
        """Return the candidates that are behind; nothing between two looks."""
        now = context.evaluation_time.timestamp()
        if now - float(context.cursor or 0) < POLL_SECONDS:
            return dg.AutomationResult(context, context.get_empty_subset(), cursor=context.cursor)
        view = context.asset_graph_view
        lake = [
            key for key in view.asset_graph.get(context.key).parent_keys if key.path[0] == "hudi"
        ]
        behind = days_behind(
            view.instance,
            context.key,
            [touched_days(view.instance, key) for key in lake],
            datetime.fromtimestamp(now, ZoneInfo(TIMEZONE)).date(),
            self.looks_back,
            self.looks_ahead,
        )
        found = view.get_subset_from_partition_keys(
            context.key, daily, {day for day in behind if daily.has_partition_key(day)}
        )
        return dg.AutomationResult(
            context, context.candidate_subset.compute_intersection(found), cursor=str(now)
        )
