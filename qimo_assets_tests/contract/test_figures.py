"""Partial figures against a real Spark and Hudi: however the messages came and whatever died, they
say what the views say.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from pyhive.hive import HiveParamEscaper
from pyspark.sql import DataFrame, SparkSession

from qimo_assets.contract import MOST_VALUES, OTHERS
from qimo_assets.lake.tables import MESSAGE
from qimo_assets.metrics import counting, links
from qimo_assets.metrics.catalog import METRICS
from qimo_assets.metrics.counting import Counting
from qimo_assets.metrics.facts import adds_up
from qimo_assets.metrics.figures import Figures
from qimo_assets.metrics.links import overdue
from qimo_assets.resources.hive import HiveError, HiveSession, Row
from qimo_assets.settings import PROJECT_ROOT
from qimo_assets.stack.jars import class_path
from qimo_assets.stack.java import java_home
from qimo_assets.stack.layout import current_layout
from qimo_assets.views.sql import (
    MESSAGE_VIEW,
    SNAPSHOT,
    declared_columns,
    view_statement,
)
from qimo_assets_tests import jvm

DAY, LATER = "2026-11-06", "2026-11-07"
OF_FIGURES = [metric for metric in METRICS if adds_up(metric)]
# Enough to see what is counted twice or left out.
FEW = ("message_total", "sender_top", "active_user")
BY_NAME = {metric.name: metric for metric in METRICS}
TYPES = {
    "hour": "int",
    "source_offset": "bigint",
    **dict.fromkeys(("msg_time", "collected_at", "written_at"), "timestamp"),
    **dict.fromkeys(
        (
            "distance",
            *(
                f"{who}_{way}"
                for who in ("sender", "receiver")
                for way in ("longitude", "latitude")
            ),
        ),
        "double",
    ),
}
SCHEMA = ", ".join(
    f"{column} {TYPES.get(column, 'string')}"
    for column in declared_columns(view_statement(MESSAGE_VIEW, "lake"))
)
TEXTS: dict[str, tuple[str | None, ...]] = {
    "sender_account": ("甲", "乙", "丙", "a b", 'x"y\\', "'"),
    "receiver_account": ("甲", "丁", "戊", "乙"),
    "sender_nickname": ("小明", "", None, "明"),
    "receiver_nickname": ("小红", None),
    "sender_os": ("iOS", "Android", None),
    "sender_phone_type": ("iPhone", "未知", None),
    "sender_network": ("4G", "5G"),
    "msg_type": ("TEXT", None),
    "sender_sex": ("男", "女", None),
    "receiver_sex": ("男", None),
    "sender_country": ("中国", None),
    "sender_province": ("北京", "上海", None),
    "receiver_country": ("中国",),
    "receiver_province": ("北京", "广东"),
}


class Killed(Exception):
    """The run died."""


@dataclass
class Session(HiveSession):
    """A session of HiveServer2, played by a Spark session of this process.

    Attributes:
        spark: The session.
        step: How the statement begins at which something happens.
        and_is_done: Whether the server finishes that statement although the run has died.
        meanwhile: What happens once before it; without it the run dies.
    """

    spark: SparkSession
    step: str = ""
    and_is_done: bool = False
    meanwhile: Callable[[], None] | None = None

    def execute(self, sql: str) -> None:
        """Run a statement, or die."""
        is_reached = self._reaches(sql)
        if not is_reached or self.and_is_done:
            self.spark.sql(sql).collect()
        if is_reached:
            raise Killed

    def _reaches(self, sql: str) -> bool:
        """Return whether the run dies here."""
        text = "\n".join(line for line in sql.splitlines() if not line.startswith("--"))
        if not self.step or not text.startswith(self.step):
            return False
        if self.meanwhile:
            self.step = ""
            self.meanwhile()
            return False
        return True

    def query(self, sql: str, params: Mapping[str, object] | None = None) -> list[Row]:
        """Return the rows of a query."""
        self._reaches(sql)
        if params:
            sql = sql % HiveParamEscaper().escape_args(params)
        return [
            {name: str(value) if isinstance(value, date) else value for name, value in row.items()}
            for row in (row.asDict() for row in self.spark.sql(sql).collect())
        ]


@dataclass
class Lake:
    """Messages of a database of its own, and the figures of it.

    The messages stand in a plain table with the one column of Hudi's that counts; what Hudi does to
    it was seen: a row that is written again has a new commit, a deleted one is gone.
    """

    spark: SparkSession
    path: Path
    name: str
    random: Random = field(default_factory=lambda: Random(7))
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    commits: int = 0

    def __post_init__(self) -> None:
        """Begin with a table of three messages, and the views."""
        self.spark.sql(f"CREATE DATABASE {self.name} LOCATION '{self.path}'")
        self.spark.sql(
            f"CREATE TABLE {self._table} (_hoodie_commit_time string, {SCHEMA}) USING parquet "
            "PARTITIONED BY (day)"
        )
        for table, columns in (
            ("chat_quarantine_rt", "message_id string, reason string, day string"),
            ("chat_sent_again_rt", "lines bigint, day string"),
        ):
            self.spark.sql(f"CREATE TABLE {self.name}.{table} ({columns}) USING parquet")
        for view in (MESSAGE_VIEW, *BY_NAME):
            self.spark.sql(view_statement(view, self.name))
        self.write(3)

    def write(self, lines: int, day: str = DAY, os: str = "", sender: str = "") -> None:
        """Append messages of a day, as one commit; each of a system of its own where it is
        `many`.
        """
        names = [f"m{len(self.messages) + number:06d}" for number in range(lines)]
        added = {name: self._message(name, day) for name in names}
        for name, message in added.items():
            if os:
                message["sender_os"] = f"{name}'\\\"" if os == "many" else os
            if sender:
                message["sender_account"] = sender
        self._commit(added)
        self._rows(list(added.values())).write.insertInto(self._table)

    def correct(self, name: str, commit: int = 0) -> None:
        """Write a message once more, with other words, by a new commit or one that began long ago."""
        self._commit({name: self._message(name, self.messages[name]["day"])}, commit)
        self._write_all()

    def delete(self, *names: str) -> None:
        """Delete messages."""
        for name in names:
            self.messages[name]["gone"] = True
        self._write_all()

    def session(
        self,
        step: str = "",
        and_is_done: bool = False,
        meanwhile: Callable[[], None] | None = None,
    ) -> Session:
        """Return a session as each run has one: its views are its own."""
        return Session(self.spark.newSession(), step, and_is_done, meanwhile)

    def figures(self, session: Session | None = None) -> Figures:
        """Return the figures of this lake, as a run opens them."""
        figures = Figures([session or self.session()], self.name, OF_FIGURES)
        figures.counting.open()
        return figures

    def counting(self, session: Session | None = None) -> Counting:
        """Return what counts them."""
        return self.figures(session).counting

    def count(self, *days: str, session: Session | None = None, again: bool = False) -> None:
        """Count what is new of days."""
        self.counting(session).bring_up_to_date(days, again=days if again else ())

    def rows(
        self, names: Sequence[str], *days: str, session: Session | None = None, again: bool = False
    ) -> dict[str, set[Any]]:
        """Return what the figures say of metrics."""
        metrics = [metric for metric in OF_FIGURES if metric.name in names]
        read, _ = self.figures(session).read(metrics, days, again=again)
        found = dict(read)
        assert not [error for error in found.values() if isinstance(error, HiveError)]
        return {metric.name: set(rows) for metric, rows in found.items()}  # pyright: ignore[reportArgumentType]  # no error, as asserted

    def agrees(self, *days: str, names: Sequence[str] = tuple(BY_NAME)) -> None:
        """Bring days up to date, and hold what they say against the views."""
        asked = [metric.name for metric in OF_FIGURES if metric.name in names]
        assert self.rows(asked, *days) == {name: self._seen(name, days) for name in asked}

    def links(self, day: str = DAY) -> list[int]:
        """Return the messages of the links of a day."""
        return [link.messages for link in self.counting().counted([day])[day].links]

    def merge(self) -> None:
        """Put the links of the day together, where there are many."""
        self.counting().merge(DAY)

    def _seen(self, name: str, days: Sequence[str]) -> set[Any]:
        columns = ", ".join(f"`{column.name}`" for column in BY_NAME[name].columns)
        listed = "', '".join(days)
        query = f"SELECT {columns} FROM {self.name}.{name} WHERE day IN ('{listed}')"
        return {(str(day), *row) for day, *row in self.spark.sql(query).collect()}

    @property
    def _table(self) -> str:
        return f"{self.name}.{MESSAGE.name}{SNAPSHOT}"

    def _message(self, name: str, day: str) -> dict[str, Any]:
        at = datetime.fromisoformat(day) + timedelta(seconds=self.random.randrange(86_400))
        collected = at + timedelta(seconds=self.random.randrange(100_000))
        texts = {column: self.random.choice(values) for column, values in TEXTS.items()}
        return {
            "message_id": name,
            "day": day,
            "hour": at.hour,
            "msg_time": at,
            "collected_at": collected,
            "written_at": collected + timedelta(seconds=self.random.randrange(60)),
            "distance": self.random.choice((None, 0.5, 20.0, 5000.0)),
            **texts,
        }

    def _commit(self, messages: dict[str, dict[str, Any]], commit: int = 0) -> None:
        self.commits += 1
        for message in messages.values():
            message["_hoodie_commit_time"] = f"2026110700000{commit or self.commits:04d}"
        self.messages |= messages

    def _write_all(self) -> None:
        left = [message for message in self.messages.values() if "gone" not in message]
        for day in {message["day"] for message in self.messages.values()}:
            self.spark.sql(f"ALTER TABLE {self._table} DROP PARTITION (day = '{day}')")
        self._rows(left).write.insertInto(self._table)

    def _rows(self, messages: Sequence[Mapping[str, Any]]) -> DataFrame:
        schema = self.spark.table(self._table).schema
        rows = [tuple(message.get(name) for name in schema.names) for message in messages]
        return self.spark.createDataFrame(rows, schema).coalesce(1)


@pytest.fixture(scope="module")
def spark(software: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A session with Hudi, of one thread, that compiles little: the tables are tiny."""
    jars = ":".join(str(jar) for jar in class_path(current_layout(), "spark"))
    home = tmp_path_factory.mktemp("figures")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_HOME", str(java_home()))
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("PYTHONPATH", str(PROJECT_ROOT))
        patch.setenv("JAVA_TOOL_OPTIONS", jvm.options())
        session = (
            SparkSession.builder.master("local[2]")  # pyright: ignore[reportAttributeAccessIssue]  # a class property
            .config("spark.driver.extraClassPath", jars)
            .config(
                "spark.driver.extraJavaOptions",
                "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Duser.timezone=Asia/Shanghai",
            )
            .config("spark.ui.enabled", "false")
            .config("spark.sql.extensions", "org.apache.spark.sql.hudi.HoodieSparkSessionExtension")
            .config(
                "spark.sql.catalog.spark_catalog",
                "org.apache.spark.sql.hudi.catalog.HoodieCatalog",
            )
            .config("spark.serializer", "org.apache.spark.serializer.KryoSerializer")
            .config("spark.sql.session.timeZone", "Asia/Shanghai")
            .config("spark.sql.shuffle.partitions", "1")
            .config("spark.sql.codegen.wholeStage", "false")
            .config("spark.sql.warehouse.dir", str(home / "warehouse"))
            .config("spark.local.dir", str(home))
            .getOrCreate()
        )
        session.sparkContext.setLogLevel("ERROR")
        yield session
        session.stop()


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> Lake:
    """A lake of three messages."""
    return Lake(spark, tmp_path, f"lake_{uuid4().hex[:8]}")


