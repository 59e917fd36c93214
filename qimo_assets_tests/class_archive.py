"""The archive of the classes that Spark, Hudi and Hive load, which the JDK calls AppCDS: a JVM that
maps it starts in three quarters of the time.

    python -m qimo_assets_tests.class_archive BASE FILE

It is made by a driver that writes and reads a lake in a directory, and written when its JVM ends,
on top of that of the runtime's own classes. A JVM with other jars passes over it.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from qimo_assets.lake.tables import BATCH_TABLES
from qimo_assets_tests.drivers import driver
from qimo_assets_tests.local_lake import File, LocalLake, local_settings, numbered, uncompiled


def make(base: Path, path: Path) -> None:
    """Write the archive."""
    options = f"-XX:SharedArchiveFile={base} -XX:ArchiveClassesAtExit={path}"
    with tempfile.TemporaryDirectory() as directory:
        settings = local_settings(Path(directory), uncompiled(options))
        with driver(settings) as spark:
            fill(LocalLake(spark, settings))


def fill(lake: LocalLake) -> None:
    """Write new lines, known ones beside new ones, and those of a lake that is opened again; read
    them.
    """
    events = File().append(*numbered(1, 41))
    lake.write(*events[:20])
    lake.write(*events[10:30])
    lake.open()
    lake.write(*events[30:])
    for table in BATCH_TABLES:
        lake.rows(table)


if __name__ == "__main__":
    make(*map(Path, sys.argv[1:]))
