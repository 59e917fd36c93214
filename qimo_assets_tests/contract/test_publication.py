"""Publication against a real MySQL or MariaDB: whole days, never older over newer, whatever the
text and however many publish at once.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import count
from multiprocessing import get_context
from typing import Any

import dagster as dg
import pytest
from mysql.connector import Error as DriverError
from mysql.connector import MySQLConnection
from mysql.connector.abstracts import MySQLConnectionAbstract
from mysql.connector.cursor import MySQLCursor
from pydantic import SecretStr

from qimo_assets.automation.conditions import MESSAGES
from qimo_assets.metrics.assets import build_metric_assets
from qimo_assets.metrics.catalog import METRICS, TEXT, TEXT_LENGTH, Column, Metric
from qimo_assets.metrics.checks import ADDS_UP, REPAIR
from qimo_assets.metrics.publish import (
    PublicationError,
    PublicationResult,
    _replace,
    _stage,
    checksum,
    ensure_tables,
    publish,
)
from qimo_assets.metrics.refresh import refresh_metrics
from qimo_assets.metrics.report_view import build_report_view
from qimo_assets.partitions import daily
from qimo_assets.resources.mysql import MySQLError, MySQLResource
from qimo_assets_tests.contract.conftest import Server
from qimo_assets_tests.hiveserver import FakeSession, entry

BY_NAME = {metric.name: metric for metric in METRICS}
TOTAL, HOURLY, PROVINCE, TOP = (
    BY_NAME[name] for name in ("message_total", "message_hourly", "sender_province", "sender_top")
)
DAY, NEXT = "2021-11-07", "2021-11-08"
T1, T2, T3 = "20211107120000001", "20211107120000002", "20211107120000003"


def fetch(connection: MySQLConnectionAbstract, sql: str) -> list[Any]:
    """Return the rows of a query as they are now."""
    connection.rollback()
    with connection.cursor() as cursor:
        cursor.execute(sql)
        rows = cursor.fetchall()
    connection.rollback()
    return [
        tuple(str(value) if index == 0 else value for index, value in enumerate(row))
        for row in rows
    ]  # pyright: ignore


def stored(connection: MySQLConnectionAbstract, metric: Metric) -> list[Any]:
    """Return a metric's rows in the order of their key."""
    keys = ", ".join(f"`{column.name}`" for column in metric.key_columns)
    return fetch(connection, f"SELECT * FROM `{metric.name}` ORDER BY {keys}")


def recorded(connection: MySQLConnectionAbstract) -> list[Any]:
    """Return the publication table."""
    return fetch(
        connection,
        "SELECT day, metric, source_instant, row_count, checksum, published_at FROM "
        "publication ORDER BY metric, day",
    )


def hours(day: str, messages: int) -> list[tuple[Any, ...]]:
    """Return 24 rows of message_hourly."""
    return [(day, hour, messages, 1, 1) for hour in range(24)]


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_tables_are_made_once_with_key_and_chinese_comments(
    connection: MySQLConnectionAbstract, metric: Metric
) -> None:
    ensure_tables(connection, metric)
    ensure_tables(connection, metric)
    about = (
        "FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = "
        f"'{metric.name}' ORDER BY ordinal_position"
    )
    assert fetch(connection, f"SELECT column_name, column_comment {about}") == [
        *((c.name, c.comment_zh) for c in metric.columns),
        *((name, c.comment_zh) for name, c in metric.plain_names.items()),
    ]
    keys = [
        name
        for name, key in fetch(connection, f"SELECT column_name, column_key {about}")
        if key == "PRI"
    ]
    assert keys == [column.name for column in metric.key_columns]
    table = fetch(
        connection, "SELECT table_comment, engine FROM information_schema.tables WHERE "
        f"table_schema = DATABASE() AND table_name = '{metric.name}'",
    )  # fmt: skip
    assert table == [(metric.title_zh, "InnoDB")]


QUALITY = next(metric for metric in METRICS if metric.name == "data_quality")
AGES = tuple(column.name for column in QUALITY.columns if column.nullable)
RETRIES = Column("retries", "BIGINT", "重试次数")
LABEL = Column("label", TEXT, "标签")


