"""The figures of a day by DuckDB, out of the files that the lake has of it: what it costs to count
a day as a whole, for who would rather do that.

It reads the views' own SQL; where its words differ from Spark's, it is told what they mean.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import duckdb
from pyspark.sql import SparkSession

from benchmarks.age import followers
from benchmarks.testbed import BenchError
from qimo_assets.lake.tables import MESSAGE
from qimo_assets.lake.timeline import file_system, hadoop_path
from qimo_assets.metrics.catalog import TOTAL
from qimo_assets.settings import Settings
from qimo_assets.verify import read_metrics
from qimo_assets.views.sql import MESSAGE_VIEW, query_over, view_part

THREADS = 2
DATABASE, RELATION, PART = "lake", "messages", "facts"
DIALECT = "CREATE MACRO struct(a, b) AS row(a, b)"


def count_day(spark: SparkSession, settings: Settings, day: str, directory: Path) -> float:
    """Count all figures of a day that are made of its messages alone.

    Args:
        spark: The driver, which knows the files.
        settings: The lake, and MySQL, where the figures are published.
        day: The day.
        directory: Where the files are copied to, unmeasured, and removed again.

    Returns:
        Seconds of processor time.

    Raises:
        BenchError: It counts something else than what is published.
    """
    try:
        _copy(spark, settings, day, directory)
        began = time.process_time()
        with duckdb.connect() as connection:
            connection.execute(f"SET threads = {THREADS}")
            connection.execute(DIALECT)
            connection.execute(
                f"CREATE VIEW {RELATION} AS SELECT *, '{day}' AS day "
                f"FROM read_parquet('{directory}/*.parquet', hive_partitioning = false)"
            )
            found = {name: connection.execute(_query(name)).fetchall() for name in followers()}
        seconds = time.process_time() - began
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    [(_, *counted)] = found[TOTAL]
    published = (read_metrics(settings.mysql)[TOTAL] or {}).get((day,))
    if tuple(counted) != published:
        raise BenchError(f"DuckDB counts {counted}, and {published} is published.")
    return seconds


def _copy(spark: SparkSession, settings: Settings, day: str, directory: Path) -> None:
    path = MESSAGE.path(settings.lake)
    files = spark.read.format("hudi").load(path).inputFiles()
    directory.mkdir()
    for file in files:
        if f"/day={day}/" in file:
            to = hadoop_path(spark, f"file:{directory}/{Path(file).name}")
            file_system(spark, path).copyToLocalFile(False, hadoop_path(spark, file), to, True)


def _query(name: str) -> str:
    facts = view_part(name, PART, DATABASE)
    over = query_over(name, PART, DATABASE, facts.replace(f"{DATABASE}.{MESSAGE_VIEW}", RELATION))
    return f"{over}SELECT * FROM `{name}`".replace("`", '"')