def test_figures_grow_by_what_is_new_and_say_what_the_views_say(lake: Lake) -> None:
    lake.agrees(DAY)
    lake.write(40)
    lake.write(MOST_VALUES + 20, LATER, os="many")
    lake.write(5, LATER, os=OTHERS)
    lake.agrees(DAY, LATER)
    lake.write(40)
    before = lake.counting().counted([LATER])
    lake.agrees(DAY, LATER)
    assert lake.links() == [3, 40, 40]
    assert lake.counting().counted([LATER]) == before
    of_many = lake.rows(["os"], LATER)["os"]
    # The most lines have the name of the rest: it is one of the hundred, and holds the rest.
    assert len(of_many) == MOST_VALUES
    assert max(row[2] for row in of_many) == 5 + 20 + 1
    assert sum(row[2] for row in of_many) == MOST_VALUES + 20 + 5
    server: Any = lake.spark._jsparkSession.sharedState()
    assert server.cacheManager().isEmpty()


def test_a_day_whose_messages_changed_is_counted_from_the_beginning(lake: Lake) -> None:
    lake.write(20)
    lake.write(9, LATER)
    lake.count(DAY, LATER)
    lake.delete("m000001")
    lake.write(5)
    lake.count(DAY)
    assert lake.links() == [27]
    lake.write(1)
    lake.correct("m000002")
    lake.count(DAY)
    assert lake.links() == [28]
    # One that began before what is counted, and was done only now.
    lake.correct("m000005", commit=1)
    lake.agrees(DAY, names=FEW)
    assert lake.links() == [28]
    lake.delete(*(name for name, message in lake.messages.items() if message["day"] == DAY))
    # The accounts of a day that is gone are not those of before any more.
    lake.agrees(LATER, names=FEW)
    assert lake.links() == [0]
    assert not any(lake.rows(FEW, DAY).values())


