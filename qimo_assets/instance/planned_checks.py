"""What Dagster keeps of a check that a run is going to evaluate: nothing, where such runs follow
each other, and else one row.

Dagster 1.13 shows a planned check in the place of its last outcome. While lines flow one run of
metrics follows the other, and their checks would be in progress for hours.

For a range of days it writes a row for each, and fills one more when the check has been evaluated,
so that each day of a backfill showed as a check that was skipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationPlanned,
)
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster_shared.record import replace

from qimo_assets.automation.jobs import PUBLISH_METRICS

if TYPE_CHECKING:
    _Storage = SqlEventLogStorage
else:
    _Storage = object


class PlannedChecks(_Storage):
    """A storage of events, before whose class this one stands, for checks that have no days."""

    def _store_asset_check_evaluation_planned(
        self, event: EventLogEntry, event_id: int | None
    ) -> None:
        # The evaluation finds no row to fill then, and adds one.
        if event.job_name != PUBLISH_METRICS:
            super()._store_asset_check_evaluation_planned(without_days(event), event_id)


def without_days(event: EventLogEntry) -> EventLogEntry:
    """Return the event that plans a check, without the days of its run."""
    planned = event.dagster_event and event.dagster_event.event_specific_data
    if event.dagster_event is None or not isinstance(planned, AssetCheckEvaluationPlanned):
        return event
    dateless = replace(planned, partitions_subset=None)
    return event._replace(dagster_event=event.dagster_event._replace(event_specific_data=dateless))
