"""The materializations of several days as one report, which is made again as a whole when it was
broken off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import dagster as dg

# Under this name an event carries the instant of the lake up to which was reported.
INSTANT = "instant"


def emit_days(
    emit: Callable[[dg.AssetMaterialization], None],
    key: dg.AssetKey,
    told: Mapping[str, Mapping[str, int]],
    before: Mapping[str, str | None],
    reached: Mapping[str, str | None],
) -> None:
    """Emit one materialization for each day, in the order of days.

    Args:
        emit: Takes an event.
        key: The asset.
        told: Day -> what is told of it.
        before: The instants up to which was reported before, by the name under which an event
            carries them.
        reached: The instants up to which this reports.
    """
    for place, day in enumerate(sorted(told), 1):
        # Only the last event carries the new instants: should the run die between two of them, the
        # next one reports all again.
        instants = reached if place == len(told) else before
        metadata = {**told[day], **{name: instant or "" for name, instant in instants.items()}}
        emit(dg.AssetMaterialization(key, partition=day, metadata=metadata))
