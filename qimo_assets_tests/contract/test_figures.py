"""Partial figures against a real Spark and Hudi: however the messages came and whatever died, they
say what the views say.
"""

from __future__ import annotations

import re
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
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession

from benchmarks.lakes import end_driver
from qimo_assets.contract import MAX_VALUES, OTHERS
from qimo_assets.lake.services import COMPACTED
from qimo_assets.lake.tables import MESSAGE, write_options
from qimo_assets.metrics import accounts, counting, figures, links
from qimo_assets.metrics.accounts import Accounts
from qimo_assets.metrics.catalog import METRICS
from qimo_assets.metrics.counting import Counting
from qimo_assets.metrics.facts import FACTS, Facts, rows_over
from qimo_assets.metrics.figures import Figures
from qimo_assets.metrics.links import overdue
from qimo_assets.metrics.look import look, messages_table
from qimo_assets.metrics.publish import SQL_DIR
from qimo_assets.metrics.rows import read_rows
from qimo_assets.resources.hive import HiveError, HiveSession, Row
from qimo_assets.settings import PROJECT_ROOT
from qimo_assets.stack.jars import class_path
from qimo_assets.stack.java import java_home
from qimo_assets.stack.layout import current_layout
from qimo_assets.views.sql import (
    BASE_FILES,
    MESSAGE_VIEW,
    SNAPSHOT,
    declared_columns,
    has_part,
    render,
    view_statement,
)
from qimo_assets_tests import jvm

DAY, LATER = "2026-11-06", "2026-11-07"
BY_NAME = {metric.name: metric for metric in METRICS}
OF_MESSAGES = tuple(metric.name for metric in METRICS if has_part(metric.name, FACTS))
# Enough to see what is counted twice or left out: sets, cells and rows that add up by themselves.
FEW = ("message_total", "os", "sender_top")
ACTIVE = BY_NAME["active_user"]
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
        try:
            rows = self.spark.sql(sql).collect()
        except AnalysisException as error:
            raise HiveError(str(error)) from error
        return [
            {name: str(value) if isinstance(value, date) else value for name, value in row.items()}
            for row in (row.asDict() for row in rows)
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
    metrics: Sequence[str] = FEW
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
        metrics = [BY_NAME[name] for name in self.metrics]
        figures = Figures([session or self.session()], self.name, metrics)
        figures.counting.open()
        return figures

    def counting(self, session: Session | None = None) -> Counting:
        """Return what counts them."""
        return self.figures(session).counting

    def count(self, *days: str, session: Session | None = None, again: bool = False) -> None:
        """Count what is new of days."""
        self.counting(session).bring_up_to_date(days, again=days if again else ())

    def rows(
        self, *days: str, session: Session | None = None, again: bool = False
    ) -> dict[str, set[Any]]:
        """Return what the figures say of days."""
        return self._read(self.figures(session), days, again)

    def held_rows(self, *days: str, session: Session | None = None) -> dict[str, set[Any]]:
        """Return what the figures say of days, as a run reads them that holds new messages."""
        figures = self.figures(session)
        with figures.counting.holding():
            return self._read(figures, days)

    def _read(
        self, figures: Figures, days: Sequence[str], again: bool = False
    ) -> dict[str, set[Any]]:
        metrics = [BY_NAME[name] for name in self.metrics]
        found = [
            of_metric for read, _ in figures.read(metrics, days, again=again) for of_metric in read
        ]
        assert not [error for _, error in found if isinstance(error, HiveError)]
        return {metric.name: set(rows) for metric, rows in found}  # pyright: ignore[reportArgumentType]  # no error, as asserted

    def agrees(self, *days: str) -> None:
        """Hold what days say against the views: with new messages that are held, where these are
        few, and with all of them written.
        """
        right = {name: self.seen(name, *days) for name in self.metrics}
        assert self.held_rows(*days) == right
        assert self.rows(*days) == right

    def accounts(self, session: Session | None = None) -> Accounts:
        """Return the accounts of this lake's days, as a run opens them."""
        accounts = Accounts(session or self.session(), self.name)
        accounts.counting.open()
        return accounts

    def active(self, *days: str, again: bool = False) -> set[Any]:
        """Return the rows of active_user."""
        return set(self.accounts().read(ACTIVE, days, again=again)[0])

    def links(self, day: str = DAY) -> list[int]:
        """Return the messages of the links of a day."""
        return [link.messages for link in self.counting().counted([day])[day].links]

    def parts(self, day: str = DAY) -> set[str]:
        """Return the parts of a day that the table of figures has rows in."""
        table = f"{self.name}.{figures.TABLE}"
        # The session may have kept which files there were.
        self.spark.sql(f"REFRESH TABLE {table}")
        query = f"SELECT DISTINCT part FROM {table} WHERE day = '{day}'"
        return {row["part"] for row in self.spark.sql(query).collect()}

    def merge(self) -> None:
        """Put the links of the day together, where there are many."""
        self.counting().merge(DAY)

    def seen(self, name: str, *days: str) -> set[Any]:
        """Return the rows of a view."""
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
            .config("spark.sql.codegen.factoryMode", "NO_CODEGEN")
            .config("spark.sql.warehouse.dir", str(home / "warehouse"))
            .config("spark.local.dir", str(home))
            .getOrCreate()
        )
        session.sparkContext.setLogLevel("ERROR")
        yield session
        end_driver(session)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    """More messages than stand among the recent ones: a link of so many has parts of its own."""
    for module in (counting, links):
        monkeypatch.setattr(module, "FEW_MESSAGES", 10)
    return 12


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> Lake:
    """A lake of three messages."""
    return Lake(spark, tmp_path, f"lake_{uuid4().hex[:8]}")


