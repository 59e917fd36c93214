"""The write path against real Hudi tables in a directory: each line once, whatever comes twice,
half, in another order, or after a crash between any two steps.
"""

from __future__ import annotations

import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import IllegalArgumentException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from qimo_assets.lake import run as lake_run
from qimo_assets.lake import services as lake_services
from qimo_assets.lake.epoch import Epoch
from qimo_assets.lake.fence import Clock, ClockBehind, Fence, open_clock
from qimo_assets.lake.known import MigrationNeeded, OptionsDiffer, places_of
from qimo_assets.lake.migrate import migrate
from qimo_assets.lake.parse import parse_and_survey
from qimo_assets.lake.places import SEPARATOR, Known
from qimo_assets.lake.replay import replay
from qimo_assets.lake.sent_again import SENT_AGAIN_SCHEMA
from qimo_assets.lake.services import Services
from qimo_assets.lake.state import StateFiles
from qimo_assets.lake.stream import topic_name
from qimo_assets.lake.tables import BATCH_TABLES, MESSAGE, QUARANTINE, SENT_AGAIN, Table
from qimo_assets.lake.timeline import (
    Kind,
    completed_commits,
    news_since,
    pending_services,
    read_commits,
)
from qimo_assets.lake.write import Operation, TableWriter, roll_back
from qimo_assets.lake.writer_lock import WriterLock, WriterLockHeld
from qimo_assets.resources.spark import KAFKA_READER, SHORT_NAMES, in_step
from qimo_assets.settings import Settings
from qimo_assets_tests.conftest import wait_for
from qimo_assets_tests.drivers import driver
from qimo_assets_tests.local_lake import (
    CHECKPOINT,
    KAFKA_RECORD,
    MONDAY,
    TUESDAY,
    UNSYNCED,
    File,
    LocalLake,
    line,
    local_settings,
    numbered,
    uncompiled,
)

pytestmark = pytest.mark.usefixtures("software")

# One lake of each test.
NUMBERS = count()


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return local_settings(tmp_path_factory.mktemp("stream"), uncompiled())


@pytest.fixture(scope="module")
def spark(software: None, settings: Settings) -> Iterator[SparkSession]:
    """A session as the streaming job has it."""
    with driver(settings) as session:
        session.conf.set("spark.sql.session.timeZone", "Asia/Shanghai")
        yield session


class Killed(BaseException):
    """What ends a writer at once."""


class DyingWriter(TableWriter):
    """Dies before it writes one table, or after it."""

    dies_before: Table | None = None
    dies_after: Table | None = None

    def write(self, table: Table, *arguments: Any, **more: Any) -> None:
        """Write as the platform does, or die."""
        if table == self.dies_before:
            raise Killed
        super().write(table, *arguments, **more)
        if table == self.dies_after:
            raise Killed


@pytest.fixture
def world(spark: SparkSession, settings: Settings) -> LocalLake:
    """A lake of the test's own."""
    lake = settings.lake.model_copy(update={"database": f"lake_{next(NUMBERS)}"})
    return LocalLake(spark, settings.model_copy(update={"lake": lake}))


def expected(first: int, last: int) -> dict[Table, Counter[str]]:
    good = Counter(str(n) for n in range(first, last) if n % 5)
    bad = Counter(line(str(n), receiver="").decode() for n in range(first, last) if not n % 5)
    return {MESSAGE: good, QUARANTINE: bad}


def assert_once(world: LocalLake, first: int, last: int) -> None:
    assert {table: world.rows(table) for table in BATCH_TABLES} == expected(first, last)


def test_what_comes_again_changes_nothing_and_is_counted(world: LocalLake) -> None:
    file = File()
    events = file.append(*numbered(1, 21))
    world.write(*events[:10])
    # One line of the batch before; then a whole file once more, by another run, on another day.
    world.write(*events[9:], partition=1)
    world.open()
    world.write(*events, at=TUESDAY, partition=2)
    assert_once(world, 1, 21)
    # The line that came twice was rejected, as four of the whole file were.
    assert world.again == {MESSAGE.name: 16, QUARANTINE.name: 5}
    state = world.open().state
    assert state.again[QUARANTINE.name] == {"2024-05-06": 5}
    assert list(state.known.places.values()) == [[(0, file.size)]]
    stored = world.spark.read.format("hudi").load(MESSAGE.path(world.settings.lake))
    assert {row["collected_at"].hour for row in stored.select("collected_at").collect()} == {
        MONDAY.astimezone().hour
    }


