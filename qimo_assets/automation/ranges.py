"""Requests for days that follow each other, joined into runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster_shared.record import copy

from qimo_assets.partitions import daily

# The tags of a run for a range of days and for one.
RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"
PARTITION_TAG = "dagster/partition"


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
