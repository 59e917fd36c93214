"""storage: what the platform writes into Dagster's own storage, table by table, while lines flow,
and what that comes to after a month.

Where rows are deleted, those written are counted by the numbers that the server gives them. The
size of a row is that of its table with its indexes over its rows, after the table was analyzed;
`asset_keys`, `kvs` and the like are rewritten and not grown, and show as 0.

A table is told twice: **an hour** is what is written in one, and **after a month** is what is there
then: an hour's bytes times the hours for which retention keeps a row, or those of a month where
nothing deletes it. What InnoDB does not give back to the disk is not in it, and neither are the
newest rows of each partition, which stay for good and do not grow with time.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta

import dagster as dg

from benchmarks.measure import Figure
from benchmarks.plans import StoragePlan
from benchmarks.testbed import Testbed, say
from qimo_assets import simulator
from qimo_assets.instance.retention import EVENTS_KEPT, KEPT, TICKS_KEPT
from qimo_assets.stack import health
from qimo_assets.stack.layout import Layout

MONTH = timedelta(days=30)
MIB = 2**20
HOUR_SECONDS = 3600
# `dagster.yaml` has Dagster purge ticks after this, those of failures later.
JOB_TICKS_KEPT = timedelta(days=2)
RUNS_KEPT = KEPT[dg.DagsterRunStatus.SUCCESS]
# Table -> how long a row of it is kept; nothing deletes the rows of another one.
TABLES_KEPT: Mapping[str, timedelta] = {
    "asset_check_executions": EVENTS_KEPT,
    "asset_daemon_asset_evaluations": TICKS_KEPT,
    "asset_event_tags": RUNS_KEPT,
    "event_logs": RUNS_KEPT,
    "job_ticks": JOB_TICKS_KEPT,
    "run_tags": RUNS_KEPT,
    "runs": RUNS_KEPT,
}
SIZES = (
    "SELECT table_name, coalesce(auto_increment, 1) - 1, data_length + index_length FROM "
    "information_schema.tables WHERE table_schema = 'dagster' AND table_type = 'BASE TABLE'"
)


@dataclass(frozen=True)
class Size:
    """A table at a moment.

    Attributes:
        written: Rows that it ever got.
        rows: Rows that it has.
        bytes: Its size with its indexes.
    """

    written: int
    rows: int
    bytes: int


def run(plan: StoragePlan, bed: Testbed) -> Sequence[Figure]:
    """Let lines flow on the whole stack, and look at Dagster's tables before and after."""
    bed.qimo("up")
    try:
        simulator.feed(
            bed.settings.source.log_dir,
            plan.rate * plan.warm_seconds,
            rate=plan.rate,
            seed=plan.seed,
        )
        before, began = sizes(bed.layout), time.monotonic()
        say(f"{len(before)} tables, {sum(size.bytes for size in before.values()) / MIB:.0f} MiB")
        simulator.feed(
            bed.settings.source.log_dir,
            plan.rate * plan.seconds,
            rate=plan.rate,
            seed=plan.seed + 1,
        )
        return figures(before, sizes(bed.layout), time.monotonic() - began)
    finally:
        bed.qimo("down", check=False)


def sizes(layout: Layout) -> dict[str, Size]:
    """Return table -> its size now."""
    found: dict[str, Size] = {}
    with (
        closing(health.mysql_connection(layout, "dagster")) as connection,
        closing(connection.cursor()) as cursor,
    ):
        # The server remembers what it once said of a table.
        cursor.execute("SHOW TABLES FROM dagster")
        names = [f"dagster.`{row[0]}`" for row in cursor.fetchall()]
        cursor.execute(f"ANALYZE TABLE {', '.join(names)}")
        cursor.fetchall()
        cursor.execute(SIZES)
        for name, written, size in cursor.fetchall():
            cursor.execute(f"SELECT count(*) FROM dagster.`{name}`")
            [(rows,)] = cursor.fetchall()
            found[name] = Size(int(written), int(rows), int(size))
    return found


def figures(before: Mapping[str, Size], after: Mapping[str, Size], seconds: float) -> list[Figure]:
    """Return what each table gets in an hour and holds after a month, the largest first.

    Args:
        before: Table -> its size at the beginning.
        after: Table -> its size at the end.
        seconds: The time between.
    """
    nothing = Size(0, 0, 0)
    # Of a table whose rows are deleted those count that were; in the others a row that is written
    # again takes a number as well, and is none more.
    new = {
        name: size.written - before.get(name, nothing).written
        if name in TABLES_KEPT
        else max(size.rows - before.get(name, nothing).rows, 0)
        for name, size in after.items()
    }
    hourly = {
        name: new[name] * size.bytes / max(size.rows, 1) * HOUR_SECONDS / seconds
        for name, size in after.items()
    }
    monthly = {
        name: rate * (min(TABLES_KEPT.get(name, MONTH), MONTH) / timedelta(hours=1))
        for name, rate in hourly.items()
    }
    largest = sorted(monthly, key=lambda name: -monthly[name])
    each = [
        Figure(
            name,
            "MiB",
            {"after a month": [monthly[name] / MIB], "an hour": [hourly[name] / MIB]},
            {
                "kept, hours": TABLES_KEPT.get(name, MONTH) / timedelta(hours=1),
                "rows an hour": new[name] * HOUR_SECONDS / seconds,
            },
        )
        for name in largest
        if monthly[name]
    ]
    total = {
        "after a month": [sum(monthly.values()) / MIB],
        "an hour": [sum(hourly.values()) / MIB],
    }
    return [Figure("all of Dagster's tables", "MiB", total), *each]
