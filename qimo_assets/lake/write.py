"""One write to a Hudi table, with the metastore told of what it does not know yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from qimo_assets.lake.tables import WRITTEN_AT, Table, sync_options, write_options
from qimo_assets.settings import LakeSettings

Operation = Literal["upsert", "delete"]


@dataclass
class TableWriter:
    """Upserts rows into the lake's tables and deletes them; it remembers which days of which table the metastore has heard of."""

    lake: LakeSettings
    synced: dict[str, set[str]] = field(default_factory=dict)

    def write(self, table: Table, rows: DataFrame, days: set[str], metadata: Mapping[str, str] | None = None, operation: Operation = "upsert") -> None:
        """Upsert rows into a table, or delete them from it, as one commit.

        Args:
            table: The table.
            rows: Its `given_columns`.
            days: The days that the rows belong to.
            metadata: Kept in the commit; the names begin with an underscore.
            operation: What is done with the rows.
        """
        known = self.synced.setdefault(table.name, set())
        # The metastore needs to hear of a table or a day once; asking it at each commit costs more than a small commit itself.
        sync = sync_options(table, self.lake) if not days <= known else {}
        options = {**write_options(table, self.lake), **sync, **(metadata or {}), "hoodie.datasource.write.operation": operation}
        stamped = rows.withColumn(WRITTEN_AT, _now(F.col(table.key))).select(*table.columns)
        stamped.write.format("hudi").options(**options).mode("append").save(table.path(self.lake))
        known |= days


def _now(key: Column) -> Column:
    """Return the time of the query, which is no constant of the code that Spark makes of it.

    A constant is, and that code was compiled anew for each commit: of the 26 s that 400,000 lines took, the JVM's compiler worked for 4.8 s instead of 1.6.
    An array is handed to the code, and which of its elements is taken hangs on the row, as far as Spark knows.
    """
    return F.array(F.current_timestamp())[F.length(key) * 0]
