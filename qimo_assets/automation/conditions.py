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

from collections.abc import Sequence
from functools import reduce
from operator import and_, or_
from typing import Any

import dagster as dg

from qimo_assets.automation.backoff import PausedAfterFailure, RestsAfterRun
from qimo_assets.automation.behind import LeftBehind
from qimo_assets.automation.lateness import DueDays
from qimo_assets.contract import TIMEZONE

HOURLY_CRON = "5 * * * *"
# When yesterday is over and most of its late lines have come.
NIGHTLY_CRON = "35 3 * * *"
MESSAGES = dg.AssetKey(["hudi", "chat_message"])
# Whatever a metric reads there, a day changes when one of its tables does.
LAKE = dg.AssetSelection.key_prefixes(["hudi"], include_sources=True)

_Condition = dg.AutomationCondition


def metric_condition(
    rest: int = 0,
    beside: dg.AssetKey | None = None,
    late_minutes: int = 0,
    looks_back: int = 0,
    looks_ahead: int = 0,
) -> dg.AutomationCondition[Any]:
    """Request exactly the days whose lake data changed, the days never published, failed days again
    with growing pauses, and days that are behind for any other reason.

    A view that is created again requests nothing: that would be every day of history.

    Args:
        rest: How many times as long as its last run took a metric rests after it; 0 follows each
            change.
        beside: The metric for whose runs and requests this one waits as for its own, so that both
            share the next one; two that began at different times would take turns for ever, each
            with a reading of the messages of its own.
        late_minutes: Minutes that days before today wait for each other; 0 follows each change.
        looks_back: Days before its own from which a day is made.
        looks_ahead: Days after its own from which a day is made.
    """
    ready = ~_Condition.any_deps_missing().ignore(LAKE) & _Condition.any_deps_match(
        ~_Condition.missing()
    ).allow(LAKE)
    touched = _Condition.any_deps_match(_Condition.newly_updated()).allow(LAKE)
    unpublished = (_Condition.missing() & ready).newly_true()
    # A day whose run goes on is behind until its end.
    left = LeftBehind(looks_back=looks_back, looks_ahead=looks_ahead) & ~_Condition.in_progress()
    causes = (touched, unpublished, _Condition.execution_failed(), left)
    wanted = reduce(or_, map(_pending, causes)) & ready & ~_Condition.in_progress() & ~_resting()
    alone = (
        wanted & ~_Condition.asset_matches(beside, _Condition.in_progress()) if beside else wanted
    )
    shared = [beside] if beside else []
    due = alone & DueDays(minutes=late_minutes, beside=shared) if late_minutes else alone
    return due & ~RestsAfterRun(times=rest) if rest else due


def view_condition(deps: Sequence[dg.AssetKey]) -> dg.AutomationCondition[Any]:
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


def hourly() -> dg.AutomationCondition[Any]:
    """Request once an hour."""
    return _Condition.cron_tick_passed(HOURLY_CRON) & ~_Condition.in_progress()


def nightly() -> dg.AutomationCondition[Any]:
    """Request once a night, by the clock of Shanghai."""
    return (
        _Condition.cron_tick_passed(NIGHTLY_CRON, cron_timezone=TIMEZONE)
        & ~_Condition.in_progress()
    )


def _pending(cause: dg.AutomationCondition[Any]) -> dg.AutomationCondition[Any]:
    return cause.since(_Condition.newly_requested())


def _resting() -> dg.AutomationCondition[Any]:
    return _Condition.execution_failed() & PausedAfterFailure()