def test_properties_are_sent_without_the_files_that_they_come_from(spark: SparkSession) -> None:
    sessions: Any = spark._jsparkSession
    sent = sessions.sessionState().newHadoopConf()
    name = "fs.trash.interval"
    assert sent.get(name) == "0"
    assert sent.getPropertySources(name) is None


def test_short_names_of_java_are_asked_for_once(spark: SparkSession) -> None:
    assert set(SHORT_NAMES) <= vars(spark._jvm).keys()


def test_a_line_that_is_read_is_no_warning(spark: SparkSession) -> None:
    jvm: Any = spark._jvm
    settings = jvm.org.apache.logging.log4j.LogManager.getContext(False).getConfiguration()
    reader = settings.getLoggerConfig(KAFKA_READER)
    assert (reader.getName(), str(reader.getLevel())) == (KAFKA_READER, "ERROR")


def test_a_file_of_few_rows_is_small(world: LocalLake) -> None:
    world.write(*File().append(*numbered(1, 21)))
    files = list(world.path(MESSAGE).parent.glob("*/day=*/*.parquet"))
    assert len(files) == len(BATCH_TABLES)
    assert max(file.stat().st_size for file in files) < 20_000


def test_a_commit_that_is_archived_while_commits_are_read_is_passed_over(world: LocalLake) -> None:
    for number in range(3):
        world.write(line(str(number)))
    path = world.path(MESSAGE)
    kept = {commit.instant for commit in completed_commits(world.spark, f"file:{path}")}

    def all_and_one_archived(timeline: Any) -> Any:
        first = min(kept)
        for file in path.glob(f".hoodie/timeline/{first}_*"):
            file.unlink()
        return timeline

    timeline, commits = read_commits(world.spark, f"file:{path}", all_and_one_archived)
    assert {commit.instant for commit in commits} == kept - {min(kept)}
    assert timeline.countInstants() == len(commits) == 2


def test_what_is_known_is_written_down_at_the_end(world: LocalLake) -> None:
    events = File().append(*numbered(1, 21))
    made = world.states()
    world.write(*events[:10])
    assert world.states() == made
    world.stream.end()
    ended = world.states()
    assert len(ended) == len(made) + 1
    # Nothing is new since.
    world.stream.end()
    assert world.states() == ended
    world.open()
    world.write(*events)
    assert_once(world, 1, 21)


def test_a_batch_that_was_broken_off_is_not_said_to_be_known(world: LocalLake) -> None:
    events = File().append(*numbered(1, 21))
    stream = world.open(DyingWriter)
    assert isinstance(world.writer, DyingWriter)
    world.write(*events[:5])
    world.writer.dies_after = QUARANTINE
    with pytest.raises(Killed):
        world.write(*events[5:])
    states = world.states()
    stream.end()
    assert world.states() == states
    world.open()
    world.write(*events)
    assert_once(world, 1, 21)


def test_a_batch_half_known_with_a_line_twice_in_it(world: LocalLake) -> None:
    file = File()
    first, second = file.append(*numbered(1, 6)), file.append(*numbered(6, 11))
    world.write(*first)
    world.write(*first[2:], *second, second[0], second[1])
    assert_once(world, 1, 11)
    assert world.again == {MESSAGE.name: 3, QUARANTINE.name: 1} or world.again == {
        MESSAGE.name: 4,
        QUARANTINE.name: 1,
    }


def test_a_file_written_anew_in_place_has_other_lines_at_the_same_places(world: LocalLake) -> None:
    before, after = File(), File()
    world.write(*before.append(*numbered(1, 6)))
    world.write(*after.append(*numbered(11, 16)))
    both = {table: found + expected(11, 16)[table] for table, found in expected(1, 6).items()}
    assert {table: world.rows(table) for table in BATCH_TABLES} == both
    assert world.again == {}


