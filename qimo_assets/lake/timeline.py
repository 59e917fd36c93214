"""What Hudi's own timeline says: which days were touched since an instant. Read through the driver's JVM, without a scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Touched:
    """The days that commits after some instant wrote to.

    Attributes:
        rows: Day -> rows written to it.
        instant: The newest of those commits; None when there was none.
    """

    rows: dict[str, int]
    instant: str | None


def touched_days(spark: SparkSession, path: str, since: str | None) -> Touched:
    """Return the days written by delta commits later than `since` (None: by all that the active timeline holds)."""
    jvm: Any = spark._jvm
    configuration: Any = spark._jsc.hadoopConfiguration()  # pyright: ignore[reportOptionalMemberAccess, reportOptionalCall]
    hadoop_path = jvm.org.apache.hadoop.fs.Path(f"{path}/.hoodie")
    if not hadoop_path.getFileSystem(configuration).exists(hadoop_path):
        return Touched({}, None)
    storage = jvm.org.apache.hudi.hadoop.fs.HadoopFSUtils.getStorageConf(configuration)
    client = jvm.org.apache.hudi.common.table.HoodieTableMetaClient.builder().setBasePath(path).setConf(storage).build()
    timeline = client.getActiveTimeline().getDeltaCommitTimeline().filterCompletedInstants()
    instants = [instant for instant in timeline.getInstants() if since is None or instant.requestedTime() > since]
    rows: dict[str, int] = {}
    for instant in instants:
        stats = timeline.readCommitMetadata(instant).getPartitionToWriteStats()
        for partition in stats.keySet():
            day = partition.removeprefix("day=")
            rows[day] = rows.get(day, 0) + sum(stat.getNumWrites() for stat in stats.get(partition))
    return Touched(rows, max((instant.requestedTime() for instant in instants), default=None))
