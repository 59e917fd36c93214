"""The reports of a running stream: how often, for which days, and that a storage which is away
loses none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace

import dagster as dg
import pytest

from qimo_assets.lake import reporter
from qimo_assets.lake.reporter import StreamReporter, TableReporter, last_instant
from qimo_assets.lake.tables import MESSAGE, QUARANTINE
from qimo_assets.lake.timeline import Commit, Touched, days_after, summed

INTERVAL = 30.0
TOPIC = "t"
MONDAY, TUESDAY, WEDNESDAY = "2024-04-29", "2024-04-30", "2024-05-01"


class Away(Exception):
    """What a fake raises while it is away."""


@dataclass
class World:
    """A clock, a timeline of commits, the events that were stored and the offsets that were
    committed.
    """

    now: float = 1000.0
    commits: list[tuple[str, dict[str, int]]] = field(default_factory=list)
    events: list[tuple[str, str, int]] = field(default_factory=list)
    offsets: list[dict[int, int]] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)
    storage_fails_after: int | None = None
    timeline_away: bool = False
    kafka_away: bool = False
    topic: str = TOPIC

    def commit(self, instant: str, *days: str) -> None:
        self.commits.append((instant, dict.fromkeys(days, 1)))

    def find(self, since: str | None) -> Touched:
        """Answer as the timeline does."""
        self.asked.append(since)
        if self.timeline_away:
            raise Away
        newer = [
            (instant, days) for instant, days in self.commits if since is None or instant > since
        ]
        rows: dict[str, int] = {}
        for _, days in newer:
            for day, number in days.items():
                rows[day] = rows.get(day, 0) + number
        return Touched(rows, max((instant for instant, _ in newer), default=None))

    def emit(self, event: dg.AssetMaterialization) -> None:
        """Store an event, unless the storage is away."""
        if self.storage_fails_after == 0:
            raise Away
        if self.storage_fails_after is not None:
            self.storage_fails_after -= 1
        rows, instant = (event.metadata[name].value for name in ("rows written", "instant"))
        assert isinstance(rows, int)
        self.events.append((event.partition or "", str(instant), rows))

    def commit_progress(self, offsets: Mapping[int, int]) -> None:
        """Commit as the Kafka resource does."""
        if self.kafka_away:
            raise Away
        self.offsets.append(dict(offsets))

    def table(self, since: str | None = None) -> TableReporter:
        return TableReporter(
            MESSAGE, dg.AssetKey("m"), self.find, self.emit, INTERVAL, since, clock=lambda: self.now
        )

    def stream(self, since: str | None = None) -> StreamReporter:
        return StreamReporter([self.table(since)], self, clock=lambda: self.now)  # pyright: ignore[reportArgumentType]  # the part of the resource that is used


class Query:
    """A streaming query that has come so far; without an offset it has finished no batch."""

    def __init__(self, offset: int | None = None) -> None:
        ends = {TOPIC: {"0": offset, "1": 7}, "other": {"0": 99}}
        self.lastProgress = None if offset is None else {"sources": [{"endOffset": ends}]}


def report(reporter: StreamReporter, offset: int | None = None, *, at_once: bool = False) -> None:
    reporter.report(Query(offset), at_once=at_once)  # pyright: ignore[reportArgumentType]  # the part of a query that is used


@pytest.fixture
def world() -> World:
    return World()


# --- one table


def test_every_touched_day_is_reported_with_its_rows(world: World) -> None:
    world.commit("1", TUESDAY)
    world.commit("2", MONDAY, TUESDAY)
    assert world.table().report() == 2
    assert {(day, rows) for day, _, rows in world.events} == {(MONDAY, 1), (TUESDAY, 2)}


def test_the_reasons_of_all_commits_are_told_with_their_days(world: World) -> None:
    told: list[dict[str, object]] = []
    commits = [
        Commit("1", "", {MONDAY: 3, TUESDAY: 1}, reasons={MONDAY: {"bad_time": 2, "too_long": 1}}),
        Commit("2", "", {MONDAY: 1}, reasons={MONDAY: {"bad_time": 1}}),
    ]
    table = world.table()
    table.find = lambda since: summed(commits)
    table.emit = lambda event: told.append(
        {name: value.value for name, value in event.metadata.items()}
    )
    table.report()
    assert told == [
        {"rows written": 4, "bad_time": 3, "too_long": 1, "instant": ""},
        {"rows written": 1, "instant": "2"},
    ]


def test_only_the_last_event_carries_the_new_instant(world: World) -> None:
    world.commit("5", MONDAY, TUESDAY, WEDNESDAY)
    table = world.table(since="4")
    table.report()
    assert [instant for _, instant, _ in world.events] == ["4", "4", "5"]
    assert table.since == "5"


def test_without_an_instant_before_the_first_events_carry_none(world: World) -> None:
    world.commit("5", MONDAY, TUESDAY)
    world.table().report()
    assert [instant for _, instant, _ in world.events] == ["", "5"]


def test_only_what_came_after_the_reported_instant_is_reported(world: World) -> None:
    world.commit("1", MONDAY)
    world.commit("2", TUESDAY)
    assert world.table(since="1").report() == 1
    assert world.events == [(TUESDAY, "2", 1)]


def test_one_report_an_interval(world: World) -> None:
    table = world.table()
    reported = []
    for second in range(int(3 * INTERVAL) + 1):
        world.commit(f"{second:03d}", MONDAY)
        reported.append(table.report())
        world.now += 1
    assert [second for second, number in enumerate(reported) if number] == [0, 30, 60, 90]
    assert [rows for _, _, rows in world.events] == [1, 30, 30, 30]


def test_at_once_does_not_wait_and_the_interval_begins_anew(world: World) -> None:
    table = world.table()
    world.commit("1", MONDAY)
    table.report()
    world.commit("2", TUESDAY)
    world.now += 20
    assert table.report() == 0
    assert table.report(at_once=True) == 1
    world.commit("3", WEDNESDAY)
    world.now += 20
    assert table.report() == 0
    world.now += 10
    assert table.report() == 1


def test_nothing_touched_is_no_report_and_delays_none(world: World) -> None:
    table = world.table(since="1")
    assert table.report() == table.report(at_once=True) == 0
    world.commit("2", MONDAY)
    assert table.report() == 1
    assert table.since == "2"


@pytest.mark.parametrize("stored", [0, 1, 2])
def test_a_report_that_was_broken_off_is_made_again_as_a_whole(world: World, stored: int) -> None:
    world.commit("5", MONDAY, TUESDAY, WEDNESDAY)
    table = world.table(since="4")
    world.storage_fails_after = stored
    with pytest.raises(Away):
        table.report()
    assert (table.since, table.reported_at) == ("4", None)
    world.storage_fails_after = None
    assert table.report() == 3
    assert [day for day, _, _ in world.events[stored:]] == [MONDAY, TUESDAY, WEDNESDAY]
    assert [instant for _, instant, _ in world.events[stored:]] == ["4", "4", "5"]


def test_the_next_run_begins_at_the_instant_of_the_newest_event(world: World) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        table = world.table()
        assert last_instant(instance, table.key) is None
        table.emit = instance.report_runless_asset_event
        world.commit("5", MONDAY, TUESDAY)
        table.report()
        assert last_instant(instance, table.key) == "5"
        # A run that died between two events of the next report.
        instance.report_runless_asset_event(
            dg.AssetMaterialization(table.key, partition=MONDAY, metadata={"instant": "5"})
        )
        assert last_instant(instance, table.key) == "5"


def test_what_a_catch_up_tells_of_itself_leaves_the_beginning_where_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reporter, "EVENTS_PER_PAGE", 2)
    key = dg.AssetKey("m")
    with dg.DagsterInstance.ephemeral() as instance:
        instance.report_runless_asset_event(
            dg.AssetMaterialization(key, partition=MONDAY, metadata={"instant": "5"})
        )
        for day in (MONDAY, TUESDAY, WEDNESDAY):
            instance.report_runless_asset_event(
                dg.AssetMaterialization(key, partition=day, metadata={"caught up": True})
            )
        assert last_instant(instance, key) == "5"


def test_an_event_without_an_instant_is_no_beginning() -> None:
    key = dg.AssetKey("m")
    with dg.DagsterInstance.ephemeral() as instance:
        for metadata in ({}, {"instant": ""}):
            instance.report_runless_asset_event(dg.AssetMaterialization(key, metadata=metadata))
            assert last_instant(instance, key) is None


# --- the stream


def test_a_run_begins_with_what_the_run_before_left_unreported(world: World) -> None:
    world.commit("2", MONDAY)
    report(world.stream(since="1"))
    assert world.events == [(MONDAY, "2", 1)]
    assert world.offsets == []


def test_offsets_are_committed_once_per_change(world: World) -> None:
    stream = world.stream()
    for offset in (None, 5, 5, 5, 8, 8):
        report(stream, offset)
        world.now += 1
    report(stream, 8, at_once=True)
    assert world.offsets == [{0: 5, 1: 7}, {0: 8, 1: 7}]


def test_offsets_do_not_wait_for_the_interval(world: World) -> None:
    stream = world.stream()
    for offset in range(1, 6):
        world.commit(str(offset), MONDAY)
        report(stream, offset)
    assert [offsets[0] for offsets in world.offsets] == [1, 2, 3, 4, 5]
    assert len(world.events) == 1


def test_a_batch_within_the_interval_is_reported_at_its_end(world: World) -> None:
    stream = world.stream()
    world.commit("1", MONDAY)
    report(stream, 1)
    world.commit("2", TUESDAY)
    world.now += 10
    report(stream, 2)
    assert len(world.events) == 1
    world.now += 20
    # No new batch came; what is due is reported all the same.
    report(stream, 2)
    assert [day for day, _, _ in world.events] == [MONDAY, TUESDAY]


def test_an_idle_stream_asks_the_timeline_nothing(world: World) -> None:
    stream = world.stream()
    world.commit("1", MONDAY)
    report(stream, 1)
    asked = len(world.asked)
    for _ in range(200):
        world.now += 1
        report(stream, 1)
    assert len(world.asked) == asked


def test_batches_that_leave_a_table_alone_ask_its_timeline_once_each(world: World) -> None:
    stream = world.stream()
    world.commit("1", MONDAY)
    report(stream, 1)
    world.now += INTERVAL
    before = len(world.asked)
    for offset in (2, 3):
        for _ in range(100):
            report(stream, offset)
            world.now += 0.5
    assert len(world.asked) - before == 2


def test_at_once_reports_what_the_interval_still_holds_back(world: World) -> None:
    stream = world.stream()
    for offset, day in ((1, MONDAY), (2, TUESDAY)):
        world.commit(str(offset), day)
        report(stream, offset)
    assert [day for day, _, _ in world.events] == [MONDAY]
    report(stream, 2, at_once=True)
    assert [day for day, _, _ in world.events] == [MONDAY, TUESDAY]


def test_at_once_reports_the_commit_of_a_batch_that_did_not_finish(world: World) -> None:
    stream = world.stream()
    world.commit("1", MONDAY)
    report(stream, 1)
    world.commit("2", TUESDAY)
    report(stream, 1, at_once=True)
    assert [day for day, _, _ in world.events] == [MONDAY, TUESDAY]


def test_both_tables_are_reported_each_with_its_own_interval(world: World) -> None:
    other = World()
    quarantine = TableReporter(
        QUARANTINE,
        dg.AssetKey("q"),
        other.find,
        other.emit,
        INTERVAL,
        None,
        clock=lambda: world.now,
    )
    stream = StreamReporter([world.table(), quarantine], world)  # pyright: ignore[reportArgumentType]
    world.commit("1", MONDAY)
    report(stream, 1)
    world.now += 20
    world.commit("2", TUESDAY)
    other.commit("2", TUESDAY)
    report(stream, 2)
    assert (len(world.events), len(other.events)) == (1, 1)
    world.now += 10
    report(stream, 2)
    assert (len(world.events), len(other.events)) == (2, 1)


@pytest.mark.parametrize("at_once", [False, True], ids=["while it runs", "at the end"])
@pytest.mark.parametrize(
    "away",
    [
        {"storage_fails_after": 0},
        {"storage_fails_after": 1},
        {"timeline_away": True},
        {"kafka_away": True},
    ],
    ids=str,
)
def test_what_is_away_is_logged_and_never_stops_the_stream(
    world: World, away: dict[str, object], at_once: bool, caplog: pytest.LogCaptureFixture
) -> None:
    stream = world.stream(since="0")
    world.commit("1", MONDAY, TUESDAY)
    vars(world).update(away)
    report(stream, 1, at_once=at_once)
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("ERROR", "The stream could not report")
    ]
    vars(world).update(storage_fails_after=None, timeline_away=False, kafka_away=False)
    report(stream, 1, at_once=at_once)
    assert world.events[-2:] == [(MONDAY, "0", 1), (TUESDAY, "1", 1)]
    assert world.offsets == [{0: 1, 1: 7}]


def test_a_broker_that_is_away_does_not_hold_the_events_back(world: World) -> None:
    world.commit("1", MONDAY)
    world.kafka_away = True
    report(world.stream(), 1, at_once=True)
    assert world.events == [(MONDAY, "1", 1)]


def test_a_query_of_another_topic_commits_nothing(world: World) -> None:
    stream = world.stream()
    query = SimpleNamespace(lastProgress={"sources": [{"endOffset": {"other": {"0": 5}}}]})
    stream.report(query)  # pyright: ignore[reportArgumentType]
    assert world.offsets == []


def test_progress_is_committed_again_before_the_broker_forgets_it(world: World) -> None:
    stream = world.stream()
    report(stream, 5)
    for _ in range(24 * 60):
        world.now += 60
        report(stream, 5)
    assert world.offsets == [{0: 5, 1: 7}] * len(world.offsets)
    assert len(world.offsets) == 1 + 24


def test_what_cannot_be_told_is_collected_while_the_timeline_forgets_it(world: World) -> None:
    table = world.table(since="0")
    for number in range(1, 4):
        world.commits.clear()
        world.commit(str(number), MONDAY if number < 3 else TUESDAY)
        world.storage_fails_after = 0
        with pytest.raises(Away):
            table.report()
    world.storage_fails_after = None
    assert table.report() == 2
    assert world.asked == ["0", "1", "2", "3"]
    assert world.events == [(MONDAY, "0", 2), (TUESDAY, "3", 1)]
    assert table.report(at_once=True) == 0


def test_after_a_crash_only_days_with_younger_files_count_as_touched() -> None:
    files = [
        "hdfs://h/q.db/t/day=2026-03-08/00000001-id-0_0-12-34_20260308100000000.parquet",
        "hdfs://h/q.db/t/day=2026-03-09/00000001-id-0_0-12-34_20260308100000000.parquet",
        "hdfs://h/q.db/t/day=2026-03-09/.00000001-id-0_20260310100000000.log.1_0-5-6",
        "hdfs://h/q.db/t/day=2026-03-10/00000001-id-0_0-12-34_20260310110000000.parquet",
        "hdfs://h/q.db/t/day=2026-03-10/.hoodie_partition_metadata",
    ]
    assert days_after(files, "20260309000000000") == {"2026-03-09", "2026-03-10"}
    assert days_after(files, "20260310110000000") == set()