def test_figures_grow_by_what_is_new_and_say_what_the_views_say(lake: Lake) -> None:
    lake.metrics = OF_MESSAGES
    lake.agrees(DAY)
    lake.write(40)
    lake.write(MAX_VALUES + 20, LATER, os="many")
    lake.write(5, LATER, os=OTHERS)
    lake.agrees(DAY, LATER)
    assert lake.links() == [3, 40]
    of_many = lake.seen("os", LATER)
    # The most lines have the name of the rest: it is one of the hundred, and holds the rest.
    assert len(of_many) == MAX_VALUES
    assert max(row[2] for row in of_many) == 5 + 20 + 1
    session: Any = lake.spark
    server = session._jsparkSession.sharedState()
    assert server.cacheManager().isEmpty()
    table = lake.path / figures.TABLE
    files = list(table.rglob("*.parquet"))
    assert {str(file.parent.relative_to(table)) for file in files} == {
        f"day={day}/part=recent" for day in (DAY, LATER)
    }
    # A Bloom filter of the usual size takes more than 400 kB.
    assert max(file.stat().st_size for file in files) < 50_000
    assert not (table / ".hoodie" / "metadata").exists()


def test_a_table_of_an_earlier_release_is_gone_on_with(lake: Lake) -> None:
    table = render(SQL_DIR / "figure_table.sql", table=f"{lake.name}.{figures.TABLE}")
    lake.spark.sql(re.sub(r"\n  (other_)?hash BIGINT .*", "", table))
    lake.agrees(DAY)
    lake.write(5)
    lake.agrees(DAY)
    assert lake.links() == [3, 5]


def test_a_small_day_is_read_up_to_a_commit(lake: Lake) -> None:
    lake.write(40)
    before = {name: lake.seen(name, DAY) for name in OF_MESSAGES}
    found = look(lake.session(), lake.name, [DAY, LATER])
    assert (found[DAY].messages, found[LATER].messages) == (43, 0)
    lake.write(40)
    session, spans = lake.session(), [(day, "", commits.newest) for day, commits in found.items()]
    for name, rows in before.items():
        metric = BY_NAME[name]
        over = rows_over(metric, lake.name, f"({Facts(lake.name, [metric]).messages(spans)})")
        assert set(read_rows(session, metric, [DAY, LATER], f"`{name}`", over)) == rows


def test_a_day_is_read_from_base_files_until_a_row_is_deleted(
    spark: SparkSession, tmp_path: Path
) -> None:
    name = f"lake_{uuid4().hex[:8]}"
    spark.sql(f"CREATE DATABASE {name} LOCATION '{tmp_path}'")
    path = f"file:{tmp_path}/messages"
    options = {**write_options(MESSAGE), "hoodie.datasource.write.operation": "bulk_insert"}
    for numbers in (range(3), range(3, 8)):
        rows = [(f"m{number}", DAY) for number in numbers]
        frame = spark.createDataFrame(rows, "message_id string, day string").coalesce(1)
        frame.write.format("hudi").options(**options).mode("append").save(path)
    for reading, is_ro in ((SNAPSHOT, "false"), (BASE_FILES, "true")):
        table = messages_table(name, reading)
        also = f"OPTIONS ('hoodie.query.as.ro.table' = '{is_ro}')"
        spark.sql(f"CREATE TABLE {table} USING hudi {also} LOCATION '{path}'")

    def seen(day: str) -> tuple[bool, list[int]]:
        commits = look(Session(spark.newSession()), name, [day])[day]
        return commits.in_base_files, [commit.messages for commit in commits.each]

    assert seen(DAY) == (True, [3, 5])
    assert seen(LATER)[1] == []
    spark.sql(f"DELETE FROM {messages_table(name)} WHERE message_id = 'm1'")
    assert seen(DAY) == (False, [2, 5])
    at_once = ",".join(f"{name}={value}" for name, value in COMPACTED.items())
    arguments = f"path => '{path}', op => 'scheduleAndExecute', options => '{at_once}'"
    spark.sql(f"CALL run_compaction({arguments})")
    assert seen(DAY) == (True, [2, 5])


