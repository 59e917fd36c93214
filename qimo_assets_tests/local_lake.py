"""A lake in a directory, written as the stream writes it, and a topic that is a list: no other
system is there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from pyspark.sql import DataFrame, SparkSession

from qimo_assets.lake.continuity import TopicCheckpoint
from qimo_assets.lake.pace import Pace
from qimo_assets.lake.parse import parse_and_survey
from qimo_assets.lake.state import StateFiles
from qimo_assets.lake.stream import LakeStream, topic_name
from qimo_assets.lake.tables import BATCH_TABLES, MESSAGE, Table
from qimo_assets.lake.write import TableWriter, roll_back
from qimo_assets.settings import (
    KafkaSettings,
    LakeSettings,
    Settings,
    SourceSettings,
    SparkSettings,
)
from qimo_assets.stack.jars import class_path
from qimo_assets.stack.java import java_home
from qimo_assets.stack.layout import current_layout
from qimo_assets_tests.records import event

ZONE = ZoneInfo("Asia/Shanghai")
MONDAY, TUESDAY = (datetime(2024, 5, day, 12, tzinfo=ZONE) for day in (6, 7))
CHECKPOINT = TopicCheckpoint("id", "file:/none")
# There is no metastore to tell.
UNSYNCED = {"hoodie.datasource.hive_sync.enable": "false"}
KAFKA_RECORD = "value binary, topic string, partition int, offset long, timestamp timestamp"


def uncompiled(java_options: str = "") -> dict[str, str]:
    """Return properties of Spark with which a few lines are written soonest.

    Args:
        java_options: More options of the driver's JVM.
    """
    return {
        "spark.driver.extraJavaOptions": "-Dfile.encoding=UTF-8 -XX:+UseSerialGC "
        f"-Duser.timezone=Asia/Shanghai {java_options}",
        "spark.sql.codegen.wholeStage": "false",
    }


def local_settings(directory: Path, conf: Mapping[str, str], master: str = "local[2]") -> Settings:
    """Return the settings of a lake in a directory.

    Args:
        directory: Of the lake and of all that Spark writes beside it.
        conf: Properties of Spark.
        master: Spark's.
    """
    layout = current_layout()
    [ip2region] = class_path(layout, "ip2region")
    return Settings.model_construct(
        source=SourceSettings(log_dir=directory, position_file=directory / "p", host="chat"),
        kafka=KafkaSettings(bootstrap="127.0.0.1:9"),
        spark=SparkSettings(
            master=master,
            driver_memory="1g",
            jars=class_path(layout, "spark"),
            java_home=java_home(),
            scratch_dir=directory,
            conf=dict(conf),
        ),
        lake=LakeSettings(
            warehouse=f"file:{directory}",
            checkpoint="file:/none",
            metastore_uris="thrift://127.0.0.1:9",
            ip2region_jar=ip2region,
        ),
    )


@dataclass
class LocalLake:
    """A lake, and the topic, whose records are counted by partition."""

    spark: SparkSession
    settings: Settings
    pace: Pace = field(default_factory=lambda: Pace(files=4, folded_after=3, options=UNSYNCED))
    guard: Callable[[], AbstractContextManager[None]] = nullcontext
    records: list[tuple[bytes, str, int, int, datetime]] = field(default_factory=list)
    batches: int = 0

    def __post_init__(self) -> None:
        self.stream = self.open()

    def open(self, kind: type[TableWriter] = TableWriter) -> LakeStream:
        """Begin as a new run does."""
        for table in BATCH_TABLES:
            roll_back(self.spark, self.settings.lake, table)
        self.writer = kind(self.settings.lake, self.guard, self.pace.options)
        self.stream = LakeStream(self.spark, self.settings, CHECKPOINT, self.writer, self.pace)
        return self.stream

    def send(self, *values: bytes, at: datetime = MONDAY, partition: int = 0) -> None:
        """Have the topic hold records more, of which the next batch consists."""
        for value in values:
            offset = sum(record[2] == partition for record in self.records)
            topic = topic_name(self.settings, CHECKPOINT)
            self.records.append((value, topic, partition, offset, at))

    def batch(self, since: int) -> DataFrame:
        """Return what a batch of all records from one on consists of."""
        frame = self.spark.createDataFrame(self.records[since:], KAFKA_RECORD)
        return parse_and_survey(frame, self.settings.lake)

    def write(self, *values: bytes, at: datetime = MONDAY, partition: int = 0) -> None:
        """Send records and write them as one batch."""
        since = len(self.records)
        self.send(*values, at=at, partition=partition)
        self.stream.write(self.batch(since), self.batches)
        self.batches += 1

    def path(self, table: Table) -> Path:
        """Return the directory of a table."""
        return Path(table.path(self.settings.lake).removeprefix("file:"))

    def states(self) -> list[Path]:
        """Return the files of the state, the newest last."""
        return sorted(self.path(MESSAGE).parent.glob(".known/*.json"))

    def forget(self) -> None:
        """Delete the state: the tables are another release's then."""
        for path in self.states():
            path.unlink()

    def rows(self, table: Table = MESSAGE) -> Counter[str]:
        """Return the text of each row of a table."""
        text = "message" if table is MESSAGE else "decode(raw, 'UTF-8')"
        rows = self.spark.read.format("hudi").load(table.path(self.settings.lake))
        return Counter(row[0] for row in rows.selectExpr(text).collect())

    @property
    def again(self) -> dict[str, int]:
        """What came again, by table, as a new run would tell it."""
        found = StateFiles(self.spark, self.settings.lake).load()
        assert found is not None
        return {table: sum(days.values()) for table, days in found.again.items() if days}


def line(message: str, time: str = "2024-05-06 11:00:00", receiver: str = "B") -> bytes:
    """Return a line of the chat servers."""
    return "\x01".join([time, "", "A", *[""] * 8, receiver, *[""] * 7, message]).encode()


class File:
    """A log file: gives Flume's event of each of its lines."""

    def __init__(self, name: str = "chat.log", number: str = "17-42") -> None:
        self.size = 0
        self.name, self.number = name, number

    def append(self, *lines: bytes) -> list[bytes]:
        """Append lines and return their events."""
        events = []
        for body in lines:
            events.append(
                event(
                    body,
                    host="chat",
                    directory="/logs",
                    file=f"/links/{self.name}~{self.number}",
                    byteoffset=str(self.size),
                )
            )
            self.size += len(body) + 1
        return events


def numbered(first: int, last: int) -> list[bytes]:
    """Return lines that tell their numbers; each fifth has no receiver."""
    return [line(str(n), receiver="B" if n % 5 else "") for n in range(first, last)]