@pytest.mark.parametrize(
    "measures",
    [
        (*HOURLY.measures, RETRIES),
        (RETRIES, *HOURLY.measures),
        (*HOURLY.measures[:1], LABEL, *HOURLY.measures[1:], RETRIES),
    ],
)
def test_new_measures_are_added_where_the_catalog_has_them(
    connection: MySQLConnectionAbstract, measures: tuple[Column, ...]
) -> None:
    ensure_tables(connection, HOURLY)
    publish(connection, HOURLY, [DAY, NEXT], hours(DAY, 1) + hours(NEXT, 1), T1)
    grown = replace(HOURLY, measures=measures)
    names = [column.name for column in measures if column not in HOURLY.measures]
    assert ensure_tables(connection, grown) == names
    assert ensure_tables(connection, grown) == []
    about = (
        "FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = "
        "'message_hourly' ORDER BY ordinal_position"
    )
    assert fetch(connection, f"SELECT column_name, column_comment {about}") == [
        (column.name, column.comment_zh) for column in grown.columns
    ]
    assert {
        row[2:]
        for row in fetch(connection, f"SELECT day, hour, {', '.join(names)} FROM message_hourly")
    } == {(None,) * len(names)}
    rows = [
        (DAY, hour, *("7" if column == LABEL else 7 for column in measures)) for hour in range(24)
    ]
    assert publish(connection, grown, [DAY], rows, T1).published == [DAY]
    assert publish(connection, grown, [DAY], rows, T2).unchanged == [DAY]
    # Until the code of every publisher is new, one that knows nothing of the column goes on.
    assert publish(connection, HOURLY, [NEXT], hours(NEXT, 2), T2).published == [NEXT]


def test_a_table_of_the_release_before_gets_the_names_that_need_no_quotes(
    connection: MySQLConnectionAbstract,
) -> None:
    columns = tuple(replace(column, plain_name=None) for column in TOP.grain)
    before = replace(TOP, grain=columns)
    ensure_tables(connection, before)
    publish(connection, before, [DAY], [(DAY, 1, "138", "张三", 5)], T1)
    assert ensure_tables(connection, TOP) == []
    assert ensure_tables(connection, TOP) == []
    assert fetch(connection, "SELECT place, `rank` FROM sender_top") == [("1", 1)]
    for publisher, instant in ((before, T2), (TOP, T3)):
        publish(connection, publisher, [DAY], [(DAY, 2, "139", "李四", 6)], instant)
        assert fetch(connection, "SELECT place, nickname FROM sender_top") == [("2", "李四")]


def test_a_measure_may_be_added_by_two_at_once(
    mysql: MySQLResource, connection: MySQLConnectionAbstract
) -> None:
    ensure_tables(connection, HOURLY)
    grown = replace(HOURLY, measures=(*HOURLY.measures, RETRIES))

    def make(connection: MySQLConnectionAbstract) -> PublicationResult:
        ensure_tables(connection, grown)
        return publish(connection, grown, [DAY], [(*row, 0) for row in hours(DAY, 1)], T1)

    in_threads(mysql, [make] * 4)
    assert stored(connection, HOURLY) == [(*row, 0) for row in hours(DAY, 1)]


@pytest.mark.parametrize(
    "changed",
    [
        replace(HOURLY, measures=HOURLY.measures[:-1]),
        replace(HOURLY, measures=HOURLY.measures[::-1]),
        replace(HOURLY, grain=(*HOURLY.grain, LABEL)),
        replace(HOURLY, grain=()),
        replace(HOURLY, grain=(replace(HOURLY.grain[0], mysql_type="SMALLINT"),)),
        replace(HOURLY, measures=(replace(HOURLY.measures[0], name="lines"), *HOURLY.measures[1:])),
        replace(
            HOURLY, measures=(replace(HOURLY.measures[0], mysql_type=TEXT), *HOURLY.measures[1:])
        ),
    ],
    ids=[
        "measure removed",
        "order",
        "grain added",
        "grain removed",
        "key's type",
        "measure renamed",
        "measure's type",
    ],
)
def test_other_changes_of_a_table_are_refused_with_instructions(
    connection: MySQLConnectionAbstract, changed: Metric
) -> None:
    ensure_tables(connection, HOURLY)
    publish(connection, HOURLY, [DAY], hours(DAY, 1), T1)
    with pytest.raises(
        PublicationError,
        match=r"message_hourly.*Rename or drop the table.*backfill the asset mysql/message_hourly",
    ):
        ensure_tables(connection, changed)
    assert stored(connection, HOURLY) == hours(DAY, 1)


