"""What the stream knows of the lines in the lake beside the lake itself, and where it is kept.

Each commit carries the places of its lines. Now and then they are folded into a file beside the
tables; after a crash the newest whole file and the commits of the timeline together say what is
known. A file is written under a new name and never changed, so a crash leaves the one before.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import SparkSession

from qimo_assets.lake.places import Known
from qimo_assets.lake.tables import directory
from qimo_assets.lake.timeline import file_system, hadoop_path
from qimo_assets.settings import LakeSettings

logger = logging.getLogger(__name__)

DIRECTORY = ".known"
FORM = 1
KEPT_FILES = 3


@dataclass
class State:
    """What is known of the lines in the lake.

    Attributes:
        known: Their places.
        again: Table -> day -> lines that came again.
        reached: Partition of the topic -> offset up to which lines that came again are counted.
        folded: Table -> instant of the newest commit whose places are known here.
        made: Table -> options that it was made with.
    """

    known: Known = field(default_factory=Known)
    again: dict[str, Counter[str]] = field(default_factory=dict)
    reached: dict[str, int] = field(default_factory=dict)
    folded: dict[str, str] = field(default_factory=dict)
    made: dict[str, dict[str, str]] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return it as text."""
        return json.dumps(
            {
                "places": self.known.places,
                "forgotten": self.known.forgotten,
                "again": self.again,
                "reached": self.reached,
                "folded": self.folded,
                "made": self.made,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> State:
        """Return what `to_json` wrote."""
        told: Mapping[str, Any] = json.loads(text)
        places = {
            place: [(begin, end) for begin, end in ranges]
            for place, ranges in told["places"].items()
        }
        again = {table: Counter(days) for table, days in told["again"].items()}
        return cls(
            Known(places, told["forgotten"]), again, told["reached"], told["folded"], told["made"]
        )


class StateFiles:
    """The files of the state, beside the tables of a lake.

    Attributes:
        directory: Their URI.
    """

    def __init__(self, spark: SparkSession, lake: LakeSettings) -> None:
        self._spark = spark
        self.directory = f"{directory(lake)}/{DIRECTORY}"
        self._files: Any = file_system(spark, self.directory)

    def load(self) -> State | None:
        """Return the newest state that was written to its end; None where there is none."""
        for name in sorted(self._names(), reverse=True):
            text = self._read(name)
            sum_, _, body = text.partition("\n")
            if sum_ == f"{FORM} {_sum(body)}":
                return State.from_json(body)
            logger.warning("The state %s was not written to its end", name)
        return None

    def save(self, state: State) -> None:
        """Write the state as the newest one; the oldest are deleted."""
        names = sorted(self._names())
        number = int(names[-1].partition(".")[0]) + 1 if names else 1
        body = state.to_json()
        out = self._files.create(self._path(f"{number:012d}.json"), False)
        try:
            out.write(bytearray(f"{FORM} {_sum(body)}\n{body}".encode()))
            out.hsync()
        finally:
            out.close()
        for name in names[: 1 - KEPT_FILES]:
            self._files.delete(self._path(name), False)

    def _names(self) -> list[str]:
        found = self._files.globStatus(self._path("[0-9]*.json")) or []
        return [str(status.getPath().getName()) for status in found]

    def _read(self, name: str) -> str:
        jvm: Any = self._spark._jvm
        stream = self._files.open(self._path(name))
        try:
            return str(jvm.org.apache.commons.io.IOUtils.toString(stream, "UTF-8"))
        finally:
            stream.close()

    def _path(self, name: str) -> Any:
        return hadoop_path(self._spark, f"{self.directory}/{name}")


def _sum(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()
