"""Requests for days that follow each other, joined into runs of bounded size, the newest first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

import dagster as dg

from qimo_assets.automation.lateness import MAX_DAYS
from qimo_assets.partitions import daily

# The tags of a run for a range of days and for one.
RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"
PARTITION_TAG = "dagster/partition"
PRIORITY_TAG = "dagster/priority"
# The tag of a run that a sensor asked for, and no person.
SENSOR_TAG = "dagster/sensor_name"


def in_ranges(requests: Sequence[dg.RunRequest]) -> list[dg.RunRequest]:
    """Return requests for a day each as one for all assets of the same days that follow each other;
    other requests as they are.

    Ranges end with the newest day and have `MAX_DAYS` days at most; the newest come first,
    and before older ones that wait already.

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
    ranges = [(span, keys) for of_assets, keys in assets.items() for span in bounded(of_assets)]
    return [
        *(request for request in requests if not request.partition_key),
        *(
            _for_range(keys, span, tags)
            for span, keys in sorted(ranges, key=lambda found: found[0].end, reverse=True)
        ),
    ]


def bounded(days: Collection[str]) -> list[dg.PartitionKeyRange]:
    """Return days as ranges of those that follow each other, each of `MAX_DAYS` at most, the
    newest first.
    """
    ranges = []
    for span in daily.subset_with_partition_keys(days).get_partition_key_ranges(daily):
        keys = daily.get_partition_keys_in_range(span)
        ranges += [
            dg.PartitionKeyRange(keys[max(end - MAX_DAYS, 0)], keys[end - 1])
            for end in range(len(keys), 0, -MAX_DAYS)
        ]
    return sorted(ranges, key=lambda span: span.end, reverse=True)


def _for_range(
    keys: Sequence[dg.AssetKey], span: dg.PartitionKeyRange, tags: Mapping[str, str]
) -> dg.RunRequest:
    newest = daily.get_last_partition_key()
    # Whoever looks at a report looks at today: it passes the months that wait.
    own = {**tags, PRIORITY_TAG: "1"} if span.end == newest else dict(tags)
    if span.start == span.end:
        return dg.RunRequest(
            asset_selection=keys, partition_key=span.start, tags={**own, PARTITION_TAG: span.start}
        )
    return dg.RunRequest(
        asset_selection=keys, tags={**own, RANGE_START_TAG: span.start, RANGE_END_TAG: span.end}
    )
