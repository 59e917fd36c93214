"""Days that only late lines touch: they wait for each other, today does not wait for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import chain
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

    Attributes:
        minutes: How long they wait for each other.
        beside: Metrics whose runs and requests count as its own.
    """

    minutes: int
    beside: Sequence[dg.AssetKey] = ()

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
        wait = len(late) <= FEW_DAYS and await self._is_in_progress(context, today)
        if not wait and self._are_due(context, late):
            due.update(late)
        return dg.AutomationResult(context, subset.compute_intersection_with_partition_keys(due))

    def _are_due(self, context: AutomationContext[dg.AssetKey], late: list[str]) -> bool:
        if not late:
            return True
        requests = chain.from_iterable(
            newest_planned(context, 1, late, key) for key in self._keys(context)
        )
        requested = newest_request((request.run_id, request.timestamp) for request in requests)
        return requested is None or _now(context) - requested >= 60 * self.minutes

    async def _is_in_progress(self, context: AutomationContext[dg.AssetKey], day: str) -> bool:
        for key in self._keys(context):
            in_progress = await context.asset_graph_view.compute_run_in_progress_subset(
                key=key, from_subset=context.candidate_subset
            )
            if day in in_progress.expensively_compute_partition_keys():
                return True
        return False

    def _keys(self, context: AutomationContext[dg.AssetKey]) -> list[dg.AssetKey]:
        return [context.key, *self.beside]


def newest_request(requests: Iterable[tuple[str, float]]) -> float | None:
    """Return the time of the newest request, by the last one that is given of each run.

    The events of one request are written one after the other: by the time of its own each metric of
    a run would be due a moment later than the one before, and a look between two of them would part
    them.

    Args:
        requests: Run and seconds since the epoch of each; of the metric that all look at, last.
    """
    return max(dict(requests).values(), default=None)


def _now(context: AutomationContext[dg.AssetKey]) -> float:
    return context.evaluation_time.timestamp()