def test_ranges_out_of_order_leave_a_gap_until_they_are_there(world: LocalLake) -> None:
    file = File()
    first, second, third = (file.append(*numbered(5 * n + 1, 5 * n + 6)) for n in range(3))
    world.write(*third)
    world.write(*first)
    [gap] = world.stream.state.known.gaps().values()
    assert len(gap) == 1
    world.write(*second)
    assert world.stream.state.known.gaps() == {}
    assert_once(world, 1, 16)
    assert world.again == {}


def test_records_that_are_read_again_did_not_come_again(world: LocalLake) -> None:
    file = File()
    world.write(*file.append(*numbered(1, 6)), *numbered(6, 11))
    world.write(*numbered(11, 16), partition=1)
    # As after a lost checkpoint: all from the first record on, by another query.
    world.open().write(world.batch(0), 0)
    assert_once(world, 1, 16)
    assert world.again == {}


@pytest.mark.parametrize("crash", ["before messages", "before quarantine", "after both"])
def test_a_batch_is_written_again_after_a_crash_between_its_steps(
    world: LocalLake, crash: str
) -> None:
    file = File()
    world.write(*file.append(*numbered(1, 6)))
    batch = [*file.append(*numbered(6, 11)), *numbered(11, 16)]
    since = len(world.records)
    # One of them came before.
    world.send(*batch, world.records[0][0])
    stream = world.open(DyingWriter)
    assert isinstance(world.writer, DyingWriter)
    if crash == "after both":
        world.writer.dies_after = MESSAGE
    else:
        world.writer.dies_before = MESSAGE if crash == "before messages" else QUARANTINE
    with pytest.raises(Killed):
        stream.write(world.batch(since), 1)
    world.open().write(world.batch(since), 1)
    assert_once(world, 1, 16)
    assert world.again == {MESSAGE.name: 1}


def with_limit(settings: Settings, max_line_bytes: int) -> Settings:
    """Return the settings of a run with another limit."""
    lake = settings.lake.model_copy(update={"max_line_bytes": max_line_bytes})
    return settings.model_copy(update={"lake": lake})


def test_what_was_rejected_by_other_limits_is_not_lost_when_its_batch_is_written_again(
    world: LocalLake,
) -> None:
    world.send(*File().append(line("short"), line("x" * 300)))
    short = with_limit(world.settings, 200)
    frame = world.spark.createDataFrame(world.records, KAFKA_RECORD)
    stream = world.open(DyingWriter)
    assert isinstance(world.writer, DyingWriter)
    world.writer.dies_before = QUARANTINE
    with pytest.raises(Killed):
        stream.write(parse_and_survey(frame, short.lake), 0)
    world.open().write(world.batch(0), 0)
    assert world.rows() == {"short": 1, "x" * 300: 1}


def test_a_message_stays_one_when_the_limits_of_today_reject_it(world: LocalLake) -> None:
    events = File().append(line("short"), line("x" * 300))
    world.send(*events)
    world.open(DyingWriter)
    assert isinstance(world.writer, DyingWriter)
    world.writer.dies_before = QUARANTINE
    with pytest.raises(Killed):
        world.stream.write(world.batch(0), 0)
    strict = LocalLake(world.spark, with_limit(world.settings, 200))
    strict.write(*events)
    strict.write(*events, partition=1)
    assert strict.rows() == {"short": 1, "x" * 300: 1}
    assert strict.rows(QUARANTINE) == {}
    assert strict.again == {MESSAGE.name: 2}


def test_a_rejected_line_that_is_good_when_it_comes_again_came_again(world: LocalLake) -> None:
    events = File().append(line("short"), line("x" * 300))
    LocalLake(world.spark, with_limit(world.settings, 200)).write(*events)
    world.open()
    world.write(*events, partition=1)
    assert world.rows() == {"short": 1, "x" * 300: 1}
    assert world.again == {MESSAGE.name: 1, QUARANTINE.name: 1}
    replay(world.spark, world.settings, world.writer)
    assert world.rows() == {"short": 1, "x" * 300: 1}
    assert world.rows(QUARANTINE) == {}


