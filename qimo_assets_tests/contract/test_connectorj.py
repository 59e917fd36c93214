"""The reporting database as FineBI meets it: through Connector/J, with its usual URL and the
reader's account.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from py4j.java_gateway import GatewayParameters, JavaGateway, launch_gateway
from py4j.protocol import Py4JJavaError

from qimo_assets.metrics.catalog import METRICS, Metric
from qimo_assets.metrics.publish import ensure_tables, publish
from qimo_assets.settings import LOOPBACK
from qimo_assets.stack.download import download
from qimo_assets.stack.jars import PYSPARK_HOME, class_path, directory, locked
from qimo_assets.stack.java import java_home
from qimo_assets_tests.contract.conftest import Server

DAY = "2021-11-07"
TEXTS = {
    "province": "新疆维吾尔自治区",
    "country": "中国",
    "nickname": "老王😀",
    "account": "13800001234",
}
OPTIONS = (
    "useUnicode=true&characterEncoding=utf8&characterSetResults=UTF-8&serverTimezone=Asia/Shanghai"
)
# Group of its jar, class, scheme and further options of each driver that BI tools bring.
DRIVERS = {
    "connectorj_5": ("com.mysql.jdbc.Driver", "jdbc:mysql", ""),
    "connectorj_8": ("com.mysql.cj.jdbc.Driver", "jdbc:mysql", ""),
    "connectorj": ("com.mysql.cj.jdbc.Driver", "jdbc:mysql", ""),
    "connectorj_26": ("com.mysql.cj.jdbc.Driver", "jdbc:mysql", ""),
    "mariadb_client_3": ("org.mariadb.jdbc.Driver", "jdbc:mariadb", ""),
    # It demands TLS unless it is told not to; the embedded MariaDB has none.
    "mariadb_client": ("org.mariadb.jdbc.Driver", "jdbc:mariadb", "&sslMode=disable"),
}
# java.sql.Types
NUMBERS, TEXT_TYPE, DATE_TYPE = {-6, 5, 4, -5, 3, 8}, 12, 91


def sample(metric: Metric) -> tuple[Any, ...]:
    """Return a row of a metric with Chinese texts."""
    return tuple(
        DAY if column.name == "day" else TEXTS.get(column.name, "未知") if column.is_text else 1
        for column in metric.columns
    )


@pytest.fixture(scope="module")
def published(server: Server) -> Iterator[Server]:
    """Every metric with one row, as the publisher leaves it."""
    with server.resource("qimo_publisher").connect() as connection:
        for metric in METRICS:
            ensure_tables(connection, metric)
            publish(connection, metric, [DAY], [sample(metric)], "20211107120000001")
    yield server
    server.as_root(
        "DROP TABLE "
        f"{', '.join(f'qimo_report.{name}' for name in ('publication', *(metric.name for metric in METRICS)))}"
    )


@contextmanager
def connected(server: Server, driver: str, options: str = OPTIONS) -> Generator[Any, None, None]:
    """Give a reader's connection by a driver, in a JVM of its own."""
    download([jar for jar in locked() if jar.group == driver], directory(server.layout))
    py4j = next(Path(PYSPARK_HOME, "jars").glob("py4j-*.jar"))
    launched = launch_gateway(
        jarpath=str(py4j),
        classpath=os.pathsep.join(str(jar) for jar in class_path(server.layout, driver)),
        java_path=str(java_home() / "bin" / "java"),
        die_on_exit=True,
        enable_auth=True,
    )
    port, token = cast("tuple[int, str]", launched)
    gateway = JavaGateway(gateway_parameters=GatewayParameters(port=port, auth_token=token))
    jvm: Any = gateway.jvm
    name, scheme, more = DRIVERS[driver]
    account = jvm.java.util.Properties()
    account.setProperty("user", "finebi_reader")
    account.setProperty("password", server.layout.secret("mysql_reader"))
    url = f"{scheme}://{LOOPBACK}:{server.layout.ports['mysql']}/qimo_report?{options}{more}"
    place = jvm
    for part in name.split("."):
        place = getattr(place, part)
    connection = place().connect(url, account)
    try:
        yield connection
    finally:
        connection.close()
        gateway.shutdown()


@pytest.fixture(scope="module")
def jdbc(published: Server) -> Iterator[Any]:
    """The connection of FineBI's own Connector/J."""
    with connected(published, "connectorj") as connection:
        yield connection


