"""Once a night yesterday is recounted from its messages, and held against the figures that grew."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import chain
from zoneinfo import ZoneInfo

import dagster as dg

from qimo_assets.automation.checks import EVALUATED
from qimo_assets.automation.conditions import nightly
from qimo_assets.automation.jobs import HOURLY_CHECKS
from qimo_assets.contract import TIMEZONE
from qimo_assets.metrics.accounts import Accounts
from qimo_assets.metrics.catalog import METRICS, TOTAL
from qimo_assets.metrics.facts import FACTS
from qimo_assets.metrics.figures import Figures
from qimo_assets.metrics.look import look
from qimo_assets.metrics.rows import read_rows
from qimo_assets.resources.hive import HiveError, HiveResource, HiveSession
from qimo_assets.views.assets import view_key
from qimo_assets.views.sql import has_part

CHECK = "equals_a_recount"
# A day that changes while it is recounted says nothing; late lines come seldom at night.
TRIES = 3
MAX_FOUND = 20


def build_recount_check(
    database: str, large_day: int, today: Callable[[], str] | None = None
) -> dg.AssetChecksDefinition:
    """Return the check that yesterday's figures are what its messages say.

    Args:
        database: Hive database of the tables and views.
        large_day: The setting `metrics.large_day`.
        today: The day of now; the calendar's of Shanghai where none is given.
    """

    @dg.asset_check(
        # Not the metric's own table: each publication of a day would hide what the check found.
        asset=view_key(TOTAL),
        name=CHECK,
        metadata={EVALUATED: f"once a night in a run of {HOURLY_CHECKS}"},
        description="The figures of yesterday that grew with its messages are what its views say "
        "when they read all of them; asked once a night. Where they differ, materialize the day: "
        "that counts it from its messages.",
        automation_condition=nightly(),
    )
    def equals_a_recount(hive: HiveResource) -> dg.AssetCheckResult:
        day = _before(today() if today else _today())
        found = differences(hive, database, day, large_day)
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
            metadata={"day": day, "found": len(found), "differences": found[:MAX_FOUND]},
        )

    return equals_a_recount


def differences(hive: HiveResource, database: str, day: str, large_day: int) -> list[str] | None:
    """Return the rows of a day in which its figures and its views differ; None where they differed
    and the day changed each time that it was recounted. The figures of a day of few messages are
    its views; the accounts are compared of any day.

    Raises:
        HiveError: The figures or a view cannot be read.
    """
    for _ in range(TRIES):
        # A server may keep the listing of a table's files for a session.
        with hive.session() as session:
            accounts = Accounts(session, database)
            accounts.counting.open()
            found = _other_accounts(accounts, day)
            is_whole = True
            if look(session, database, [day])[day].messages >= large_day:
                of_figures, is_whole = _compare(session, database, day)
                found += of_figures
            if not found or is_whole:
                return sorted(found)
    return None


def _other_accounts(accounts: Accounts, day: str) -> list[str]:
    others = accounts.others(day)
    return [f"{others} accounts are not counted, or did not send"] if others else []


def _compare(session: HiveSession, database: str, day: str) -> tuple[list[str], bool]:
    """Return the differences, and whether they are the day's own: it is as it was before."""
    figures = Figures([session], database, METRICS)
    figures.counting.open()
    metrics = [metric for metric in METRICS if has_part(metric.name, FACTS)]
    reads = list(figures.read(metrics, [day]))
    found: list[str] = []
    for metric, rows in chain.from_iterable(read for read, _ in reads):
        if isinstance(rows, HiveError):
            raise rows
        whole = read_rows(session, metric, [day], f"{database}.{metric.name}")
        found += [f"{metric.name}: {row} is not counted" for row in {*whole} - {*rows}]
        found += [f"{metric.name}: {row} is counted" for row in {*rows} - {*whole}]
    return found, not found or all(
        figures.counting.is_unchanged(day, counted[day]) for _, counted in reads
    )


def _today() -> str:
    return str(datetime.now(ZoneInfo(TIMEZONE)).date())


def _before(day: str) -> str:
    return str(datetime.fromisoformat(day).date() - timedelta(days=1))
