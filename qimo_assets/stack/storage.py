"""Dagster's own tables in MySQL, with room for what Dagster writes into them.

Dagster 1.13 makes the columns that hold its serialized objects as TEXT, which is 65,535 bytes in MySQL and without a limit elsewhere. What
automation thinks of one metric with daily partitions came to 64,424 bytes on a quiet day and to more at midnight, when a new day begins: each
evaluation failed from then on, and no metric was ever computed again (seen; dagster-io/dagster has the same of other columns, 33155 and 33229).
`up` does it for the embedded stack, and `python -m qimo_assets.stack.storage` for an instance of your own.
"""

from __future__ import annotations

from typing import cast

import dagster as dg
from dagster_mysql import MySQLRunStorage
from sqlalchemy import text

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


NARROW = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = DATABASE() AND data_type = 'text'"


def make_room() -> list[str]:
    """Widen the columns that are too narrow, and return their tables; Dagster makes the tables first where there are none.

    `DAGSTER_HOME` and the variables that `dagster.yaml` names have to be set. The account that Dagster itself uses is enough.
    """
    with dg.DagsterInstance.get() as instance, cast("MySQLRunStorage", instance.run_storage).connect() as connection:
        narrow = [table for table, column in connection.execute(text(NARROW)) if BODIES.get(table) == column]
        for table in narrow:
            connection.execute(text(f"ALTER TABLE {table} MODIFY {BODIES[table]} LONGTEXT"))
    return narrow


if __name__ == "__main__":
    print(", ".join(make_room()) or "wide enough")