def test_a_run_that_is_asked_for_counts_from_the_messages(lake: Lake) -> None:
    right = lake.rows(FEW, DAY)
    lake.spark.sql(
        f"INSERT INTO {lake.name}.chat_figure SELECT link, NULL, NULL, NULL, set_name, cell, "
        f"concat(member, '+'), 1, 1, NULL, kind, day, part FROM {lake.name}.chat_figure "
        "WHERE kind = 'account'"
    )
    assert lake.rows(FEW, DAY) != right
    assert lake.rows(["active_user"], DAY, again=True) == {"active_user": right["active_user"]}
    assert lake.rows(FEW, DAY) == right


def test_a_run_that_dies_leaves_a_link_or_none(lake: Lake) -> None:
    lake.count(DAY)
    for step, and_is_done in (
        ("CACHE", False),
        ("INSERT INTO", False),
        ("INSERT INTO", True),
        ("DROP VIEW", False),
    ):
        lake.write(10)
        with pytest.raises(Killed):
            lake.count(DAY, session=lake.session(step, and_is_done))
    lake.write(10)
    lake.agrees(DAY, names=FEW)
    assert lake.links() == [3, 30, 10, 10]


def test_of_two_runs_at_once_one_counts(lake: Lake) -> None:
    lake.count(DAY)
    lake.write(10)

    def meanwhile() -> None:
        for _ in range(2):
            lake.count(DAY)
            lake.write(10)

    lake.count(DAY, session=lake.session("INSERT INTO", meanwhile=meanwhile))
    lake.count(DAY)
    assert sum(lake.links()) == 33

    lake.write(10)
    grows = lake.session("INSERT INTO", meanwhile=lambda: lake.count(DAY))
    lake.count(DAY, session=grows, again=True)
    assert lake.links() == [43]
    lake.write(10)
    lake.agrees(DAY, names=FEW)
    assert lake.links() == [43, 10]


