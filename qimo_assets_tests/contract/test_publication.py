"""Publication against a real MySQL or MariaDB: whole days, never older over newer, whatever the text and however many publish at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import dagster as dg
import pytest
from mysql.connector.abstracts import MySQLConnectionAbstract
from pydantic import SecretStr

from qimo_assets.metrics.assets import build_metric_assets, build_metric_checks
from qimo_assets.metrics.catalog import METRICS, TEXT_LENGTH, Metric
from qimo_assets.metrics.publish import PublicationError, PublicationResult, checksum, ensure_tables, publish
from qimo_assets.resources.mysql import MySQLError, MySQLResource

BY_NAME = {metric.name: metric for metric in METRICS}
TOTAL, HOURLY, PROVINCE, TOP = (BY_NAME[name] for name in ("message_total", "message_hourly", "sender_province", "sender_top"))
DAY, NEXT = "2021-11-07", "2021-11-08"
T1, T2, T3 = "20211107120000001", "20211107120000002", "20211107120000003"


def fetch(connection: MySQLConnectionAbstract, sql: str) -> list[Any]:
    """Return the rows of a query as they are now."""
    connection.rollback()
    with connection.cursor() as cursor:
        cursor.execute(sql)
        rows = cursor.fetchall()
    connection.rollback()
    return [tuple(str(value) if index == 0 else value for index, value in enumerate(row)) for row in rows]  # pyright: ignore


def stored(connection: MySQLConnectionAbstract, metric: Metric) -> list[Any]:
    """Return a metric's rows in the order of their key."""
    keys = ", ".join(f"`{column.name}`" for column in metric.key_columns)
    return fetch(connection, f"SELECT * FROM `{metric.name}` ORDER BY {keys}")


def recorded(connection: MySQLConnectionAbstract) -> list[Any]:
    """Return the publication table."""
    return fetch(connection, "SELECT day, metric, source_instant, row_count, checksum, published_at FROM publication ORDER BY metric, day")


def hours(day: str, messages: int) -> list[tuple[Any, ...]]:
    """Return 24 rows of message_hourly."""
    return [(day, hour, messages, 1, 1) for hour in range(24)]


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_tables_are_made_once_with_key_and_chinese_comments(connection: MySQLConnectionAbstract, metric: Metric) -> None:
    ensure_tables(connection, metric)
    ensure_tables(connection, metric)
    about = f"FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = '{metric.name}' ORDER BY ordinal_position"
    assert fetch(connection, f"SELECT column_name, column_comment {about}") == [(c.name, c.comment_zh) for c in metric.columns]
    keys = [name for name, key in fetch(connection, f"SELECT column_name, column_key {about}") if key == "PRI"]
    assert keys == [column.name for column in metric.key_columns]
    table = fetch(
        connection, "SELECT table_comment, engine FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = "
        f"'{metric.name}'",
    )  # fmt: skip
    assert table == [(metric.title_zh, "InnoDB")]


def test_a_table_with_other_columns_is_named(connection: MySQLConnectionAbstract) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE message_total (day DATE PRIMARY KEY)")
    with pytest.raises(PublicationError, match="message_total.*backfill"):
        ensure_tables(connection, TOTAL)


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


def test_the_same_rows_of_a_newer_instant_move_the_instant(connection: MySQLConnectionAbstract) -> None:
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


def test_instants_that_cannot_be_compared_stop_the_publication(connection: MySQLConnectionAbstract) -> None:
    ensure_tables(connection, HOURLY)
    publish(connection, HOURLY, [DAY], hours(DAY, 5), T2)
    with pytest.raises(PublicationError, match="length"):
        publish(connection, HOURLY, [DAY], hours(DAY, 1), "9")
    assert stored(connection, HOURLY) == hours(DAY, 5)


