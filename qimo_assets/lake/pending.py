"""Whether the table services keep up: what Hudi has planned and not done, and since when."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from qimo_assets.lake.watch import watched_asset
from qimo_assets.metadata import table

SERVICES = dg.AssetKey(["hudi", "table_services"])
CHECK = "table_services_keep_up"
# A service takes seconds, minutes on a busy machine: what is older has failed, more than once.
LATE_SECONDS = 1800

# Table -> when each piece of its pending work was planned, in seconds since the epoch.
Pending = Mapping[str, list[float]]


def judge(pending: Pending, now: float) -> dg.AssetCheckResult:
    """Judge whether work that was planned is done before long.

    Args:
        pending: What is planned and not done.
        now: Seconds since the epoch.
    """
    late = sorted(name for name, planned in pending.items() if _age(planned, now) > LATE_SECONDS)
    return dg.AssetCheckResult(
        asset_key=SERVICES,
        check_name=CHECK,
        passed=not late,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"Planned more than {LATE_SECONDS // 60} minutes ago and not done: "
        f"{', '.join(late)}. The log of the run of chat_stream says why it fails."
        if late
        else None,
        metadata={
            "pending": dg.MetadataValue.int(sum(map(len, pending.values()))),
            "age of the oldest (s)": dg.MetadataValue.int(
                max((_age(planned, now) for planned in pending.values()), default=0)
            ),
            "each table": table(
                ["table", "pending", "age of the oldest (s)"],
                [(name, len(planned), _age(planned, now)) for name, planned in pending.items()],
            ),
        },
    )


def _age(planned: list[float], now: float) -> int:
    return round(now - min(planned)) if planned else 0


def build_pending_definitions(tables: list[dg.AssetKey]) -> dg.Definitions:
    """Return the table services as an asset, and their check.

    Args:
        tables: The assets of the tables that are served.
    """
    return watched_asset(
        SERVICES,
        tables,
        "What Hudi has planned for the tables and not done yet, and since when.",
        CHECK,
        f"Warns when work on a table was planned {LATE_SECONDS // 60} minutes ago and is not done.",
    )
