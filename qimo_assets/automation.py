"""When an asset is materialized without being asked: the conditions of metrics and views, as Dagster automation.

Each condition is "something happened since it was last requested". Two of Dagster's own building blocks are left out on purpose:

- `since_last_handled()` also forgets a change when the asset is materialized, so a day that is touched while its run
  is reading would stay old for ever.
- `any_deps_updated()` drops the time of an event, so a day that is touched in the interval after its request would be
  forgotten at the next tick. `newly_updated()` by itself keeps the time; for the same reason each cause below has
  a `since` of its own.
"""

from __future__ import annotations

import dagster as dg

RETRY_CRON = "*/5 * * * *"
MESSAGES = dg.AssetKey(["hudi", "chat_message"])

_Condition = dg.AutomationCondition


def metric_condition() -> dg.AutomationCondition:
    """Request exactly the days whose messages changed, the days never published, and failed days again every five minutes.

    A view that is created again requests nothing: that would be every day of history.
    """
    ready = ~_Condition.any_deps_missing()
    touched = _Condition.any_deps_match(_Condition.newly_updated()).allow(dg.AssetSelection.assets(MESSAGES))
    unpublished = (_Condition.missing() & ready).newly_true()
    return (_pending(touched) | _pending(unpublished) | _pending(_failed())) & ready & ~_Condition.in_progress()


def view_condition() -> dg.AutomationCondition:
    """Request a view when it does not exist or its SQL changed, as soon as what it reads exists, and after a failure every five minutes."""
    readable = _Condition.any_deps_match(~_Condition.missing())
    absent = _Condition.missing().newly_true()
    changed = _Condition.code_version_changed()
    return (_pending(absent) | _pending(changed) | _pending(_failed())) & readable & ~_Condition.in_progress()


def _pending(cause: dg.AutomationCondition) -> dg.AutomationCondition:
    return cause.since(_Condition.newly_requested())


def _failed() -> dg.AutomationCondition:
    return _Condition.execution_failed() & _Condition.cron_tick_passed(RETRY_CRON)