@pytest.mark.parametrize("instant", [T1, T2])
def test_other_rows_of_the_same_or_a_newer_instant_replace_the_day(connection: MySQLConnectionAbstract, instant: str) -> None:
    ensure_tables(connection, HOURLY)
    publish(connection, HOURLY, [DAY, NEXT], hours(DAY, 1) + hours(NEXT, 1), T1)
    assert publish(connection, HOURLY, [DAY], hours(DAY, 2)[:3], instant).published == [DAY]
    assert stored(connection, HOURLY) == hours(DAY, 2)[:3] + hours(NEXT, 1)


def test_a_day_without_rows_is_published_as_empty(connection: MySQLConnectionAbstract) -> None:
    ensure_tables(connection, HOURLY)
    publish(connection, HOURLY, [DAY], hours(DAY, 1), T1)
    publish(connection, HOURLY, [DAY, NEXT], [], T2)
    assert stored(connection, HOURLY) == []
    assert [row[:5] for row in recorded(connection)] == [(day, "message_hourly", T2, 0, checksum([])) for day in (DAY, NEXT)]


def test_rows_that_somebody_changed_are_put_right(connection: MySQLConnectionAbstract) -> None:
    ensure_tables(connection, HOURLY)
    publish(connection, HOURLY, [DAY], hours(DAY, 1), T1)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM message_hourly WHERE hour = 3")
    connection.commit()
    assert publish(connection, HOURLY, [DAY], hours(DAY, 1), T1).published == [DAY]
    assert stored(connection, HOURLY) == hours(DAY, 1)


def test_a_publication_that_fails_leaves_everything_as_it_was(connection: MySQLConnectionAbstract) -> None:
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


