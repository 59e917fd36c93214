"""One write to a Hudi table, with the metastore told of what it does not know yet."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from qimo_assets.lake.tables import WRITTEN_AT, Table, sync_options, write_options
from qimo_assets.lake.timeline import exists, forget_unmade, meta_client
from qimo_assets.settings import LakeSettings

# A task keeps a file open for each day that its rows belong to, unless they come day by day.
MAX_OPEN_DAYS = 8


class Operation(str, Enum):
    """What is done with rows; the value is Hudi's name of it."""

    APPEND = "bulk_insert"
    UPSERT = "upsert"
    DELETE = "delete"


# Held while something is written; what it raises before keeps the write from being done.
Guard = Callable[[], AbstractContextManager[None]]


@dataclass
class TableWriter:
    """Writes rows to the lake's tables; it remembers which days of which table the metastore has
    heard of.

    Attributes:
        lake: Where the tables are.
        guard: Held during each write.
        options: Hudi's options that differ from the tables' own.
        synced: Table -> days that the metastore has heard of.
    """

    lake: LakeSettings
    guard: Guard = nullcontext
    options: Mapping[str, str] = field(default_factory=dict)
    synced: dict[str, set[str]] = field(default_factory=dict)

    def write(
        self,
        table: Table,
        rows: DataFrame,
        days: Collection[str],
        metadata: Mapping[str, str] | None = None,
        operation: Operation = Operation.APPEND,
    ) -> None:
        """Write rows to a table, or delete them from it, as one commit.

        Args:
            table: The table.
            rows: Its `given_columns`.
            days: The days that the rows belong to; the metastore hears of what there is also where
                there are none.
            metadata: Kept in the commit; the names begin with an underscore.
            operation: What is done with the rows.
        """
        by_day = (
            {"hoodie.bulkinsert.sort.mode": "PARTITION_SORT"} if len(days) > MAX_OPEN_DAYS else {}
        )
        options = {
            **write_options(table),
            **by_day,
            **self.sync(table, days),
            **(metadata or {}),
            **self.options,
            "hoodie.datasource.write.operation": operation.value,
        }
        with self.guard():
            stamped(rows, table).write.format("hudi").options(**options).mode("append").save(
                table.path(self.lake)
            )
        self.synced.setdefault(table.name, set()).update(days)

    def sync(self, table: Table, days: Collection[str]) -> dict[str, str]:
        """Return the options with which a commit tells the metastore of a table and its days; none
        where it has heard of them: asking it at each commit costs more than a small commit itself.
        """
        is_known = days and self.synced.get(table.name, set()).issuperset(days)
        return {} if is_known else sync_options(table, self.lake)


def stamped(rows: DataFrame, table: Table) -> DataFrame:
    """Return the rows of a table with the time at which they are written, where they have none.

    That time is no constant of the code which Spark makes of the query: with a constant the code
    was compiled anew for each commit, and of the 26 s that 400,000 lines took the JVM's compiler
    worked for 5.1 s instead of 1.6. An array is handed to the code, and which of its elements is
    taken hangs on the row, as far as Spark knows.

    Args:
        rows: The table's `given_columns`, or all of its columns.
        table: The table.
    """
    if WRITTEN_AT in rows.columns:
        return rows.select(*table.columns)
    now = F.array(F.current_timestamp())[F.length(table.key) * 0]
    return rows.withColumn(WRITTEN_AT, now).select(*table.columns)


def roll_back(spark: SparkSession, lake: LakeSettings, table: Table) -> None:
    """Roll back the writes of a table that were begun and not completed.

    A writer that still is at one of them cannot complete it: Hudi misses what the write began with.
    """
    path = table.path(lake)
    if not exists(spark, path):
        forget_unmade(spark, path)
        return
    with hudi_client(spark, lake, table, write_options(table)) as client:
        client.rollbackFailedWrites(meta_client(spark, path))


@contextmanager
def hudi_client(
    spark: SparkSession, lake: LakeSettings, table: Table, options: Mapping[str, str]
) -> Generator[Any, None, None]:
    """Give Hudi's own client of a table, for what no procedure and no write does."""
    jvm: Any = spark._jvm
    given = jvm.java.util.HashMap()
    for name, value in options.items():
        given.put(name, value)
    client = jvm.org.apache.hudi.DataSourceUtils.createHoodieClient(
        spark._jsc, None, table.path(lake), table.name, given
    )
    try:
        yield client
    finally:
        client.close()
