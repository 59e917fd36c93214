"""What watches over the quarantine in Dagster: a check that warns when more lines are rejected than
before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg

from qimo_assets.automation.checks import EVALUATED
from qimo_assets.automation.conditions import hourly
from qimo_assets.automation.jobs import HOURLY_CHECKS
from qimo_assets.contract import TIMEZONE
from qimo_assets.lake.tables import MESSAGE, QUARANTINE
from qimo_assets.metadata import table
from qimo_assets.resources.hive import HiveResource, HiveSession

CHECK = "share_of_rejected_lines"
DAYS_BEFORE = 7
# How much later than its own time a line may come and still be counted among those that arrived.
LATEST_DAYS = 7
# More than twice the share of the days before is a rise; a few lines are none, whatever their
# share.
RISE, SLACK_LINES = 2, 10
ARRIVED_AND_REJECTED = (Path(__file__).parent / "sql" / "arrived_and_rejected.sql").read_text(
    encoding="utf-8"
)


@dataclass(frozen=True)
class Rise:
    """Today's rejected lines against those of the days before.

    Attributes:
        lines: Lines that arrived today.
        rejected: Those of them that were rejected.
        share_before: Share of rejected lines on the days before; None when no line arrived then.
    """

    lines: int
    rejected: int
    share_before: float | None

    @property
    def is_rising(self) -> bool:
        """Whether many more were rejected than the days before let expect."""
        return (
            self.share_before is not None
            and self.rejected > RISE * self.share_before * self.lines + SLACK_LINES
        )


def compare_days(days: Mapping[str, tuple[int, int]], today: str) -> Rise:
    """Compare today with the days before.

    Args:
        days: Day of collection -> lines that arrived, and those of them that were rejected.
        today: The day to compare.
    """
    before = [counts for day, counts in days.items() if day < today]
    arrived, rejected = sum(lines for lines, _ in before), sum(bad for _, bad in before)
    return Rise(*days.get(today, (0, 0)), rejected / arrived if arrived else None)


def read_days(session: HiveSession, database: str, today: date) -> dict[str, tuple[int, int]]:
    """Return lines that arrived and lines that were rejected on today and the days before; nothing
    while a table is still to come.

    Args:
        session: A session on HiveServer2.
        database: Hive database of the tables.
        today: The last day.
    """
    present = {str(row["tableName"]) for row in session.query(f"SHOW TABLES IN {database}")}
    if not {f"{MESSAGE.name}_rt", f"{QUARANTINE.name}_rt"} <= present:
        return {}
    since = today - timedelta(days=DAYS_BEFORE)
    values = {
        "since": since.isoformat(),
        "oldest": (since - timedelta(days=LATEST_DAYS)).isoformat(),
    }
    rows = session.query(ARRIVED_AND_REJECTED.format(database=database), values)
    return {str(row["day"]): (int(row["lines"]), int(row["rejected"])) for row in rows}


def build_quarantine_check(key: dg.AssetKey, database: str) -> dg.AssetChecksDefinition:
    """Return the check that warns when the share of rejected lines rises.

    Args:
        key: The asset on whose page it stands. Not one that the stream reports: each report would
            hide what the check found.
        database: Hive database of the tables.
    """

    @dg.asset_check(
        asset=key,
        name=CHECK,
        automation_condition=hourly(),
        metadata={EVALUATED: f"once an hour in a run of {HOURLY_CHECKS}"},
        description=f"Warns when more than {RISE} times the share of the {DAYS_BEFORE} days before "
        f"is rejected today, and {SLACK_LINES} lines more.",
    )
    def share_of_rejected_lines(hive: HiveResource) -> dg.AssetCheckResult:
        today = datetime.now(ZoneInfo(TIMEZONE)).date()
        with hive.session() as session:
            days = read_days(session, database, today)
        rise = compare_days(days, today.isoformat())
        return dg.AssetCheckResult(
            passed=not rise.is_rising,
            severity=dg.AssetCheckSeverity.WARN,
            description="Look at v_quarantine: SELECT reason, raw_text FROM v_quarantine WHERE "
            "day = today."
            if rise.is_rising
            else None,
            metadata={
                "lines today": rise.lines,
                "rejected today": rise.rejected,
                **({} if rise.share_before is None else {"share before": rise.share_before}),
                "days": table(
                    ["collected", "lines", "rejected", "share"],
                    [
                        (day, lines, rejected, f"{rejected / lines:.3%}")
                        for day, (lines, rejected) in sorted(days.items())
                        if lines
                    ],
                ),
            },
        )

    return share_of_rejected_lines