def in_threads(mysql: MySQLResource, calls: list[Callable[[MySQLConnectionAbstract], PublicationResult]]) -> list[PublicationResult]:
    """Run each call on a connection of its own, all starting at the same moment."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[MySQLConnectionAbstract], PublicationResult]) -> PublicationResult:
        with mysql.connect() as connection:
            barrier.wait()
            return call(connection)

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


@pytest.mark.parametrize("round_", range(5))
def test_of_many_publishers_at_once_the_newest_wins_whole(mysql: MySQLResource, connection: MySQLConnectionAbstract, round_: int) -> None:
    ensure_tables(connection, HOURLY)
    days = [f"2021-11-{day:02}" for day in range(1, 8)]
    instants = [f"2021110712000000{n}" for n in range(6)]
    instants = instants[round_:] + instants[:round_]

    def publisher(instant: str) -> Callable[[MySQLConnectionAbstract], PublicationResult]:
        rows = [row for day in days for row in hours(day, int(instant[-1]))]
        order = days if int(instant[-1]) % 2 else days[::-1]
        return lambda connection: publish(connection, HOURLY, order, rows, instant)

    results = in_threads(mysql, [publisher(instant) for instant in instants])
    assert all(sorted(result.published + result.refused + result.unchanged) == days for result in results)
    assert {row[2] for row in stored(connection, HOURLY)} == {5}
    assert {row[2] for row in recorded(connection)} == {max(instants)}


def test_two_publishers_of_the_same_leave_it_once(mysql: MySQLResource, connection: MySQLConnectionAbstract) -> None:
    ensure_tables(connection, HOURLY)
    results = in_threads(mysql, [lambda connection: publish(connection, HOURLY, [DAY], hours(DAY, 1), T1)] * 2)
    assert sorted(len(result.published) for result in results) == [0, 1]
    assert stored(connection, HOURLY) == hours(DAY, 1)


def test_tables_may_be_made_by_two_at_once(mysql: MySQLResource, connection: MySQLConnectionAbstract) -> None:
    def make(connection: MySQLConnectionAbstract) -> PublicationResult:
        ensure_tables(connection, HOURLY)
        return publish(connection, HOURLY, [DAY], hours(DAY, 1), T1)

    in_threads(mysql, [make] * 4)
    assert stored(connection, HOURLY) == hours(DAY, 1)


def test_a_reader_never_sees_less_than_a_whole_day(mysql: MySQLResource, connection: MySQLConnectionAbstract) -> None:
    ensure_tables(connection, HOURLY)
    publish(connection, HOURLY, [DAY], hours(DAY, 0), T1)
    seen: list[tuple[int, int]] = []
    done = threading.Event()

    def read() -> None:
        with mysql.connect() as reader:
            while not done.is_set():
                seen.append(fetch(reader, "SELECT '', count(*), count(DISTINCT messages) FROM message_hourly")[0][1:])

    thread = threading.Thread(target=read)
    thread.start()
    try:
        for messages in range(1, 60):
            publish(connection, HOURLY, [DAY], hours(DAY, messages), f"202111071200{messages:05}")
    finally:
        done.set()
        thread.join()
    assert set(seen) == {(24, 1)}
    assert len(seen) > 10


def test_a_publisher_that_waits_too_long_says_so(mysql: MySQLResource, connection: MySQLConnectionAbstract) -> None:
    ensure_tables(connection, HOURLY)
    publish(connection, HOURLY, [DAY], hours(DAY, 1), T1)
    impatient = MySQLResource(**{**dict(mysql), "timeout_seconds": 1})
    with connection.cursor() as cursor:
        cursor.execute("SELECT day FROM publication FOR UPDATE")
        cursor.fetchall()
    with impatient.connect() as other, pytest.raises(PublicationError, match="Another publisher"):
        publish(other, HOURLY, [DAY], hours(DAY, 2), T2)
    assert stored(connection, HOURLY) == hours(DAY, 1)


def test_a_publisher_killed_inside_its_transaction_leaves_the_old_day(mysql: MySQLResource, connection: MySQLConnectionAbstract) -> None:
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


class FakeSession:
    """A session that has one message of each day in every view, and one commit."""

    def query(self, sql: str, params: dict[str, list[str]] | None = None) -> list[dict[str, Any]]:
        if params is None:
            return [{"commit_time": T1}]
        values = {column.name: 1 for metric in METRICS for column in metric.columns}
        return [{**values, "day": day} for day in params["days"]]


class FakeHive(dg.ConfigurableResource):
    """HiveServer2 as far as a metric sees it."""

    def session(self) -> Any:
        return nullcontext(FakeSession())


def test_the_assets_publish_a_range_of_days_and_the_checks_add_up(mysql: MySQLResource, connection: MySQLConnectionAbstract) -> None:
    definitions = [*build_metric_assets("lake"), *build_metric_checks()]
    tags = {"dagster/asset_partition_range_start": "2021-11-01", "dagster/asset_partition_range_end": "2021-12-15"}
    result = dg.materialize(definitions, resources={"hive": FakeHive(), "mysql": mysql}, tags=tags)
    assert result.success
    evaluations = result.get_asset_check_evaluations()
    assert all(evaluation.passed and evaluation.metadata["days_compared"].value == 45 for evaluation in evaluations)
    assert len(evaluations) == sum(metric.additive == "sum" for metric in METRICS)
    assert len(result.asset_materializations_for_node("mysql__message_total")) == 45
    assert len(stored(connection, TOTAL)) == 45

    with connection.cursor() as cursor:
        cursor.execute("UPDATE message_hourly SET messages = 7 WHERE day = '2021-11-02'")
    connection.commit()
    only_checks = dg.AssetSelection.all_asset_checks()
    result = dg.materialize(definitions, resources={"hive": FakeHive(), "mysql": mysql}, selection=only_checks)
    evaluations = result.get_asset_check_evaluations()
    wrong = {evaluation.asset_key.path[-1]: evaluation.metadata["differences"].value for evaluation in evaluations if not evaluation.passed}
    assert wrong == {"message_hourly": ["2021-11-02: 7 instead of 1"]}


def test_a_server_that_is_away_or_refuses_is_told_without_the_password(mysql: MySQLResource) -> None:
    for change in ({"port": 1}, {"password": SecretStr("hunter2")}):
        with pytest.raises(MySQLError, match="./qimo status") as error, MySQLResource(**{**dict(mysql), **change}).connect():
            pass
        assert "hunter2" not in str(error.value)
    assert mysql.password.get_secret_value() not in repr(mysql)
