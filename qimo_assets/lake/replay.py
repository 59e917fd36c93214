"""Reads the lines in quarantine again by today's contract, and moves the good ones into
chat_message.

It may be killed at any moment and run again: a line goes into the lake first, under the identity
that it has, and out of the quarantine afterwards, and whatever is in both for a while counts once
(`v_quarantine`). The caller holds the writer's lock.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from qimo_assets.lake.parse import rows_of
from qimo_assets.lake.tables import MESSAGE, QUARANTINE
from qimo_assets.lake.timeline import BATCH_OPTION, REPLAY_BATCH, has_commits
from qimo_assets.lake.write import Operation, TableWriter
from qimo_assets.settings import Settings

# A row's columns before it is read again; the contract gives it others of the same names.
BEFORE = {"day": "day_before", "reason": "reason_before"}


@dataclass(frozen=True)
class Replayed:
    """What became of the rows in quarantine, each under the reason that it had before.

    Attributes:
        moved: Rows that are good now.
        changed: Rows that stay with another reason.
        kept: Rows that stay as they are.
    """

    moved: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)


def replay(spark: SparkSession, settings: Settings, writer: TableWriter) -> Replayed:
    """Move what is good by today's contract, and give what stays the reason of today.

    Args:
        spark: The driver's session.
        settings: Where the tables are, and the limits of the contract.
        writer: Writes the tables.

    Returns:
        What became of the rows.
    """
    path = QUARANTINE.path(settings.lake)
    if not has_commits(spark, path):
        return Replayed()
    stored = (
        spark.read.format("hudi")
        .load(path)
        .select(*(F.col(name).alias(BEFORE.get(name, name)) for name in QUARANTINE.columns))
    )
    rows = rows_of(stored, settings.lake).persist()
    try:
        replayed = _count(rows)
        metadata = {BATCH_OPTION: REPLAY_BATCH}
        # Of an earlier release a line stands here on each day on which it came.
        good = rows.where("reason IS NULL").dropDuplicates(["message_id"])
        if replayed.moved:
            # As a correction: the line is there already where a replay was broken off.
            writer.write(
                MESSAGE,
                good.select(*MESSAGE.given_columns),
                _days(good, "day"),
                metadata,
                Operation.UPSERT,
            )
        if replayed.changed:
            changed = rows.where("reason <> reason_before")
            writer.write(
                QUARANTINE,
                _in_quarantine(changed),
                _days(changed, "day_before"),
                metadata,
                Operation.UPSERT,
            )
        if replayed.moved:
            moved = rows.join(good.select("message_id"), "message_id", "left_semi")
            writer.write(
                QUARANTINE,
                _in_quarantine(moved),
                _days(moved, "day_before"),
                metadata,
                Operation.DELETE,
            )
        return replayed
    finally:
        rows.unpersist()


def _count(rows: DataFrame) -> Replayed:
    replayed = Replayed()
    for before, now, number in rows.groupBy("reason_before", "reason").count().collect():
        kind = (
            replayed.moved if now is None else replayed.kept if now == before else replayed.changed
        )
        kind[before] += number
    return replayed


def _in_quarantine(rows: DataFrame) -> DataFrame:
    return rows.withColumn("day", F.col("day_before")).select(*QUARANTINE.given_columns)


def _days(rows: DataFrame, column: str) -> set[str]:
    return {day for (day,) in rows.select(column).distinct().collect()}
