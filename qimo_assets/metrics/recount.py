"""Once a night yesterday is recounted from its messages, and held against the figures that grew."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg

from qimo_assets.automation.conditions import nightly
from qimo_assets.contract import TIMEZONE
from qimo_assets.metrics.catalog import METRICS, TOTAL
from qimo_assets.metrics.figures import Figures, adds_up, rows_of
from qimo_assets.metrics.specs import metric_key
from qimo_assets.resources.hive import HiveError, HiveResource, HiveSession

CHECK = "equals_a_recount"
RECOUNT_CHECK = dg.AssetCheckKey(metric_key(TOTAL), CHECK)
# A day that changes while it is recounted says nothing; late lines come seldom at night.
TRIES = 3
MOST_FOUND = 20


def build_recount_check(
    database: str, today: Callable[[], str] | None = None
) -> dg.AssetChecksDefinition:
    """Return the check that yesterday's figures are what its messages say.

    Args:
        database: Hive database of the tables and views.
        today: The day of now; the calendar's of Shanghai where none is given.
    """

    @dg.asset_check(
        asset=metric_key(TOTAL),
        name=CHECK,
        description="The figures of yesterday that grew with its messages are what its views say "
        "when they read all of them; asked once a night. Where they differ, materialize the day: "
        "that counts it from its messages.",
        automation_condition=nightly(),
    )
    def equals_a_recount(hive: HiveResource) -> dg.AssetCheckResult:
        day = _before(today() if today else _today())
        with hive.session() as session:
            found = differences(session, database, day)
        told = {"day": day, "found": len(found or []), "differences": (found or [])[:MOST_FOUND]}
        return dg.AssetCheckResult(
            passed=not found,
            severity=dg.AssetCheckSeverity.ERROR,
            description="" if found is not None else f"{day} changed while it was recounted.",
            metadata=told,
        )

    return equals_a_recount


def differences(session: HiveSession, database: str, day: str) -> list[str] | None:
    """Return the rows of a day in which its figures and its views differ; None where the day
    changed each time that it was recounted.

    Raises:
        HiveError: The figures or a view cannot be read.
    """
    metrics = [metric for metric in METRICS if adds_up(metric)]
    figures = Figures(session, database, metrics)
    figures.open()
    for _ in range(TRIES):
        before = figures.bring_up_to_date([day])
        found: list[str] = []
        for metric, rows in figures.read(metrics, [day]):
            if isinstance(rows, HiveError):
                raise rows
            whole = rows_of(session, metric, f"{database}.{metric.name}", [day])
            found += [f"{metric.name}: {row} is not counted" for row in {*whole} - {*rows}]
            found += [f"{metric.name}: {row} is counted" for row in {*rows} - {*whole}]
        if figures.bring_up_to_date([day]) == before:
            return sorted(found)
    return None


def _today() -> str:
    return str(datetime.now(ZoneInfo(TIMEZONE)).date())


def _before(day: str) -> str:
    return str(datetime.fromisoformat(day).date() - timedelta(days=1))