def test_days_are_published_and_recorded(connection: MySQLConnectionAbstract) -> None:
    ensure_tables(connection, HOURLY)
    result = publish(connection, HOURLY, [NEXT, DAY], hours(DAY, 1) + hours(NEXT, 2), T1)
    assert (result.published, result.unchanged, result.refused) == ([DAY, NEXT], [], [])
    assert result.rows == {DAY: 24, NEXT: 24}
    assert stored(connection, HOURLY) == hours(DAY, 1) + hours(NEXT, 2)
    assert [row[:5] for row in recorded(connection)] == [
        (DAY, "message_hourly", T1, 24, checksum(hours(DAY, 1))),
        (NEXT, "message_hourly", T1, 24, checksum(hours(NEXT, 2))),
    ]


def test_the_same_again_changes_nothing(connection: MySQLConnectionAbstract) -> None:
    ensure_tables(connection, HOURLY)
    publish(connection, HOURLY, [DAY], hours(DAY, 1), T1)
    before = stored(connection, HOURLY), recorded(connection)
    result = publish(connection, HOURLY, [DAY], hours(DAY, 1)[::-1], T1)
    assert (result.published, result.unchanged) == ([], [DAY])
    assert (stored(connection, HOURLY), recorded(connection)) == before


def test_the_same_rows_of_a_newer_instant_move_the_instant(
    connection: MySQLConnectionAbstract,
) -> None:
    ensure_tables(connection, HOURLY)
    publish(connection, HOURLY, [DAY], hours(DAY, 1), T1)
    assert publish(connection, HOURLY, [DAY], hours(DAY, 1), T3).unchanged == [DAY]
    assert recorded(connection)[0][2] == T3
    assert publish(connection, HOURLY, [DAY], hours(DAY, 2), T2).refused == [DAY]


def test_an_older_instant_is_refused_day_by_day(connection: MySQLConnectionAbstract) -> None:
    ensure_tables(connection, HOURLY)
    publish(connection, HOURLY, [DAY], hours(DAY, 5), T2)
    result = publish(connection, HOURLY, [DAY, NEXT], hours(DAY, 1) + hours(NEXT, 1), T1)
    assert (result.published, result.refused) == ([NEXT], [DAY])
    assert stored(connection, HOURLY) == hours(DAY, 5) + hours(NEXT, 1)
    assert [row[2] for row in recorded(connection)] == [T2, T1]


def test_instants_that_cannot_be_compared_stop_the_publication(
    connection: MySQLConnectionAbstract,
) -> None:
    ensure_tables(connection, HOURLY)
    publish(connection, HOURLY, [DAY], hours(DAY, 5), T2)
    with pytest.raises(PublicationError, match="length"):
        publish(connection, HOURLY, [DAY], hours(DAY, 1), "9")
    assert stored(connection, HOURLY) == hours(DAY, 5)


@pytest.mark.parametrize("instant", [T1, T2])
def test_other_rows_of_the_same_or_a_newer_instant_replace_the_day(
    connection: MySQLConnectionAbstract, instant: str
) -> None:
    ensure_tables(connection, HOURLY)
    publish(connection, HOURLY, [DAY, NEXT], hours(DAY, 1) + hours(NEXT, 1), T1)
    assert publish(connection, HOURLY, [DAY], hours(DAY, 2)[:3], instant).published == [DAY]
    assert stored(connection, HOURLY) == hours(DAY, 2)[:3] + hours(NEXT, 1)


def test_a_day_without_rows_is_published_as_empty(connection: MySQLConnectionAbstract) -> None:
    ensure_tables(connection, HOURLY)
    publish(connection, HOURLY, [DAY], hours(DAY, 1), T1)
    publish(connection, HOURLY, [DAY, NEXT], [], T2)
    assert stored(connection, HOURLY) == []
    assert [row[:5] for row in recorded(connection)] == [
        (day, "message_hourly", T2, 0, checksum([])) for day in (DAY, NEXT)
    ]


def test_rows_that_somebody_changed_are_put_right(connection: MySQLConnectionAbstract) -> None:
    ensure_tables(connection, HOURLY)
    publish(connection, HOURLY, [DAY], hours(DAY, 1), T1)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM message_hourly WHERE hour = 3")
    connection.commit()
    assert publish(connection, HOURLY, [DAY], hours(DAY, 1), T1).published == [DAY]
    assert stored(connection, HOURLY) == hours(DAY, 1)


