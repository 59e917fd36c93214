"""One write to a Hudi table, with the metastore told of what it does not know yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Literal

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from qimo_assets.lake.cadence import Cadence
from qimo_assets.lake.tables import WRITTEN_AT, Table, sync_options, write_options
from qimo_assets.settings import LakeSettings

Operation = Literal["upsert", "delete"]
# Held while something is written; what it raises before keeps the write from being done.
Guard = Callable[[], AbstractContextManager[None]]


@dataclass
class TableWriter:
    """Upserts rows into the lake's tables and deletes them; it remembers which days of which table
    the metastore has heard of.
    """

    lake: LakeSettings
    cadence: Cadence = field(default_factory=Cadence)
    guard: Guard = nullcontext
    synced: dict[str, set[str]] = field(default_factory=dict)

    def write(
        self,
        table: Table,
        rows: DataFrame,
        days: set[str],
        metadata: Mapping[str, str] | None = None,
        operation: Operation = "upsert",
    ) -> None:
        """Upsert rows into a table, or delete them from it, as one commit.

        Args:
            table: The table.
            rows: Its `given_columns`.
            days: The days that the rows belong to.
            metadata: Kept in the commit; the names begin with an underscore.
            operation: What is done with the rows.
        """
        known = self.synced.setdefault(table.name, set())
        # The metastore needs to hear of a table or a day once; asking it at each commit costs more
        # than a small commit itself.
        sync = sync_options(table, self.lake) if not days <= known else {}
        options = {
            **write_options(table, self.lake, self.cadence.commits(table)),
            **sync,
            **(metadata or {}),
            "hoodie.datasource.write.operation": operation,
        }
        with self.guard():
            stamped(rows, table).write.format("hudi").options(**options).mode("append").save(
                table.path(self.lake)
            )
        known |= days


def stamped(rows: DataFrame, table: Table) -> DataFrame:
    """Return the rows of a table with the time at which they are written.

    That time is no constant of the code which Spark makes of the query: with a constant the code
    was compiled anew for each commit, and of the 26 s that 400,000 lines took the JVM's compiler
    worked for 5.1 s instead of 1.6. An array is handed to the code, and which of its elements is
    taken hangs on the row, as far as Spark knows.

    Args:
        rows: The table's `given_columns`.
        table: The table.
    """
    now = F.array(F.current_timestamp())[F.length(table.key) * 0]
    return rows.withColumn(WRITTEN_AT, now).select(*table.columns)
