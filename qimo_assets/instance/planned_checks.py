"""One row a planned check, also in a run for a range of days.

Dagster 1.13 writes a row for each day of the range and fills one more when the check has been
evaluated, so that each day of a backfill showed as a check that was skipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationPlanned,
)
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster_shared.record import replace

if TYPE_CHECKING:
    _Storage = SqlEventLogStorage
else:
    _Storage = object


class OnePlannedRow(_Storage):
    """A storage of events, before whose class this one stands, for checks that have no days."""

    def _store_asset_check_evaluation_planned(
        self, event: EventLogEntry, event_id: int | None
    ) -> None:
        super()._store_asset_check_evaluation_planned(without_days(event), event_id)


def without_days(event: EventLogEntry) -> EventLogEntry:
    """Return the event that plans a check, without the days of its run."""
    planned = event.dagster_event and event.dagster_event.event_specific_data
    if event.dagster_event is None or not isinstance(planned, AssetCheckEvaluationPlanned):
        return event
    dateless = replace(planned, partitions_subset=None)
    return event._replace(dagster_event=event.dagster_event._replace(event_specific_data=dateless))