def test_of_two_runs_for_other_days_each_day_counts_once(lake: Lake) -> None:
    lake.write(3, LATER)
    lake.count(DAY, LATER)
    for day in (DAY, LATER):
        lake.write(10, day)
    meanwhile = lake.session("INSERT INTO", meanwhile=lambda: lake.count(LATER))
    lake.count(DAY, LATER, session=meanwhile)
    assert (lake.links(), lake.links(LATER)) == ([3, 10], [3, 10])
    lake.write(10, LATER)
    lake.agrees(DAY, LATER)


def test_a_day_of_many_messages_is_counted_in_steps(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "MOST_AT_ONCE", 10)
    for _ in range(2):
        lake.write(6)
    lake.count(DAY)
    assert lake.links() == [9, 6]
    for _ in range(2):
        lake.write(6)
    lake.agrees(DAY)
    assert lake.links() == [9, 6, 6, 6]


def test_links_are_put_together_and_go_on(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "MOST_LINKS", 2)
    lake.write(60)
    lake.write(4, LATER)
    for _ in range(3):
        lake.count(DAY, LATER)
        lake.write(2)
    lake.merge()
    # Those that followed the root are little: it stays as it is.
    assert lake.links() == [63, 4]
    lake.agrees(DAY)
    assert lake.links() == [63, 4, 2]
    lake.write(20)
    lake.count(DAY)
    lake.merge()
    assert lake.links() == [89]
    lake.write(2)
    lake.agrees(DAY, LATER)
    assert lake.links() == [89, 2]
    assert lake.links(LATER) == [4]


