"""Rows of Dagster's tables that Dagster itself never deletes, or not for a month: superseded ones
are deleted once they are old.

Works on the tables, because Dagster has no call for it. Each statement concerns a page of rows, so
that no transaction is long and a sweep can end at any time; what is left waits for the next one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import dagster as dg
from dagster._core.instance.utils import RUNLESS_RUN_ID
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.schedules.schema import AssetDaemonAssetEvaluationsTable
from dagster._core.storage.schedules.sql_schedule_storage import SqlScheduleStorage
from sqlalchemy import Column, ColumnElement, Connection, Table, and_, func, select

from qimo_assets.instance.runs import UNFINISHED

PAGE = 1000

Connect = Callable[[], AbstractContextManager[Connection]]


@dataclass(frozen=True)
class Log:
    """A table of events of which the newest of each kind stands for the present.

    Attributes:
        connect: Opens a connection.
        table: The table.
        kind: The columns that say what a row is about.
    """

    connect: Connect
    table: Table
    kind: Sequence[Column[Any]]

    def forget(self, old: ColumnElement[bool], deadline: float) -> int:
        """Delete the rows for which `old` holds, but for the newest of their kind in the whole
        table; return their number.
        """
        forgotten, last = 0, 0
        number = self.table.c.id
        while time.monotonic() < deadline:
            with self.connect() as connection:
                page = list(
                    connection.execute(
                        select(number, *self.kind)
                        .where(and_(number > last, old))
                        .order_by(number)
                        .limit(PAGE)
                    )
                )
                newest = self._newest(connection, {row[1] for row in page})
                superseded = [row[0] for row in page if row[0] not in newest]
                if superseded:
                    connection.execute(self.table.delete().where(number.in_(superseded)))
                forgotten += len(superseded)
            if len(page) < PAGE:
                break
            last = page[-1][0]
        return forgotten

    def _newest(self, connection: Connection, firsts: set[Any]) -> set[int]:
        newest = (
            select(func.max(self.table.c.id))
            .where(self.kind[0].in_(sorted(firsts)))
            .group_by(*self.kind)
        )
        return set(connection.execute(newest).scalars())


def forget_check_executions(instance: dg.DagsterInstance, before: datetime, deadline: float) -> int:
    """Delete what checks found before a time, but for the newest of each check and partition."""
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return 0
    columns = AssetCheckExecutionsTable.c
    kind = (columns.asset_key, columns.check_name, columns.partition)
    log = Log(storage.index_connection, AssetCheckExecutionsTable, kind)
    return log.forget(columns.create_timestamp < _naive(before), deadline)


def forget_asset_events(instance: dg.DagsterInstance, before: datetime, deadline: float) -> int:
    """Delete the events of assets before a time that belong to no finished run, but for the newest
    of each asset, partition and type: those without a run, and those of a run that never ends.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return 0
    columns = SqlEventLogStorageTable.c
    kind = (columns.asset_key, columns.dagster_event_type, columns.partition)
    log = Log(storage.index_connection, SqlEventLogStorageTable, kind)
    unfinished = instance.get_runs(dg.RunsFilter(statuses=list(UNFINISHED)))
    return sum(
        log.forget(
            and_(
                columns.run_id == run_id,
                columns.asset_key.is_not(None),
                columns.timestamp < _naive(before),
            ),
            deadline,
        )
        for run_id in [RUNLESS_RUN_ID, *(run.run_id for run in unfinished)]
    )


def forget_evaluations(instance: dg.DagsterInstance, before: datetime, deadline: float) -> int:
    """Delete what automation thought before a time, but for the newest of each asset."""
    storage = instance.schedule_storage
    if not isinstance(storage, SqlScheduleStorage):
        return 0
    columns = AssetDaemonAssetEvaluationsTable.c
    connect = cast("Connect", storage.connect)
    log = Log(connect, AssetDaemonAssetEvaluationsTable, (columns.asset_key,))
    return log.forget(columns.create_timestamp < _naive(before), deadline)


def materialized(instance: dg.DagsterInstance, run_id: str) -> list[tuple[dg.AssetKey, str | None]]:
    """Return each partition that a run materialized, newest partition first; a run of days may have
    written a million events.
    """
    storage = instance.event_log_storage
    assert isinstance(storage, SqlEventLogStorage)
    columns = SqlEventLogStorageTable.c
    found = (
        select(columns.asset_key, columns.partition)
        .distinct()
        .where(
            and_(
                columns.run_id == run_id,
                columns.dagster_event_type == dg.DagsterEventType.ASSET_MATERIALIZATION.value,
            )
        )
    )
    with storage.run_connection(run_id) as connection:
        rows = [(dg.AssetKey.from_db_string(key), day) for key, day in connection.execute(found)]
    return sorted(
        ((key, day) for key, day in rows if key is not None),
        key=lambda item: item[1] or "",
        reverse=True,
    )


def forget_events(instance: dg.DagsterInstance, run_id: str, deadline: float) -> bool:
    """Delete the events of a run, a page at a time; return whether none is left."""
    storage = instance.event_log_storage
    assert isinstance(storage, SqlEventLogStorage)
    columns = SqlEventLogStorageTable.c
    while time.monotonic() < deadline:
        with storage.run_connection(run_id) as connection:
            page = select(columns.id).where(columns.run_id == run_id).limit(PAGE)
            numbers = list(connection.execute(page).scalars())
            tags = AssetEventTagsTable.c.event_id.in_(numbers)
            connection.execute(AssetEventTagsTable.delete().where(tags))
            connection.execute(SqlEventLogStorageTable.delete().where(columns.id.in_(numbers)))
        if len(numbers) < PAGE:
            return True
    return False


def _naive(moment: datetime) -> datetime:
    """Return a time as the columns hold it: UTC without a zone."""
    return moment.replace(tzinfo=None)
