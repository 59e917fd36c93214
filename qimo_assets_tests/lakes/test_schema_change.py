"""A 21st field appears in the lines while the stream runs: nothing stops, nothing is lost, and the
column arrives in Hudi, Hive and MySQL.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from confluent_kafka import Producer

from qimo_assets.clients import librdkafka_options
from qimo_assets.contract import FIELDS
from qimo_assets.metrics.catalog import COUNT, METRICS, Column
from qimo_assets.metrics.publish import ensure_tables, publish
from qimo_assets.resources.hive import HiveResource
from qimo_assets.resources.mysql import MySQLResource
from qimo_assets.views import sql
from qimo_assets_tests.lakes.driver_of_21_fields import APP_VERSION
from qimo_assets_tests.lakes.lake import Lake, kill

DAY = "2024-05-01"
VERSIONED = "versioned"
# A metric's view that uses the new column, as the next release has it.
VIEW = """
CREATE OR REPLACE VIEW {database}.versioned AS
SELECT day, count(*) AS messages, count(DISTINCT sender_account) AS senders, count(app_version) AS with_version
FROM {database}.v_message GROUP BY day
"""


def line(message: str, *added: str) -> bytes:
    """Return a line of 20 fields, or of more."""
    return "\x01".join(
        [f"{DAY} 10:00:00", "", "A", *[""] * 8, "B", *[""] * 7, message, *added]
    ).encode()


def send(lake: Lake, *lines: bytes) -> None:
    producer = Producer(librdkafka_options(lake.settings.kafka))
    for text in lines:
        producer.produce(lake.name, text)
    assert producer.flush(60) == 0


@contextmanager
def stream(lake: Lake) -> Generator[Callable[[int, int], None], None, None]:
    """Run the live stream; give what waits until messages and quarantine have so many rows."""
    process = lake.start("live")

    def wait_for_rows(messages: int, quarantined: int) -> None:
        lake.wait_for(process, lambda: counts(lake) == (messages, quarantined))

    try:
        yield wait_for_rows
        assert process.poll() is None, lake.log()[-3000:]
    finally:
        kill(process)


def counts(lake: Lake) -> tuple[int, int]:
    """Return the rows of messages and quarantine; none where there is no table yet."""
    there = bool(lake.ask(f"SHOW DATABASES LIKE '{lake.name}'"))
    present = {name for _, name, _ in lake.ask(f"SHOW TABLES IN {lake.name}")} if there else set()

    def rows(table: str) -> int:
        return (
            lake.ask(f"SELECT count(*) FROM {lake.name}.{table}")[0][0] if table in present else 0
        )

    return rows("chat_message_rt"), rows("chat_quarantine_rt")


def versions(lake: Lake, table: str) -> dict[str, str | None]:
    """Return message -> the new column."""
    return dict(lake.ask(f"SELECT message, app_version FROM {lake.name}.{table}"))


def test_a_field_more_is_quarantined_then_read_and_arrives_everywhere(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stream(lake) as wait_for_rows:
        send(lake, line("old 1"))
        wait_for_rows(1, 0)
        # The servers are ahead of the contract: the new lines wait in quarantine, the old ones go
        # on.
        send(lake, line("early 1", "8.1"), line("old 2"), line("early 2", ""))
        wait_for_rows(2, 2)
    with HiveResource.from_settings(lake.settings.hive).session() as session:
        session.execute(sql.view_statement(sql.MESSAGE_VIEW, lake.name))

    # The contract knows the field: lines of both kinds in one batch, and of both kinds in one file
    # of the table.
    lake.driver = "driver_of_21_fields"
    with stream(lake) as wait_for_rows:
        send(
            lake,
            line("old 3"),
            line("new 1", "8.2"),
            line("new 2", ""),
            line("too many", "8.2", "x"),
        )
        wait_for_rows(5, 3)
        expected = {"old 1": None, "old 2": None, "old 3": None, "new 1": "8.2", "new 2": None}
        assert versions(lake, "chat_message_rt") == expected
        # The view of before still answers, and knows nothing of the column.
        assert lake.ask(f"SELECT count(*) FROM {lake.name}.{sql.MESSAGE_VIEW}") == [(5,)]

    # What came too early is read again.
    lake.finish("replay")
    expected |= {"early 1": "8.1", "early 2": None}
    assert versions(lake, "chat_message_rt") == expected
    assert lake.ask(f"SELECT reason FROM {lake.name}.chat_quarantine_rt") == [("field_count",)]

    # A catch-up after files of both schemas were put together reads as before.
    send(lake, line("old 4"), line("new 3", "8.3"))
    lake.finish()
    expected |= {"old 4": None, "new 3": "8.3"}
    assert versions(lake, "chat_message_rt") == expected

    monkeypatch.setattr(sql, "FIELDS", (*FIELDS, APP_VERSION))
    with HiveResource.from_settings(lake.settings.hive).session() as session:
        session.execute(sql.view_statement(sql.MESSAGE_VIEW, lake.name))
        session.execute(VIEW.format(database=lake.name))
        [row] = session.query(f"SELECT * FROM {lake.name}.{VERSIONED}")
    assert versions(lake, sql.MESSAGE_VIEW) == expected
    assert row == {"day": DAY, "messages": 9, "senders": 1, "with_version": 3}
    published(lake, row)


def published(lake: Lake, row: dict[str, object]) -> None:
    """Publish a day as a metric without the measure, then with it: the table gets the column, NULL
    on the day that is not published again.
    """
    metric = replace(METRICS[0], name=f"{lake.name}_metric", measures=METRICS[0].measures[:2])
    wider = replace(
        metric,
        measures=(
            *metric.measures,
            Column("with_version", COUNT, "带客户端版本的消息数", at_most="messages", adds=True),
        ),
    )
    with (
        MySQLResource.from_settings(lake.settings.mysql).connect() as connection,
        connection.cursor() as cursor,
    ):
        try:
            ensure_tables(connection, metric)
            publish(connection, metric, ["2024-04-30"], [("2024-04-30", 1, 1)], "0" * 17)
            assert ensure_tables(connection, wider) == ["with_version"]
            publish(connection, wider, [DAY], [tuple(row.values())], "1" * 17)
            cursor.execute(f"SELECT messages, with_version FROM {metric.name} ORDER BY day")
            assert cursor.fetchall() == [(1, None), (9, 3)]
        finally:
            cursor.execute(f"DROP TABLE IF EXISTS {metric.name}")
            cursor.execute("DELETE FROM publication WHERE metric = %s", (metric.name,))
            connection.commit()