def test_a_lost_position_file_of_many_files(world: LocalLake) -> None:
    files = [File(f"{n}.log", f"{n}-{n}") for n in range(1_000)]
    events = [body for n, file in enumerate(files) for body in file.append(*numbered(n, n + 1))]
    world.write(*events)
    world.write(*events, *files[7].append(*numbered(1_000, 1_003)), partition=1)
    assert_once(world, 0, 1_003)
    assert world.again == {MESSAGE.name: 800, QUARANTINE.name: 200}


def test_a_state_that_was_not_written_to_its_end_is_passed_over(world: LocalLake) -> None:
    file = File()
    events = [file.append(*numbered(5 * n + 1, 5 * n + 6)) for n in range(4)]
    for some in events:
        world.write(*some)
    states = world.states()
    torn = states[-1].with_name(f"{int(states[-1].stem) + 1:012d}.json")
    torn.write_bytes(states[-1].read_bytes()[:-10])
    world.open()
    world.write(*events[-1])
    assert_once(world, 1, 21)


def test_a_state_older_than_the_timeline_is_made_up_for_by_the_rows(world: LocalLake) -> None:
    options = {**UNSYNCED, "hoodie.keep.min.commits": "4", "hoodie.keep.max.commits": "5"}
    world.pace = replace(world.pace, folded_after=100, options=options)
    world.open()
    file = File()
    events = [file.append(*numbered(2 * n + 1, 2 * n + 3)) for n in range(6)]
    world.write(*events[0])
    world.stream.fold()
    for some in events[1:]:
        world.write(*some, *numbered(100, 101))
    world.open().write(world.batch(0), 0)
    assert world.rows() == {str(n): 1 for n in range(1, 13) if n % 5}


def test_tables_of_another_release_are_refused(world: LocalLake) -> None:
    world.write(*File().append(*numbered(1, 3)))
    files = StateFiles(world.spark, world.settings.lake)
    state = files.load()
    assert state is not None
    state.made[MESSAGE.name] = {**state.made[MESSAGE.name], "hoodie.index.type": "BUCKET"}
    files.save(state)
    with pytest.raises(OptionsDiffer, match=r"hoodie\.index\.type is SIMPLE and was BUCKET"):
        world.open()
    world.forget()
    with pytest.raises(MigrationNeeded, match=r"\./qimo migrate"):
        world.open()


def test_services_beside_the_stream_change_no_row(world: LocalLake) -> None:
    file = File()
    pace = replace(world.pace, corrections=1)
    services = [
        Services(world.spark, world.settings.lake, table, nullcontext, pace)
        for table in BATCH_TABLES
    ]
    for n in range(9):
        world.write(*file.append(*numbered(5 * n, 5 * n + 5)))
        for one in services:
            one.look()
    assert_once(world, 0, 45)
    path = MESSAGE.path(world.settings.lake)
    kinds = Counter(commit.kind for commit in news_since(world.spark, path, None))
    assert kinds == {Kind.APPEND: 9, Kind.SERVICE: 2}
    # What is moved out of the quarantine is deleted there, and compacted by the next look.
    lake = world.settings.lake
    moved = replay(world.spark, world.settings, world.writer)
    assert (moved.moved, sum(moved.kept.values())) == ({}, 9)
    rows = world.spark.read.format("hudi").load(QUARANTINE.path(lake)).limit(3)
    deleted = rows.select(*QUARANTINE.given_columns).localCheckpoint()
    world.writer.write(QUARANTINE, deleted, {"2024-05-06"}, operation=Operation.DELETE)
    path = QUARANTINE.path(lake)
    [deletion] = [one for one in news_since(world.spark, path, None) if one.kind is Kind.DELETE]
    services[1].look()
    [compaction] = news_since(world.spark, path, deletion.completed)
    assert (compaction.kind, list(compaction.files)) == (Kind.SERVICE, ["2024-05-06"])
    assert sum(world.rows(QUARANTINE).values()) == 6
    assert not pending_services(world.spark, QUARANTINE.path(lake)).planned_at
    world.write(*file.append(*numbered(45, 50)))
    assert sum(world.rows(QUARANTINE).values()) == 7