@pytest.mark.parametrize("driver", DRIVERS)
def test_each_driver_reads_chinese_texts_names_and_days_by_the_documented_url(
    published: Server, driver: str
) -> None:
    with connected(published, driver) as connection:
        found = ask(
            connection,
            "SELECT day, country, province, messages FROM sender_province "
            "WHERE province = '新疆维吾尔自治区'",
            "day",
            "country",
            "province",
            "messages",
        )
        nicknames = ask(connection, "SELECT nickname, place FROM sender_top", "nickname", "place")
        columns = rows(
            connection.getMetaData().getColumns("qimo_report", None, "sender_province", "%"),
            "COLUMN_NAME",
            "REMARKS",
            "DATA_TYPE",
        )
    assert found == [(DAY, "中国", "新疆维吾尔自治区", "1")]
    # What the oldest knows of UTF-8 has three bytes a character at most.
    assert nicknames == [("老王?" if driver == "connectorj_5" else "老王😀", "1")]
    assert columns[:2] == [
        ("day", "日期", str(DATE_TYPE)),
        ("country", "发件人国家", str(TEXT_TYPE)),
    ]


def test_the_oldest_driver_needs_the_character_set_of_results(published: Server) -> None:
    """Why the URL names it: for an exact collation this driver takes texts for Latin."""
    options = OPTIONS.replace("&characterSetResults=UTF-8", "")
    with connected(published, "connectorj_5", options) as connection:
        [(province,)] = ask(connection, "SELECT province FROM sender_province", "province")
    assert province != "新疆维吾尔自治区"


def rows(result: Any, *names: str) -> list[tuple[str, ...]]:
    """Return columns of a JDBC result as texts."""
    found = []
    while result.next():
        found.append(tuple(result.getString(name) for name in names))
    return found


def ask(jdbc: Any, query: str, *names: str) -> list[tuple[str, ...]]:
    """Return columns of a query as texts."""
    return rows(jdbc.createStatement().executeQuery(query), *names)


def test_the_tables_are_listed_with_their_chinese_names(jdbc: Any) -> None:
    listed = {
        name
        for (name,) in rows(
            jdbc.getMetaData().getTables("qimo_report", None, "%", None), "TABLE_NAME"
        )
    }
    assert listed == {"publication", *(metric.name for metric in METRICS)}
    query = (
        "SELECT table_name AS name, table_comment AS title FROM information_schema.tables "
        "WHERE table_schema = 'qimo_report'"
    )
    assert set(ask(jdbc, query, "name", "title")) >= {
        (metric.name, metric.title_zh) for metric in METRICS
    }


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_the_columns_are_listed_with_remarks_and_types_that_finebi_knows(
    jdbc: Any, metric: Metric
) -> None:
    columns = rows(
        jdbc.getMetaData().getColumns("qimo_report", None, metric.name, "%"),
        "COLUMN_NAME",
        "REMARKS",
        "DATA_TYPE",
    )
    declared = {column.name: column for column in metric.columns} | metric.plain_names
    assert [(name, remark) for name, remark, _ in columns] == [
        (name, column.comment_zh) for name, column in declared.items()
    ]
    for column, (_, _, kind) in zip(declared.values(), columns, strict=True):
        assert int(kind) in (
            {TEXT_TYPE}
            if column.is_text
            else {DATE_TYPE}
            if column.mysql_type == "DATE"
            else NUMBERS
        )


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_values_are_read_as_they_were_published(jdbc: Any, metric: Metric) -> None:
    names = [column.name for column in metric.columns]
    [found] = ask(
        jdbc, f"SELECT {', '.join(f'`{name}`' for name in names)} FROM `{metric.name}`", *names
    )
    assert found == tuple(str(value) for value in sample(metric))


def test_a_chinese_text_is_found_by_a_filter(jdbc: Any) -> None:
    assert ask(
        jdbc, "SELECT province FROM sender_province WHERE province = '新疆维吾尔自治区'", "province"
    ) == [("新疆维吾尔自治区",)]
    assert ask(jdbc, "SELECT nickname FROM sender_top WHERE nickname LIKE '%😀'", "nickname") == [
        ("老王😀",)
    ]


def test_the_time_of_publication_is_that_of_beijing(published: Server, jdbc: Any) -> None:
    [(told,)] = ask(
        jdbc, "SELECT published_at FROM publication WHERE metric = 'message_total'", "published_at"
    )
    [(stored,)] = published.as_root(
        "SELECT date_format(published_at, '%Y-%m-%d %H:%i:%s') FROM "
        "qimo_report.publication WHERE metric = 'message_total'"
    )
    assert told.startswith(str(stored))


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM message_total",
        "CREATE TABLE x (a INT)",
        "DROP TABLE message_total",
        "UPDATE publication SET row_count = 0",
    ],
)
def test_nothing_can_be_written(jdbc: Any, statement: str) -> None:
    with pytest.raises(Py4JJavaError, match="denied"):
        jdbc.createStatement().executeUpdate(statement)


def test_no_other_database_is_seen(jdbc: Any) -> None:
    assert {name for (name,) in rows(jdbc.getMetaData().getCatalogs(), "TABLE_CAT")} == {
        "information_schema",
        "qimo_report",
    }
    for query in ("SELECT user FROM mysql.user", "SELECT * FROM dagster.runs"):
        with pytest.raises(Py4JJavaError, match="denied"):
            jdbc.createStatement().executeQuery(query)