def test_a_day_whose_messages_changed_is_counted_from_the_beginning(lake: Lake) -> None:
    lake.write(20)
    lake.count(DAY)
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
    lake.agrees(DAY)
    assert lake.links() == [28]
    lake.delete(*lake.messages)
    assert not any(lake.rows(DAY).values())
    assert lake.links() == [0]


def test_a_run_that_is_asked_for_counts_from_the_messages(lake: Lake) -> None:
    right = lake.rows(DAY)
    lake.spark.sql(
        f"INSERT INTO {lake.name}.{figures.TABLE} SELECT link, NULL, NULL, NULL, set_name, cell, "
        f"NULL, 1, 1, NULL, kind, hash, other_hash, day, part FROM {lake.name}.{figures.TABLE} WHERE kind = 'cell'"
    )
    assert lake.rows(DAY) != right
    assert lake.rows(DAY, again=True) == right
    assert lake.rows(DAY) == right


def test_a_run_that_dies_leaves_a_link_or_none(lake: Lake) -> None:
    lake.count(DAY)
    for step, and_is_done in (("CACHE", False), ("INSERT INTO", False), ("INSERT INTO", True)):
        lake.write(10)
        with pytest.raises(Killed):
            lake.count(DAY, session=lake.session(step, and_is_done))
    lake.write(10)
    lake.agrees(DAY)
    assert lake.links() == [3, 30, 10]


@pytest.mark.parametrize(
    "step", ["CREATE GLOBAL", "CACHE TABLE global_temp", "DROP VIEW IF EXISTS global"]
)
def test_a_run_that_dies_while_it_holds_new_messages_counts_nothing(lake: Lake, step: str) -> None:
    lake.count(DAY)
    lake.write(10)
    with pytest.raises(Killed):
        lake.held_rows(DAY, session=lake.session(step))
    assert lake.links() == [3]
    lake.agrees(DAY)
    assert lake.links() == [3, 10]


def test_new_messages_that_are_held_are_counted_once_for_all_sessions(lake: Lake) -> None:
    lake.count(DAY)
    lake.write(10)
    own, other = lake.session(), lake.session()
    counting = lake.counting(own)
    with counting.holding():
        counted = counting.bring_up_to_date([DAY])
        assert [link.messages for link in counted[DAY].links] == [3, 10]
        cells = (
            f"SELECT * FROM {counting.rows} WHERE kind = 'cell' AND link = '{counted[DAY].last}'"
        )
        for session in (own, other):
            [plan] = session.query(f"EXPLAIN {cells}")
            assert "Scan In-memory table global_temp.held_link" in plan["plan"]
            assert session.query(cells)
    assert lake.links() == [3]


def test_held_messages_are_written_as_they_were_read(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "FEW_TO_WRITE", 10)
    lake.count(DAY)
    for messages in (9, 1):
        lake.write(messages)
        right = lake.held_rows(DAY)
        assert right == {name: lake.seen(name, DAY) for name in lake.metrics}
    assert lake.links() == [3, 10]
    # What comes next is looked for among them.
    lake.agrees(DAY)
    assert lake.links() == [3, 10]


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
    lake.agrees(DAY)


def test_a_day_of_many_messages_is_counted_in_steps(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "MAX_AT_ONCE", 10)
    for _ in range(2):
        lake.write(6)
    lake.agrees(DAY)
    assert lake.links() == [9, 6]


def test_no_step_of_a_long_day_is_held_while_the_next_one_is_counted(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "MAX_AT_ONCE", 10)
    lake.count(DAY)
    for _ in range(3):
        lake.write(6)
    assert lake.held_rows(DAY) == {name: lake.seen(name, DAY) for name in lake.metrics}
    assert lake.links() == [3, 6, 6, 6]


def test_links_are_put_together_and_go_on(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "MAX_LINKS", 2)
    lake.write(60)
    lake.write(4, LATER)
    for _ in range(3):
        lake.count(DAY, LATER)
        lake.write(2)
    lake.merge()
    # The root stays as it is.
    assert lake.links() == [63, 4]
    lake.write(20)
    lake.count(DAY)
    lake.merge()
    assert lake.links() == [63, 26]
    lake.write(2)
    lake.agrees(DAY, LATER)
    assert (lake.links(), lake.links(LATER)) == ([63, 26, 2], [4])