def test_a_publication_that_fails_leaves_everything_as_it_was(
    connection: MySQLConnectionAbstract,
) -> None:
    ensure_tables(connection, HOURLY)
    publish(connection, HOURLY, [DAY], hours(DAY, 1), T1)
    before = stored(connection, HOURLY), recorded(connection)
    with pytest.raises(Exception, match="Duplicate"):
        publish(connection, HOURLY, [DAY, NEXT], hours(DAY, 2) + hours(DAY, 3), T2)
    assert (stored(connection, HOURLY), recorded(connection)) == before


HOSTILE = ["'", '"', "\\", "\\'; DROP TABLE sender_province; --", "%s", "%(x)s", "a", "a ", "A", "á", "a\u0301", "ａ", "", " ", "\t", "\x00", "a\x00", "\x01",
           "😀", "😁", "👨‍👩‍👧", "\U0010ffff", "\u202e", "\r\n", "未知", "ß", "ss", "x" * TEXT_LENGTH, "x" * 5000, "x" * 5001, "😀" * 200]  # fmt: skip


def test_hostile_texts_stay_themselves_and_apart(connection: MySQLConnectionAbstract) -> None:
    ensure_tables(connection, PROVINCE)
    rows = [(DAY, text, text, 1, 1) for text in HOSTILE]
    assert publish(connection, PROVINCE, [DAY], rows, T1).published == [DAY]
    texts = [row[1] for row in stored(connection, PROVINCE)]
    assert len(texts) == len(HOSTILE)
    assert {text for text in HOSTILE if len(text) <= TEXT_LENGTH} < set(texts)
    assert publish(connection, PROVINCE, [DAY], rows, T2).unchanged == [DAY]


def test_hostile_texts_may_be_measures(connection: MySQLConnectionAbstract) -> None:
    ensure_tables(connection, TOP)
    rows = [(DAY, rank, text, text, 1) for rank, text in enumerate(HOSTILE, start=1)]
    publish(connection, TOP, [DAY], rows, T1)
    assert publish(connection, TOP, [DAY], rows, T1).unchanged == [DAY]


