"""Days that only late lines touch: they wait for each other, today does not wait for them."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import dagster as dg
from dagster import AutomationContext
from dagster_shared.record import record

from qimo_assets.automation.backoff import newest_planned
from qimo_assets.contract import TIMEZONE

# Days of one request; the newest go first, the others with the next one.
MAX_DAYS = 31


@record
class DueDays(dg.AutomationCondition[dg.AssetKey]):
    """True for today, and for the other days once none of them was requested in the last minutes:
    a run for each late line would keep today waiting.

    Of the other days the newest go first, so many at a time that a run has an end.
    """

    minutes: int

    @property
    def name(self) -> str:
        """What the page of an asset's automation shows."""
        return f"late_days_wait_{self.minutes}_minutes"

    def evaluate(self, context: AutomationContext[dg.AssetKey]) -> dg.AutomationResult[dg.AssetKey]:
        """Return the days that are due out of the candidates."""
        subset = context.candidate_subset
        days = sorted(day for day in subset.expensively_compute_partition_keys() if day)
        today = str(datetime.fromtimestamp(_now(context), ZoneInfo(TIMEZONE)).date())
        late = [day for day in days if day < today][-MAX_DAYS:]
        due = {day for day in days if day >= today} | set(
            late if self._are_due(context, late) else ()
        )
        return dg.AutomationResult(context, subset.compute_intersection_with_partition_keys(due))

    def _are_due(self, context: AutomationContext[dg.AssetKey], late: list[str]) -> bool:
        newest = newest_planned(context, 1, late) if late else ()
        return not newest or _now(context) - newest[0].timestamp >= 60 * self.minutes


def _now(context: AutomationContext[dg.AssetKey]) -> float:
    return context.evaluation_time.timestamp()
