"""Dagster's own tables in MySQL: connections that are kept, and room for what Dagster writes.

dagster-mysql opens a connection for each query. That took 157 ms with TLS and takes 0.8 ms from a
pool (74 and 0.4 ms of processor time, Debian's 140 authorities loaded each time): on the cluster
profile the daemon alone took 60 % of a processor, and a run of all metrics three minutes. Nor does
it set a time-out.

Dagster 1.13 makes the columns that hold its serialized objects as TEXT, which is 65,535 bytes in
MySQL and without a limit elsewhere. What automation thinks of one metric with daily partitions came
to 64,424 bytes on a quiet day and to more at midnight, when a new day begins: each evaluation
failed from then on, and no metric was ever computed again (seen; dagster-io/dagster has the same of
other columns, 33155 and 33229). `up` does it for the embedded stack, and `python -m
qimo_assets.instance.storage` for an instance of your own.
"""

from __future__ import annotations

from functools import cache
from typing import cast

import dagster as dg
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.config import MySqlStorageConfig
from dagster._serdes import ConfigurableClassData
from dagster_mysql import (
    DagsterMySQLStorage,
    MySQLEventLogStorage,
    MySQLRunStorage,
    MySQLScheduleStorage,
)
from dagster_mysql.utils import mysql_isolation_level, mysql_url_from_config
from sqlalchemy import Engine, create_engine, text

from qimo_assets.instance.planned_checks import PlannedChecks

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

NARROW = (
    "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = "
    "DATABASE() AND data_type = 'text'"
)


CONNECT_SECONDS = 10
# Widening a column rewrites its table, which is the longest that Dagster's account ever waits for.
STATEMENT_SECONDS = 300
# The daemon's threads ask side by side; beyond these connections are opened and closed again.
KEPT_CONNECTIONS = 2
MORE_CONNECTIONS = 30


@cache
def engine(mysql_url: str) -> Engine:
    """Return the one engine of this process: Dagster makes an instance for each evaluation of a
    sensor, which would each have a pool.
    """
    return create_engine(
        mysql_url,
        isolation_level=mysql_isolation_level(),
        pool_size=KEPT_CONNECTIONS,
        max_overflow=MORE_CONNECTIONS,
        pool_pre_ping=True,
        connect_args={
            # Columns that the server fills are read as UTC, whatever its own zone is.
            "time_zone": "+00:00",
            "connection_timeout": CONNECT_SECONDS,
            "read_timeout": STATEMENT_SECONDS,
            "write_timeout": STATEMENT_SECONDS,
        },
    )


class _Pooled:
    mysql_url: str

    @property
    def _engine(self) -> Engine:
        return engine(self.mysql_url)

    @_engine.setter
    def _engine(self, own: Engine) -> None:
        """Drop the engine that the parent made; it has not connected yet."""


class PooledEventLogStorage(_Pooled, PlannedChecks, MySQLEventLogStorage):
    """Dagster's events, over connections that are kept."""


class PooledRunStorage(_Pooled, MySQLRunStorage):
    """Dagster's runs, likewise."""


class PooledScheduleStorage(_Pooled, MySQLScheduleStorage):
    """What Dagster's sensors remember, likewise."""


class PooledMySQLStorage(DagsterMySQLStorage):
    """Dagster's storage in MySQL, over connections that are kept: the one that `dagster.yaml`
    names, with the settings of `storage.mysql`.
    """

    def __init__(self, mysql_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        self.mysql_url = mysql_url
        self._inst_data = inst_data
        self._run_storage = PooledRunStorage(mysql_url)
        self._event_log_storage = PooledEventLogStorage(mysql_url)
        self._schedule_storage = PooledScheduleStorage(mysql_url)
        # The parent's constructor would make the other three.
        DagsterStorage.__init__(self)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: MySqlStorageConfig
    ) -> PooledMySQLStorage:
        """Return the storage that `dagster.yaml` describes."""
        return cls(mysql_url_from_config(config_value), inst_data)


def make_room() -> list[str]:
    """Widen the columns that are too narrow, and return their tables; Dagster makes the tables
    first where there are none.

    `DAGSTER_HOME` and the variables that `dagster.yaml` names have to be set. The account that
    Dagster itself uses is enough.
    """
    with (
        dg.DagsterInstance.get() as instance,
        cast("MySQLRunStorage", instance.run_storage).connect() as connection,
    ):
        narrow = [
            table
            for table, column in connection.execute(text(NARROW))
            if BODIES.get(table) == column
        ]
        for table in narrow:
            connection.execute(text(f"ALTER TABLE {table} MODIFY {BODIES[table]} LONGTEXT"))
    return narrow


if __name__ == "__main__":
    print(", ".join(make_room()) or "wide enough")