def in_threads(
    mysql: MySQLResource, calls: list[Callable[[MySQLConnectionAbstract], PublicationResult]]
) -> list[PublicationResult]:
    """Run each call on a connection of its own, all starting at the same moment."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[MySQLConnectionAbstract], PublicationResult]) -> PublicationResult:
        with mysql.connect() as connection:
            barrier.wait()
            return call(connection)

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


@pytest.mark.parametrize("round_", range(5))
def test_of_many_publishers_at_once_the_newest_wins_whole(
    mysql: MySQLResource, connection: MySQLConnectionAbstract, round_: int
) -> None:
    ensure_tables(connection, HOURLY)
    days = [f"2021-11-{day:02}" for day in range(1, 8)]
    instants = [f"2021110712000000{n}" for n in range(6)]
    instants = instants[round_:] + instants[:round_]

    def publisher(instant: str) -> Callable[[MySQLConnectionAbstract], PublicationResult]:
        rows = [row for day in days for row in hours(day, int(instant[-1]))]
        order = days if int(instant[-1]) % 2 else days[::-1]
        return lambda connection: publish(connection, HOURLY, order, rows, instant)

    results = in_threads(mysql, [publisher(instant) for instant in instants])
    assert all(
        sorted(result.published + result.refused + result.unchanged) == days for result in results
    )
    assert {row[2] for row in stored(connection, HOURLY)} == {5}
    assert {row[2] for row in recorded(connection)} == {max(instants)}


def test_two_publishers_of_the_same_leave_it_once(
    mysql: MySQLResource, connection: MySQLConnectionAbstract
) -> None:
    ensure_tables(connection, HOURLY)
    results = in_threads(
        mysql, [lambda connection: publish(connection, HOURLY, [DAY], hours(DAY, 1), T1)] * 2
    )
    assert sorted(len(result.published) for result in results) == [0, 1]
    assert stored(connection, HOURLY) == hours(DAY, 1)


def test_tables_may_be_made_by_two_at_once(
    mysql: MySQLResource, connection: MySQLConnectionAbstract
) -> None:
    def make(connection: MySQLConnectionAbstract) -> PublicationResult:
        ensure_tables(connection, HOURLY)
        return publish(connection, HOURLY, [DAY], hours(DAY, 1), T1)

    in_threads(mysql, [make] * 4)
    assert stored(connection, HOURLY) == hours(DAY, 1)


WHOLE = (
    "SELECT p.source_instant, count(*), count(DISTINCT h.messages), max(h.messages) FROM "
    "publication AS p JOIN message_hourly AS h USING (day) "
    "WHERE p.metric = 'message_hourly' GROUP BY p.source_instant"
)


def numbered(number: int) -> str:
    """Return the instant of a publication by its number."""
    return f"202111071200{number:05}"


def test_readers_at_100_hz_see_only_whole_states_in_200_publications(
    mysql: MySQLResource, connection: MySQLConnectionAbstract
) -> None:
    ensure_tables(connection, HOURLY)
    publish(connection, HOURLY, [DAY], hours(DAY, 0), numbered(0))
    seen: list[tuple[Any, ...]] = []
    done = threading.Event()

    def read() -> None:
        with mysql.connect() as reader:
            while not done.is_set():
                seen.extend(fetch(reader, WHOLE))
                time.sleep(0.01)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for number in range(1, 201):
            publish(connection, HOURLY, [DAY], hours(DAY, number), numbered(number))
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert [state for state in seen if state != (numbered(state[3]), 24, 1, state[3])] == []
    assert len(set(seen)) > 10


STEPS = ("execute", "executemany", "commit")


def publish_and_die(mysql: MySQLResource, step: int, number: int) -> None:
    """Publish in this process, which ends itself as by `kill -9` right after its statement of this
    number.
    """
    done = count(1)

    def dying(call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            result = call(*arguments, **options)
            if next(done) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return run

    with mysql.connect() as connection:
        for owner in (MySQLCursor, MySQLConnection):
            for name in STEPS:
                if name in vars(owner):
                    setattr(owner, name, dying(vars(owner)[name]))
        publish(
            connection,
            HOURLY,
            [DAY, NEXT],
            hours(DAY, number) + hours(NEXT, number),
            numbered(number),
        )


def test_a_publisher_killed_in_any_step_leaves_a_whole_state_and_no_lock(
    mysql: MySQLResource, connection: MySQLConnectionAbstract
) -> None:
    ensure_tables(connection, HOURLY)
    both = [DAY, NEXT]
    publish(connection, HOURLY, both, hours(DAY, 0) + hours(NEXT, 0), numbered(0))
    killed: list[int] = []
    for step in count(1):
        publisher = get_context("fork").Process(
            target=publish_and_die, args=(mysql, step, 2 * step)
        )
        publisher.start()
        publisher.join(60)
        [state] = fetch(connection, WHOLE)
        assert state in [
            (numbered(number), 48, 1, number)
            for number in (2 * step - 1 if step > 1 else 0, 2 * step)
        ]
        if publisher.exitcode == 0:
            break
        assert publisher.exitcode == -signal.SIGKILL
        killed.append(state[3])
        publish(
            connection,
            HOURLY,
            both,
            hours(DAY, 2 * step + 1) + hours(NEXT, 2 * step + 1),
            numbered(2 * step + 1),
        )
    # Before the last commit nothing shows, after it everything.
    assert len(killed) > len(STEPS) * 3
    assert [number % 2 == 0 and number > 0 for number in killed] == [False] * (len(killed) - 1) + [
        True
    ]


def test_a_publication_comes_right_after_the_server_was_killed_in_the_middle(
    server: Server, mysql: MySQLResource, connection: MySQLConnectionAbstract
) -> None:
    ensure_tables(connection, HOURLY)
    publish(connection, HOURLY, [DAY], hours(DAY, 0), numbered(0))
    with mysql.connect() as victim:
        _stage(victim, HOURLY, {DAY: hours(DAY, 1)})
        _replace(victim, HOURLY, {DAY: hours(DAY, 1)}, numbered(1))
        os.kill(int((server.layout.run / "mysql.pid").read_text()), signal.SIGKILL)
        with pytest.raises(DriverError):
            victim.commit()
    with pytest.raises(DriverError):
        publish(connection, HOURLY, [DAY], hours(DAY, 1), numbered(1))
    server.start()
    with mysql.connect() as again:
        assert fetch(again, WHOLE) == [(numbered(0), 24, 1, 0)]
        assert publish(again, HOURLY, [DAY], hours(DAY, 1), numbered(1)).published == [DAY]
        assert fetch(again, WHOLE) == [(numbered(1), 24, 1, 1)]


def test_a_publisher_that_waits_too_long_says_so(
    mysql: MySQLResource, connection: MySQLConnectionAbstract
) -> None:
    ensure_tables(connection, HOURLY)
    publish(connection, HOURLY, [DAY], hours(DAY, 1), T1)
    impatient = MySQLResource(**dict(mysql, timeout_seconds=1))
    with connection.cursor() as cursor:
        cursor.execute("SELECT day FROM publication FOR UPDATE")
        cursor.fetchall()
    with impatient.connect() as other, pytest.raises(PublicationError, match="Another publisher"):
        publish(other, HOURLY, [DAY], hours(DAY, 2), T2)
    assert stored(connection, HOURLY) == hours(DAY, 1)


def test_a_publisher_killed_inside_its_transaction_leaves_the_old_day(
    mysql: MySQLResource, connection: MySQLConnectionAbstract
) -> None:
    ensure_tables(connection, HOURLY)
    publish(connection, HOURLY, [DAY], hours(DAY, 1), T1)
    with mysql.connect() as victim:
        with victim.cursor() as cursor:
            cursor.execute("SELECT day FROM publication FOR UPDATE")
            cursor.fetchall()
            cursor.execute("DELETE FROM message_hourly")
        with connection.cursor() as cursor:
            cursor.execute(f"KILL CONNECTION {victim.connection_id}")
        connection.commit()
        assert stored(connection, HOURLY) == hours(DAY, 1)
        assert publish(connection, HOURLY, [DAY], hours(DAY, 2), T2).published == [DAY]


def test_a_day_without_a_measured_age_has_none_also_in_a_table_from_before(
    connection: MySQLConnectionAbstract,
) -> None:
    strict = replace(
        QUALITY, measures=tuple(replace(column, nullable=False) for column in QUALITY.measures)
    )
    counts = [1] * (len(QUALITY.measures) - len(AGES))
    ensure_tables(connection, strict)
    ensure_tables(connection, QUALITY)
    assert publish(connection, QUALITY, [DAY], [(DAY, *counts, None, None)], T1).published
    assert fetch(connection, f"SELECT day, {', '.join(AGES)} FROM data_quality") == [
        (DAY, None, None)
    ]
    # The same again changes nothing, and no figure is not 0.
    assert publish(connection, QUALITY, [DAY], [(DAY, *counts, None, None)], T2).unchanged
    assert publish(connection, QUALITY, [DAY], [(DAY, *counts, 0, 0)], T2).published


ONE_DAY: dict[str, Any] = {"partition_key": "2021-11-07"}


class FakeHive(dg.ConfigurableResource[Any]):
    """HiveServer2 as far as a metric sees it; it may refuse one metric."""

    refused: str = ""

    def session(self) -> Any:
        return FakeSession(T1, self.refused and f"WITH `{self.refused}`").session()


def test_the_assets_publish_a_range_of_days_and_the_checks_add_up(
    mysql: MySQLResource, connection: MySQLConnectionAbstract
) -> None:
    definitions = build_metric_assets("lake")
    tags = {
        "dagster/asset_partition_range_start": "2021-11-01",
        "dagster/asset_partition_range_end": "2021-12-15",
    }
    result = dg.materialize(definitions, resources={"hive": FakeHive(), "mysql": mysql}, tags=tags)
    assert result.success
    evaluations = result.get_asset_check_evaluations()
    assert all(evaluation.passed for evaluation in evaluations)
    compared = [
        evaluation.metadata["days_compared"].value
        for evaluation in evaluations
        if evaluation.check_name == ADDS_UP
    ]
    assert compared == [45] * sum(metric.additive == "sum" for metric in METRICS)
    assert len(evaluations) == len(compared) + 3 * len(METRICS)
    events = result.asset_materializations_for_node("metrics_of_1_day")
    # The others wait for its run, which so has ended for all of them.
    assert events[-1].asset_key.path[-1] == TOTAL.name
    told = {
        item.partition: {name: value.value for name, value in item.metadata.items()}
        for item in events
        if item.asset_key.path[-1] == TOTAL.name
    }
    assert len(told) == len(stored(connection, TOTAL)) == 45
    # Each event tells of its own day: one that told of all would grow with the range.
    newest = told.pop("2021-12-15")
    assert all(
        set(event) == {"outcome", "dagster/row_count", "source_instant"} for event in told.values()
    )
    assert {(event["outcome"], event["dagster/row_count"]) for event in told.values()} == {
        ("published", 1)
    }
    assert {"rows", "chart"} <= set(newest)

    with connection.cursor() as cursor:
        cursor.execute("UPDATE message_hourly SET messages = 7 WHERE day = '2021-11-02'")
        cursor.execute("UPDATE active_user SET daily = 2 WHERE day = '2021-11-03'")
        cursor.execute("UPDATE data_quality SET late = -1 WHERE day = '2021-11-04'")
        cursor.execute("UPDATE sender_top SET nickname = '' WHERE day = '2021-11-05'")
        cursor.execute("DELETE FROM sex_pair WHERE day = '2021-11-06'")
        cursor.execute("DELETE FROM publication WHERE metric = 'os' AND day = '2021-11-07'")
        cursor.execute(
            "UPDATE publication SET published_at = published_at - INTERVAL 2 HOUR WHERE "
            "metric = 'message_total' AND day = '2021-11-07'"
        )
    connection.commit()
    only_checks = dg.AssetSelection.all_asset_checks()
    result = dg.materialize(
        definitions, resources={"hive": FakeHive(), "mysql": mysql}, selection=only_checks
    )
    evaluations = result.get_asset_check_evaluations()
    found = {
        (evaluation.asset_key.path[-1], evaluation.check_name): evaluation
        for evaluation in evaluations
        if not evaluation.passed
    }
    assert {key: evaluation.metadata["differences"].value for key, evaluation in found.items()} == {
        ("message_hourly", ADDS_UP): ["2021-11-02: 7 instead of 1"],
        ("active_user", "figures_are_sound"): [
            "day 2021-11-03, daily 2, weekly 1, monthly 1, new 1, returning_next_day 1"
        ],
        ("data_quality", "figures_are_sound"): [
            ", ".join(
                [
                    "day 2021-11-04",
                    *(
                        f"{column.name} {-1 if column.name == 'late' else 1}"
                        for column in QUALITY.measures
                    ),
                ]
            )
        ],
        ("sender_top", "figures_are_sound"): [
            "day 2021-11-05, rank 1, account 1, nickname , messages 1"
        ],
        ("sex_pair", ADDS_UP): ["2021-11-06: 0 instead of 1"],
        ("sex_pair", "is_published_whole"): ["day 2021-11-06, published 1, present 0"],
        ("os", "is_published_whole"): ["day 2021-11-07, published None, present 0"],
    }
    # Who is woken up reads what to do.
    assert {evaluation.description for evaluation in found.values()} == {REPAIR}


def test_rows_of_messages_are_of_the_commit_up_to_which_they_were_read(
    mysql: MySQLResource, connection: MySQLConnectionAbstract
) -> None:
    # A batch comes between the question for the instant and the look at the day.
    session = FakeSession(T2)
    session.timeline, session.messages = [entry(T1)], {DAY: 2}
    hive: Any = session
    done = refresh_metrics([TOTAL, QUALITY], "lake", [DAY], hive, mysql, large_day=1000)
    assert [refresh.error for refresh in done] == [None, None]
    found = fetch(connection, "SELECT metric, source_instant FROM publication")
    # Of the other tables that it reads nothing is known.
    assert dict(found) == {TOTAL.name: T2, QUALITY.name: T1}


def test_a_metric_that_fails_leaves_the_others_alone_and_is_tried_again_by_itself(
    mysql: MySQLResource, connection: MySQLConnectionAbstract
) -> None:
    assets, instance, cursor = build_metric_assets("lake")[0], dg.DagsterInstance.ephemeral(), None
    sources = [
        dg.AssetSpec(key, partitions_def=daily if key.path[0] == "hudi" else None)
        for key in {*assets.dependency_keys} - assets.keys
    ]
    for source in sources:
        instance.report_runless_asset_event(
            dg.AssetMaterialization(source.key, partition=DAY if source.partitions_def else None)
        )

    def requested(later: float, hive: FakeHive) -> tuple[set[str], bool]:
        """Return the metrics that are asked for, and whether the run that publishes them
        succeeds.
        """
        nonlocal cursor
        defs = dg.Definitions(assets=[*sources, assets], resources={"hive": hive, "mysql": mysql})
        ticked = dg.evaluate_automation_conditions(
            defs,
            instance,
            cursor=cursor,
            evaluation_time=datetime.now(timezone.utc) + timedelta(seconds=later),
        )
        cursor = ticked.cursor
        wanted = [key for key in assets.keys if DAY in ticked.get_requested_partitions(key)]
        job = defs.resolve_implicit_global_asset_job_def()
        run = (
            not wanted
            or job.execute_in_process(
                instance=instance, asset_selection=wanted, partition_key=DAY, raise_on_error=False
            ).success
        )
        return {key.path[-1] for key in wanted}, run

    assert requested(0, FakeHive(refused="sender_top")) == (
        {metric.name for metric in METRICS if not metric.looks_back},
        False,
    )
    assert (
        len(fetch(connection, "SELECT metric FROM publication WHERE checksum <> ''"))
        == len(METRICS) - 2
    )
    assert requested(0, FakeHive()) == (set(), True)
    assert requested(60, FakeHive()) == ({"sender_top"}, True)
    assert requested(120, FakeHive()) == (set(), True)


def test_accounts_are_published_masked_where_it_is_set(
    mysql: MySQLResource, connection: MySQLConnectionAbstract
) -> None:
    dg.materialize(
        build_metric_assets("lake"),
        resources={
            "hive": FakeHive(),
            "mysql": MySQLResource(**dict(mysql, mask_accounts=True)),
        },
        **ONE_DAY,
    )
    assert fetch(connection, "SELECT account, nickname FROM sender_top") == [("1****", "1")]


def test_the_course_s_report_is_a_view_over_the_metrics(
    mysql: MySQLResource, connection: MySQLConnectionAbstract
) -> None:
    assert dg.materialize([build_report_view()], resources={"mysql": mysql}).success
    assert fetch(connection, "SELECT * FROM `7mo_report`") == []
    dg.materialize(
        build_metric_assets("lake"), resources={"hive": FakeHive(), "mysql": mysql}, **ONE_DAY
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO sender_province VALUES ('2021-11-08', '中国', '广东省', 5, 2), "
            "('2021-11-09', '中国', '广东省', 6, 2)"
        )
    connection.commit()
    found = fetch(
        connection,
        "SELECT `7mo_category`, `7mo_name`, `7mo_total` FROM `7mo_report` ORDER BY "
        "7mo_category + 0, 7mo_name",
    )
    assert [row for row in found if row[0] in ("1", "2", "3")] == [
        ("1", "全国", 1),
        ("2", "1", 1),
        ("2", "广东省", 11),
        ("3", "1", 1),
    ]
    assert {row[0] for row in found} == {str(category) for category in range(1, 13)}
    assert dg.materialize([build_report_view()], resources={"mysql": mysql}).success


def test_a_metric_whose_server_was_away_is_published_by_the_automation(
    server: Server, mysql: MySQLResource, connection: MySQLConnectionAbstract
) -> None:
    key, view = dg.AssetKey(["mysql", "message_hourly"]), dg.AssetKey(["hive", "message_hourly"])
    sources = [dg.AssetSpec(MESSAGES, partitions_def=daily), dg.AssetSpec(view)]
    defs = dg.Definitions(
        assets=[*sources, *build_metric_assets("lake")],
        resources={"hive": FakeHive(), "mysql": mysql},
    )
    instance = dg.DagsterInstance.ephemeral()
    for event in (dg.AssetMaterialization(view), dg.AssetMaterialization(MESSAGES, partition=DAY)):
        instance.report_runless_asset_event(event)
    cursor = None

    def requested(later: float) -> set[str | None]:
        nonlocal cursor
        result = dg.evaluate_automation_conditions(
            defs,
            instance,
            cursor=cursor,
            evaluation_time=datetime.now(timezone.utc) + timedelta(seconds=later),
        )
        cursor = result.cursor
        return set(result.get_requested_partitions(key))

    def run() -> bool:
        job = defs.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=instance, asset_selection=[key], partition_key=DAY, raise_on_error=False
        ).success

    assert requested(0) == {DAY}
    server.stop()
    try:
        assert not run()
        assert requested(0) == set()
        assert requested(60) == {DAY}
        assert not run()
    finally:
        server.start()
    assert requested(0) == set()
    assert requested(60) == {DAY}
    assert run()
    assert requested(600) == set()
    with mysql.connect() as again:
        assert fetch(again, "SELECT day, hour, messages FROM message_hourly") == [(DAY, 1, 1)]


def test_a_server_that_is_away_or_refuses_is_told_without_the_password(
    mysql: MySQLResource,
) -> None:
    changes: list[dict[str, Any]] = [{"port": 1}, {"password": SecretStr("hunter2")}]
    for change in changes:
        with (
            pytest.raises(MySQLError, match="./qimo status") as error,
            MySQLResource(**dict(mysql, **change)).connect(),
        ):
            pass
        assert "hunter2" not in str(error.value)
    assert mysql.password.get_secret_value() not in repr(mysql)