def test_the_files_of_more_days_than_hudi_plans_at_once_are_put_together(world: LocalLake) -> None:
    days = {str((MONDAY - timedelta(days=ago)).date()) for ago in range(31)}
    file = File()
    for n in range(world.pace.files):
        world.write(*file.append(*[line(str(n), f"{day} 10:00:00") for day in sorted(days)]))
    path = MESSAGE.path(world.settings.lake)
    service = Services(world.spark, world.settings.lake, MESSAGE, nullcontext, world.pace)
    service.look()
    commits = news_since(world.spark, path, None)
    served = [set(commit.files) for commit in commits if commit.kind is Kind.SERVICE]
    assert set().union(*served) == days
    assert set(world.rows().values()) == {len(days)}


class Ended(BaseException):
    """What Dagster raises in a run that is to end is no `Exception` either."""


def test_what_interrupts_a_call_of_the_jvm_leaves_the_next_its_own_answer(world: LocalLake) -> None:
    def end(*_: object) -> None:
        raise Ended

    java: Any = world.spark._jvm
    answers: list[int] = []

    def interrupted() -> None:
        try:
            with in_step(world.spark):
                java.java.lang.Thread.sleep(3_000)
        finally:
            # The exception, and with it the call, is still there.
            answers.append(java.java.lang.Math.max(1, 2))

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(Ended):
            interrupted()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert answers == [2]