def test_a_part_of_a_day_is_written_apart_once(lake: Lake, few: int) -> None:
    lake.write(few)
    lake.count(DAY)
    for number in (1, 2):
        lake.write(2 * few * number)
        lake.count(DAY)
        lake.merge()
        lake.agrees(DAY)
    assert lake.parts() == {
        "recent",
        *("cell", "partial", "member"),
        *("cell1", "partial1", "member1"),
        *("cell2", "partial2", "member2"),
    }
    lake.write(2)
    lake.agrees(DAY)
    assert lake.links() == [few + 3, 2 * few, 4 * few, 2]


def test_a_day_that_is_counted_anew_holds_nothing_of_before(lake: Lake, few: int) -> None:
    for number in (1, 2):
        lake.write(few * number)
        lake.count(DAY)
    lake.merge()
    assert "member1" in lake.parts()
    lake.count(DAY, again=True)
    before = lake.counting().counted([DAY])[DAY]
    assert (len(before.links), len(before.left_out)) == (1, 2)
    assert overdue(before)
    lake.merge()
    after = lake.counting().counted([DAY])[DAY]
    assert (len(after.links), len(after.left_out)) == (1, 0)
    assert overdue(after) is None
    assert lake.parts() == {"recent", "cell", "partial", "member"}
    lake.agrees(DAY)
    lake.write(few * 2)
    lake.count(DAY)
    lake.merge()
    lake.agrees(DAY)


def test_a_day_that_became_small_holds_nothing_of_before(lake: Lake, few: int) -> None:
    lake.write(few)
    lake.count(DAY)
    lake.delete(*list(lake.messages)[:few])
    lake.count(DAY)
    assert "member" in lake.parts()
    lake.merge()
    assert lake.parts() == {"recent"}
    lake.agrees(DAY)
    assert lake.links() == [3]


def test_small_days_have_no_parts_of_their_own_however_many_are_counted_at_once(
    lake: Lake, few: int
) -> None:
    lake.write(few // 2)
    lake.write(few // 2, LATER)
    lake.agrees(DAY, LATER)
    assert lake.parts(DAY) == lake.parts(LATER) == {"recent"}


def test_rows_that_were_put_together_while_they_were_read_are_read_again(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "MAX_LINKS", 2)
    lake.count(DAY)
    for _ in range(2):
        lake.write(5)
        lake.count(DAY)
    session = lake.session("SELECT day, set_name, cell", meanwhile=lake.merge)
    found = lake.rows(DAY, session=session)
    assert lake.links() == [3, 10]
    assert found == {name: lake.seen(name, DAY) for name in FEW}


def test_accounts_of_other_days_are_known_and_new_ones_are_read(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.write(6, LATER)
    assert lake.active(LATER) == lake.seen("active_user", LATER)
    kept = lake.accounts().counting
    # Few messages are read, and nothing is written.
    assert kept.counted() == {}
    monkeypatch.setattr(accounts, "MAX_UNCOUNTED", 8)
    assert lake.active(LATER) == lake.seen("active_user", LATER)
    assert sorted(known.messages for known in kept.counted().values()) == [3, 6]
    lake.write(4, sender="nobody yet")
    lake.write(4, LATER, sender="nobody yet")
    assert lake.active(DAY, LATER) == lake.seen("active_user", DAY, LATER)
    assert sorted(known.messages for known in kept.counted().values()) == [3, 6]
    assert lake.accounts().others(DAY) == 0
    # The accounts of a day that is gone are not those of before any more.
    lake.delete(*(name for name, message in lake.messages.items() if message["day"] == DAY))
    assert lake.active(LATER) == lake.seen("active_user", LATER)
    gone = lake.accounts().counting.counted()
    assert {day: known.messages for day, known in gone.items()} == {DAY: 0, LATER: 10}


def test_accounts_that_are_wrong_are_found_and_repaired(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "MAX_UNCOUNTED", 2)
    right = lake.active(DAY)
    table = f"{lake.name}.{accounts.TABLE}"
    lake.spark.sql(
        f"INSERT INTO {table} SELECT link, NULL, NULL, NULL, set_name, cell, "
        f"concat(member, '+'), 1, 1, NULL, kind, hash, other_hash, day, part FROM {table} WHERE kind = 'member'"
    )
    assert lake.active(DAY) != right
    assert lake.accounts().others(DAY) > 0
    assert lake.active(DAY, again=True) == right
    assert (lake.accounts().others(DAY), lake.active(DAY)) == (0, right)
