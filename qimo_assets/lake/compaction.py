"""Compaction beside the stream: a commit only writes down what is to be compacted, and it is done
here while the next batches are written.

Done by the commit itself, as Hudi can as well, it took 10 to 23 s each 20 batches at 1,000 lines/s,
and every line of that time waited for it. What is broken off stays written down, and the next run
begins with it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager, nullcontext
from typing import Literal

from pyspark.sql import SparkSession

from qimo_assets.lake.beside import repeated
from qimo_assets.lake.cadence import Cadence
from qimo_assets.lake.tables import Table, write_options
from qimo_assets.lake.timeline import pending_compactions
from qimo_assets.lake.write import Guard
from qimo_assets.settings import LakeSettings
from qimo_assets.timeouts import COMPACTION_STOP_SECONDS

logger = logging.getLogger(__name__)

# Spark shares its slots between this pool and that of the batches.
POOL = "compaction"
LOOK_SECONDS = 5.0


@contextmanager
def compacting(
    spark: SparkSession,
    lake: LakeSettings,
    tables: Iterable[Table],
    cadence: Cadence,
    guard: Guard = nullcontext,
) -> Generator[None, None, None]:
    """Do what commits have scheduled, in a thread of its own, and the rest of it at a good end.

    A run that is stopped waits for the compaction that is under way, but not for ever.

    Args:
        spark: The driver's session.
        lake: Where the tables are.
        tables: The tables that are compacted; each may still be made.
        cadence: Told of each compaction.
        guard: Held during each compaction.
    """
    own, at_work = list(tables), threading.Lock()

    def look() -> None:
        with at_work:
            for table in own:
                try:
                    began = cadence.clock()
                    if compact(spark, lake, table, guard):
                        cadence.compacted(table, began)
                except (
                    Exception
                ):  # the lines go on without it, and it is tried again at the next look
                    logger.exception("%s could not be compacted", table.name)

    with repeated(look, LOOK_SECONDS, "compaction", COMPACTION_STOP_SECONDS):
        yield
    # Two at once on one compaction would undo each other's work: this waits for the one under way,
    # however long it takes.
    look()


def compact(
    spark: SparkSession, lake: LakeSettings, table: Table, guard: Guard = nullcontext
) -> bool:
    """Do the compactions of a table that are scheduled, also those that were broken off, and return
    whether there were any.
    """
    if not pending_compactions(spark, table.path(lake)):
        return False
    spark.sparkContext.setLocalProperty("spark.scheduler.pool", POOL)
    with guard():
        run_compaction(spark, lake, table, "execute")
    return True


def run_compaction(
    spark: SparkSession,
    lake: LakeSettings,
    table: Table,
    operation: Literal["execute", "scheduleAndExecute"],
    more: Mapping[str, str] | None = None,
) -> None:
    """Call Hudi's procedure.

    Args:
        spark: The driver's session.
        lake: Where the table is.
        table: The table.
        operation: What is done.
        more: Options that differ from the table's.
    """
    options = ",".join(
        f"{name}={value}" for name, value in {**write_options(table, lake), **(more or {})}.items()
    )
    spark.sql(
        f"CALL run_compaction(op => '{operation}', path => '{table.path(lake)}', options "
        f"=> '{options}')"
    )