def test_services_leave_the_processors_to_a_stream_that_is_behind(
    world: LocalLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = world.settings.lake.model_copy(update={"max_lines_per_batch": 4})
    service = Services(world.spark, lake, MESSAGE, nullcontext, world.pace)
    file = File()
    for n in range(world.pace.files):
        world.write(*file.append(*numbered(5 * n + 1, 5 * n + 5)))
    assert not service.look()
    monkeypatch.setattr(lake_services, "BEHIND_SECONDS", 0.0)
    assert service.look()
    assert not service.look()


@pytest.mark.parametrize("begun", [False, True], ids=["not told", "begun to be told"])
def test_a_table_that_was_being_made_is_made_anew(world: LocalLake, begun: bool) -> None:
    for table in BATCH_TABLES:
        (world.path(table) / ".hoodie" / "timeline").mkdir(parents=True)
        if begun:
            (world.path(table) / ".hoodie" / "hoodie.properties").touch()
    world.open()
    world.write(*File().append(*numbered(1, 11)))
    assert_once(world, 1, 11)


def test_what_rows_tell_of_their_places_has_no_gap(world: LocalLake) -> None:
    file = File()
    world.write(*file.append(*numbered(1, 12)))
    state = world.open().state
    [place] = state.known.places
    found = Known()
    for table in BATCH_TABLES:
        path = table.path(world.settings.lake)
        found.add(places_of(world.spark, path, "topic", longest=1_000))
    found.add({place: [(file.size, file.size + 10)]})
    assert found.gaps() == {}


def test_what_came_again_is_not_forgotten_with_the_state(world: LocalLake) -> None:
    events = File().append(*numbered(1, 11))
    world.write(*events)
    world.write(*events[:4])
    assert world.again == {MESSAGE.name: 4}
    lake, day = world.settings.lake, "2024-05-06"
    rows = [(f"{MESSAGE.name}:{day}", day, MESSAGE.name, 4)]
    frame = world.spark.createDataFrame(rows, SENT_AGAIN_SCHEMA)
    world.writer.write(SENT_AGAIN, frame, {day}, operation=Operation.UPSERT)
    world.forget()
    topic = topic_name(world.settings, CHECKPOINT)
    migrate(world.spark, lake, topic, {0: 14}, world.writer, lambda _: None)
    assert world.again == {MESSAGE.name: 4}
    world.open()
    world.write(*events[:2])
    assert_once(world, 1, 11)
    assert world.again == {MESSAGE.name: 6}


@pytest.mark.parametrize("table", BATCH_TABLES, ids=lambda table: table.name)
def test_a_table_whose_first_write_was_killed_is_written(world: LocalLake, table: Table) -> None:
    world.write(*File().append(*numbered(1, 11)))
    # What a kill leaves behind: the table is made, and nothing is in it.
    path = world.path(table)
    for instant in (path / ".hoodie" / "timeline").iterdir():
        if not instant.is_dir():
            instant.unlink()
    for day in path.glob("day=*"):
        shutil.rmtree(day)
    world.open().write(world.batch(0), 0)
    assert_once(world, 1, 11)
    assert world.again == {}


def test_a_first_batch_without_rows_of_a_table_commits_to_it(world: LocalLake) -> None:
    file = File()
    world.write(*file.append(*numbered(1, 6)))
    world.open()
    world.write(*file.append(line("good")))
    world.write(*file.append(line("better")))
    path = QUARANTINE.path(world.settings.lake)
    assert len(news_since(world.spark, path, None)) == 2
    assert world.rows(QUARANTINE) == expected(1, 6)[QUARANTINE]


@pytest.mark.parametrize("table", BATCH_TABLES, ids=lambda table: table.name)
def test_a_clock_behind_the_lake_stops_the_writer(world: LocalLake, table: Table) -> None:
    world.write(*File().append(*numbered(1, 6)))
    clock = open_clock(world.spark, world.settings.lake, [table])
    now = clock.now
    # As a driver in another time zone, begun after the lines were written.
    behind = Clock(lambda: now() - timedelta(hours=8), clock.newest)
    world.guard = Fence(behind)
    world.open()
    with pytest.raises(ClockBehind, match="behind it"):
        world.write(*numbered(6, 11))
    assert_once(world, 1, 6)
    world.guard = Fence(open_clock(world.spark, world.settings.lake, BATCH_TABLES))
    world.open().write(world.batch(5), 1)
    assert_once(world, 1, 11)


def test_a_writer_whom_another_has_followed_writes_nothing_more(world: LocalLake) -> None:
    world.write(*File().append(*numbered(1, 6)))
    clock = open_clock(world.spark, world.settings.lake, BATCH_TABLES)
    first = Epoch(world.spark, world.settings.lake)
    world.guard = Fence(clock, [first.check])
    world.open()
    first.check()
    # Another run, which got the lock in MySQL while the first one did not reach it.
    second = Epoch(world.spark, world.settings.lake)
    with pytest.raises(WriterLockHeld, match="epoch 1 .* has ended"):
        world.write(*numbered(6, 11))
    assert_once(world, 1, 6)
    world.guard = Fence(clock, [second.check])
    world.open().write(world.batch(5), 1)
    assert_once(world, 1, 11)


class LostLock(WriterLock):
    """Was taken by another run while the driver started."""

    def __init__(self) -> None:
        """Know no server."""

    def check(self) -> None:
        """Tell it."""
        raise WriterLockHeld("Another run writes the lake")


def test_a_run_that_has_lost_its_lock_ends_nobodys_epoch(world: LocalLake) -> None:
    epoch = Epoch(world.spark, world.settings.lake)
    with pytest.raises(WriterLockHeld, match="Another run writes the lake"):
        lake_run._take_over(world.spark, world.settings, LostLock())
    epoch.check()


class HeldWriter(TableWriter):
    """Is at its write of the messages until there is a file."""

    go_on: str = ""

    def write(self, table: Table, rows: DataFrame, *arguments: Any, **more: Any) -> None:
        """Write as the platform does, with rows that wait."""
        go_on = self.go_on

        @F.udf("string")
        def held(text: str) -> str:
            while not Path(go_on).exists():
                time.sleep(0.05)
            return text

        if table == MESSAGE:
            rows = rows.withColumn("message", held(F.col("message")))
        super().write(table, rows, *arguments, **more)


def test_a_write_under_way_is_not_completed_once_another_writer_has_begun(
    world: LocalLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = File().append(*numbered(1, 11))
    world.write(*events[:5])
    go_on = tmp_path / "go on"
    monkeypatch.setattr(HeldWriter, "go_on", str(go_on))
    world.open(HeldWriter)

    def begun() -> set[Path]:
        return set(world.path(MESSAGE).glob(".hoodie/timeline/*.inflight"))

    done = begun()
    with ThreadPoolExecutor(1) as pool:
        write = pool.submit(world.write, *events[5:])
        try:
            wait_for(lambda: begun() - done, 60)
            roll_back(world.spark, world.settings.lake, MESSAGE)
        finally:
            go_on.touch()
        with pytest.raises(IllegalArgumentException, match="inflight does not exist"):
            write.result(120)
    assert world.rows() == expected(1, 6)[MESSAGE]
    world.open().write(world.batch(5), 1)
    assert_once(world, 1, 11)


def test_of_two_writers_that_begin_in_the_same_moment_one_is_refused(
    world: LocalLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = world.settings.lake
    Epoch(world.spark, lake)
    seen = Epoch._numbers

    def both(epoch: Epoch) -> list[int]:
        found = seen(epoch)
        monkeypatch.setattr(Epoch, "_numbers", seen)
        Epoch(world.spark, lake)
        return found

    monkeypatch.setattr(Epoch, "_numbers", both)
    with pytest.raises(WriterLockHeld, match="Another run begins epoch 2"):
        Epoch(world.spark, lake)


# --- tables of an earlier release

BUCKETS = {
    "hoodie.index.type": "BUCKET",
    "hoodie.bucket.index.num.buckets": "2",
    "hoodie.datasource.write.row.writer.enable": "false",
    **UNSYNCED,
}


class BrokenOffAtOnce(TableWriter):
    """Is killed before it writes."""

    def write(self, *_: Any, **__: Any) -> None:
        """Die."""
        raise Killed


class BrokenOff(TableWriter):
    """Is killed after the first table's first day."""

    left = 1

    def write(self, *arguments: Any, **more: Any) -> None:
        """Write so many commits, then die."""
        if not self.left:
            raise Killed
        self.left -= 1
        super().write(*arguments, **more)


def test_tables_of_buckets_are_moved_over_and_it_may_be_broken_off(world: LocalLake) -> None:
    file = File()
    world.send(*file.append(*numbered(1, 6), line("other day", "2024-05-05 11:00:00")))
    world.send(file.append(*numbered(6, 11))[0], partition=1)
    lake, spark = world.settings.lake, world.spark
    parsed = world.batch(0).persist()
    old = TableWriter(lake, options=BUCKETS)
    world.forget()
    good = parsed.where("reason IS NULL AND survey IS NULL").select(*MESSAGE.given_columns)
    bad = parsed.where("reason IS NOT NULL")
    for rows, table in ((good, MESSAGE), (bad, QUARANTINE)):
        for day in ("2024-05-06", "2024-05-07") if table is QUARANTINE else ("",):
            # A rejected line that came on two days stood in both.
            written = rows.withColumn("day", F.lit(day)) if day else rows
            old.write(
                table, written.select(*table.given_columns), {"d"}, operation=Operation.UPSERT
            )
    with pytest.raises(MigrationNeeded):
        world.open()
    before = {table: world.rows(table) for table in BATCH_TABLES}
    topic = topic_name(world.settings, CHECKPOINT)

    def move(kind: type[TableWriter]) -> dict[str, int]:
        writer = kind(lake, options=UNSYNCED)
        return migrate(spark, lake, topic, {0: 5, 1: 1}, writer, lambda _: None)

    for kind in (BrokenOffAtOnce, BrokenOff):
        with pytest.raises(Killed):
            move(kind)
        with pytest.raises(MigrationNeeded):
            world.open()
    assert move(TableWriter) == {MESSAGE.name: 6, QUARANTINE.name: 1}
    assert move(TableWriter) == {}
    found = StateFiles(spark, lake).load()
    # Six lines came from the first partition, of a topic that has five there now.
    assert found is not None
    assert found.reached == {f"{topic}{SEPARATOR}0": 5, f"{topic}{SEPARATOR}1": 1}
    assert world.rows() == before[MESSAGE]
    assert list(world.rows(QUARANTINE).values()) == [1]
    # All of it read once more, as after a lost checkpoint, and the lines sent again.
    world.open().write(world.batch(0), 0)
    assert world.rows() == before[MESSAGE]
    assert list(world.rows(QUARANTINE).values()) == [1]
