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
# So many cost little in the run of today, and slow it down in one of their own.
FEW_DAYS = 7


@record
class DueDays(dg.AutomationCondition[dg.AssetKey]):
    """True for today, and for the other days once none of them was requested in the last minutes:
    a run for each late line would keep today waiting.

    A few of them wait for the end of today's run as well, and go with its next one. Of many the
    newest go first, so many at a time that a run has an end.
    """

    minutes: int

    @property
    def name(self) -> str:
        """What the page of an asset's automation shows."""
        return f"late_days_wait_{self.minutes}_minutes"

    async def evaluate(  # pyright: ignore[reportIncompatibleMethodOverride]  # Dagster awaits it, and its types do not say so
        self, context: AutomationContext[dg.AssetKey]
    ) -> dg.AutomationResult[dg.AssetKey]:
        """Return the days that are due out of the candidates."""
        subset = context.candidate_subset
        days = sorted(day for day in subset.expensively_compute_partition_keys() if day)
        today = str(datetime.fromtimestamp(_now(context), ZoneInfo(TIMEZONE)).date())
        late = [day for day in days if day < today][-MAX_DAYS:]
        due = {day for day in days if day >= today}
        wait = len(late) <= FEW_DAYS and await _is_in_progress(context, today)
        if not wait and self._are_due(context, late):
            due.update(late)
        return dg.AutomationResult(context, subset.compute_intersection_with_partition_keys(due))

    def _are_due(self, context: AutomationContext[dg.AssetKey], late: list[str]) -> bool:
        newest = newest_planned(context, 1, late) if late else ()
        return not newest or _now(context) - newest[0].timestamp >= 60 * self.minutes


async def _is_in_progress(context: AutomationContext[dg.AssetKey], day: str) -> bool:
    in_progress = await context.asset_graph_view.compute_run_in_progress_subset(
        key=context.key, from_subset=context.candidate_subset
    )
    return day in in_progress.expensively_compute_partition_keys()


def _now(context: AutomationContext[dg.AssetKey]) -> float:
    return context.evaluation_time.timestamp()