def test_links_that_do_not_count_are_removed(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "MOST_LEFT_OUT", 1)
    for _ in range(3):
        lake.count(DAY, again=True)
    before = lake.counting().counted([DAY])[DAY]
    assert (len(before.links), len(before.left_out)) == (1, 2)
    lake.merge()
    after = lake.counting().counted([DAY])[DAY]
    assert (len(after.links), len(after.left_out)) == (1, 0)
    assert not overdue(after)
    lake.agrees(DAY, names=FEW)


def test_rows_that_were_put_together_while_they_were_read_are_read_again(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "MOST_LINKS", 1)
    lake.count(DAY)
    lake.write(5)
    lake.count(DAY)
    session = lake.session("SELECT day, set_name, cell", meanwhile=lake.merge)
    found = lake.rows(FEW, DAY, session=session)
    assert lake.links() == [8]
    assert found == lake.rows(FEW, DAY)


def test_a_merge_leaves_other_days_alone(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "MOST_LINKS", 1)
    lake.write(4, LATER)
    lake.count(DAY, LATER)
    lake.write(5)
    lake.count(DAY)
    lake.merge()
    assert (lake.links(), lake.links(LATER)) == ([8], [4])


def test_a_link_is_one_small_file_a_day(lake: Lake) -> None:
    lake.write(4, LATER)
    lake.count(DAY, LATER)
    table = lake.path / counting.TABLE
    files = list(table.rglob("*.parquet"))
    assert sorted(str(file.parent.relative_to(table)) for file in files) == [
        f"day={day}/part=recent" for day in (DAY, LATER)
    ]
    # A Bloom filter of the usual size takes more than 400 kB.
    assert max(file.stat().st_size for file in files) < 50_000
    assert not (table / ".hoodie" / "metadata").exists()


def test_yesterdays_accounts_are_held_against_the_messages(lake: Lake) -> None:
    figures = lake.figures()
    counted = figures.counting.bring_up_to_date([DAY])[DAY]
    assert figures.other_accounts(DAY, counted) == 0
    lake.write(1, sender="nobody yet")
    # A session keeps the listing of the table's files.
    figures = lake.figures()
    assert figures.other_accounts(DAY, counted) == 1
    assert not figures.counting.is_unchanged(DAY, counted)
