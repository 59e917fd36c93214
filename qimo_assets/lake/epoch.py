"""The writer's epoch: a file beside the tables that is there for as long as nobody else has begun
to write them.

The lock in MySQL keeps a second writer from beginning. It cannot stop a first one that MySQL has
forgotten and that does not reach MySQL; so that one is stopped by the file system that it writes
to.
"""

from __future__ import annotations

from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from qimo_assets.lake.tables import directory
from qimo_assets.lake.timeline import file_system, hadoop_path
from qimo_assets.lake.writer_lock import WriterLockHeld
from qimo_assets.settings import LakeSettings

DIRECTORY = ".writer"


class Epoch:
    """The time in which one writer may write; it begins with the object.

    Attributes:
        directory: URI of the files.
        number: Its own; the writer after it has a greater one.

    Raises:
        WriterLockHeld: Another writer begins in the same moment.
    """

    def __init__(self, spark: SparkSession, lake: LakeSettings) -> None:
        self._spark = spark
        self.directory = f"{directory(lake)}/{DIRECTORY}"
        self._files: Any = file_system(spark, self.directory)
        ended = self._numbers()
        self.number = max(ended, default=0) + 1
        self._path = self._path_of(self.number)
        try:
            self._files.create(self._path, False).close()
        except Py4JJavaError as error:
            if "FileAlreadyExistsException" not in str(error):
                raise
            raise WriterLockHeld(f"Another run begins epoch {self.number} of the lake.") from error
        # Not before there is the new one: of two that begin at once, one fails to create it.
        for number in ended:
            self._files.delete(self._path_of(number), False)

    def check(self) -> None:
        """Make sure that no other writer has begun since.

        Raises:
            WriterLockHeld: One has.
        """
        if not self._files.exists(self._path):
            raise WriterLockHeld(
                f"Another run has begun to write the lake: epoch {self.number} in "
                f"{self.directory} has ended."
            )

    def _numbers(self) -> list[int]:
        found = self._files.globStatus(hadoop_path(self._spark, f"{self.directory}/[0-9]*")) or []
        return [int(status.getPath().getName()) for status in found]

    def _path_of(self, number: int) -> Any:
        return hadoop_path(self._spark, f"{self.directory}/{number}")
