"""Dagster's own tables in MySQL, with room for what Dagster writes into them.

Dagster 1.13 makes the columns that hold its serialized objects as TEXT, which is 65,535 bytes in MySQL and without a limit elsewhere. What
automation thinks of one metric with daily partitions came to 64,424 bytes on a quiet day and to more at midnight, when a new day begins: each
evaluation failed from then on, and no metric was ever computed again (seen; dagster-io/dagster has the same of other columns, 33155 and 33229).
"""

from __future__ import annotations

import dagster as dg

from qimo_assets.stack.health import mysql_connection
from qimo_assets.stack.layout import Layout

# Table -> its column that holds a serialized object of any length.
BODIES = {
    "asset_check_executions": "evaluation_event",
    "asset_daemon_asset_evaluations": "asset_evaluation_body",
    "daemon_heartbeats": "body",
    "instigators": "instigator_body",
    "job_ticks": "tick_body",
    "jobs": "job_body",
    "kvs": "value",
    "runs": "run_body",
}


def make_room(layout: Layout) -> list[str]:
    """Widen the columns that are too narrow, and return their tables; Dagster makes the tables first where there are none.

    `DAGSTER_HOME` and the variables that `dagster.yaml` names have to be set.
    """
    with dg.DagsterInstance.get(), mysql_connection(layout, "dagster") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'dagster' AND data_type = 'text'")
        narrow = [table for table, column in cursor.fetchall() if BODIES.get(table) == column]
        for table in narrow:
            cursor.execute(f"ALTER TABLE dagster.{table} MODIFY {BODIES[table]} LONGTEXT")
    return narrow
