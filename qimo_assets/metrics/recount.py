"""Once a night yesterday is recounted from its messages, and held against the figures that grew."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg

from qimo_assets.automation.conditions import nightly
from qimo_assets.contract import TIMEZONE
from qimo_assets.metrics.catalog import METRICS, TOTAL
from qimo_assets.metrics.facts import adds_up
from qimo_assets.metrics.figures import Figures
from qimo_assets.metrics.links import Counted
from qimo_assets.metrics.specs import metric_key
from qimo_assets.resources.hive import HiveError, HiveResource

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
        found = differences(hive, database, day)
        if found is None:
            return dg.AssetCheckResult(
                passed=False,
                severity=dg.AssetCheckSeverity.WARN,
                description=f"{day} changed each time that it was recounted, {TRIES} times. "
                "Run the check again.",
                metadata={"day": day},
            )
        return dg.AssetCheckResult(
            passed=not found,
            severity=dg.AssetCheckSeverity.ERROR,
            metadata={"day": day, "found": len(found), "differences": found[:MOST_FOUND]},
        )

    return equals_a_recount


def differences(hive: HiveResource, database: str, day: str) -> list[str] | None:
    """Return the rows of a day in which its figures and its views differ; None where they differed
    and the day changed each time that it was recounted. Of metrics that look at other days only
    the accounts of the day are compared: the other days go on meanwhile.

    Raises:
        HiveError: The figures or a view cannot be read.
    """
    for _ in range(TRIES):
        # A server may keep the listing of a table's files for a session.
        with hive.session() as session:
            figures = Figures([session], database, [m for m in METRICS if adds_up(m)])
            figures.counting.open()
            found, counted = _compare(figures, day)
            if not found or figures.counting.is_unchanged(day, counted):
                return sorted(found)
    return None


def _compare(figures: Figures, day: str) -> tuple[list[str], Counted]:
    metrics = [m for m in METRICS if adds_up(m) and not (m.looks_back or m.looks_ahead)]
    read, counted = figures.read(metrics, [day])
    found: list[str] = []
    for metric, rows in read:
        if isinstance(rows, HiveError):
            raise rows
        whole = figures.view_rows(metric, [day])
        found += [f"{metric.name}: {row} is not counted" for row in {*whole} - {*rows}]
        found += [f"{metric.name}: {row} is counted" for row in {*rows} - {*whole}]
    if accounts := figures.other_accounts(day, counted[day]):
        found.append(f"{accounts} accounts are not counted, or did not send")
    return found, counted[day]


def _today() -> str:
    return str(datetime.now(ZoneInfo(TIMEZONE)).date())


def _before(day: str) -> str:
    return str(datetime.fromisoformat(day).date() - timedelta(days=1))
