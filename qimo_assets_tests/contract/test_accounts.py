"""What each account of the embedded stack's MariaDB may do, and that it may do nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from mysql.connector import Error, connect
from mysql.connector.errorcode import (
    ER_ACCESS_DENIED_ERROR,
    ER_COLUMNACCESS_DENIED_ERROR,
    ER_DBACCESS_DENIED_ERROR,
    ER_SPECIFIC_ACCESS_DENIED_ERROR,
    ER_TABLEACCESS_DENIED_ERROR,
)

from qimo_assets.metrics.catalog import METRICS
from qimo_assets.metrics.publish import ensure_tables, publish
from qimo_assets.resources.mysql import MySQLError
from qimo_assets.settings import LOOPBACK
from qimo_assets_tests.contract.conftest import Server

DENIED = {
    ER_ACCESS_DENIED_ERROR,
    ER_COLUMNACCESS_DENIED_ERROR,
    ER_DBACCESS_DENIED_ERROR,
    ER_SPECIFIC_ACCESS_DENIED_ERROR,
    ER_TABLEACCESS_DENIED_ERROR,
}
WRITES = [
    "INSERT INTO message_total VALUES ('2021-11-08', 1, 1, 1, 1)",
    "UPDATE message_total SET messages = 2",
    "DELETE FROM message_total",
    "TRUNCATE message_total",
    "DROP TABLE message_total",
    "ALTER TABLE message_total ADD x INT",
    "CREATE TABLE x (a INT)",
    "CREATE VIEW x AS SELECT 1",
    "CREATE TEMPORARY TABLE x (a INT)",
]
FOREIGN = [
    "SELECT * FROM dagster.runs",
    "CREATE TABLE dagster.x (a INT)",
    "SELECT * FROM mysql.global_priv",
    "CREATE DATABASE x",
    "CREATE USER x",
]
SERVER = [
    "SELECT 1 INTO OUTFILE '/tmp/x'",
    "LOAD DATA INFILE '/etc/passwd' INTO TABLE message_total",
    "SET GLOBAL max_connections = 1",
    "SHUTDOWN",
    "GRANT SELECT ON qimo_report.* TO finebi_reader@localhost",
]


@pytest.fixture(scope="module")
def published(server: Server) -> Iterator[Server]:
    """The reporting database with one metric of one day, and a table of Dagster's."""
    server.as_root("CREATE TABLE IF NOT EXISTS dagster.runs (id INT)")
    with server.resource("qimo_publisher").connect() as connection:
        ensure_tables(connection, METRICS[0])
        publish(
            connection,
            METRICS[0],
            ["2021-11-07"],
            [("2021-11-07", 3, 2, 2, 1)],
            "20211107120000001",
        )
    yield server
    server.as_root("DROP TABLE qimo_report.message_total, qimo_report.publication, dagster.runs")


def run(server: Server, account: str, statement: str, database: str = "qimo_report") -> list[Any]:
    """Run a statement with one of the stack's accounts."""
    with server.resource(account, database).connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        rows = cursor.fetchall() if cursor.description else []
        connection.commit()
        return rows


def refused(server: Server, account: str, statement: str, database: str = "qimo_report") -> None:
    """See that a statement is refused for want of a privilege, and for no other reason."""
    with pytest.raises(Error) as error:
        run(server, account, statement, database)
    assert error.value.errno in DENIED, error.value


def test_the_reader_reads_the_figures(published: Server) -> None:
    assert run(published, "finebi_reader", "SELECT messages, senders FROM message_total") == [
        (3, 2)
    ]
    assert run(published, "finebi_reader", "SELECT count(*) FROM publication") == [(1,)]
    assert {name for (name,) in run(published, "finebi_reader", "SHOW DATABASES")} == {
        "information_schema",
        "qimo_report",
    }


@pytest.mark.parametrize("statement", [*WRITES, *FOREIGN, *SERVER])
def test_the_reader_does_nothing_else(published: Server, statement: str) -> None:
    refused(published, "finebi_reader", statement)


@pytest.mark.parametrize("statement", [*FOREIGN, *SERVER])
def test_the_publisher_writes_the_reporting_database_alone(
    published: Server, statement: str
) -> None:
    assert {name for (name,) in run(published, "qimo_publisher", "SHOW DATABASES")} == {
        "information_schema",
        "qimo_report",
    }
    refused(published, "qimo_publisher", statement)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM qimo_report.message_total",
        "DELETE FROM qimo_report.message_total",
        "SELECT * FROM mysql.user",
        *SERVER[2:],
    ],
)
def test_dagster_has_its_own_database_alone(published: Server, statement: str) -> None:
    assert run(published, "dagster", "SELECT * FROM runs", "dagster") == []
    assert {name for (name,) in run(published, "dagster", "SHOW DATABASES", "dagster")} == {
        "information_schema",
        "dagster",
    }
    refused(published, "dagster", statement, "dagster")
    with pytest.raises(MySQLError, match="dagster"):
        run(published, "dagster", "SELECT 1", "qimo_report")


def test_root_is_reached_through_the_socket_alone(server: Server) -> None:
    for password in ("", server.layout.secret("mysql_root")):
        with pytest.raises(Error) as error:
            connect(
                host=LOOPBACK, port=server.layout.ports["mysql"], user="root", password=password
            )
        assert error.value.errno == ER_ACCESS_DENIED_ERROR
    with pytest.raises(Error):
        connect(unix_socket=str(server.layout.run / "mysql.sock"), user="root", password="")
    assert server.as_root("SELECT user()") == [("root@localhost",)]


def test_accounts_are_the_four_of_the_stack_and_the_servers_own(server: Server) -> None:
    found = {
        (str(user), str(host))
        for user, host in server.as_root(
            "SELECT user, host FROM mysql.global_priv WHERE user <> 'contract'"
        )
    }
    named = {(name, LOOPBACK) for name in ("qimo_publisher", "finebi_reader", "dagster")}
    assert found == named | {("root", "localhost"), ("mariadb.sys", "localhost")}


def test_what_was_granted_by_hand_is_gone_after_the_next_start(published: Server) -> None:
    published.as_root(
        f"GRANT ALL ON *.* TO finebi_reader@'{LOOPBACK}'",
        "CREATE USER dagster@'%'",
        "GRANT ALL ON *.* TO dagster@'%'",
    )
    published.stop()
    published.start()
    refused(published, "finebi_reader", WRITES[2])
    assert published.as_root("SELECT host FROM mysql.global_priv WHERE user = 'dagster'") == [
        (LOOPBACK,)
    ]


def test_a_session_of_the_platform_never_needs_root(published: Server) -> None:
    root = published.layout.secret("mysql_root")
    configured = [
        path
        for path in [*published.layout.home.glob("*.toml"), *published.layout.etc.rglob("*")]
        if path.is_file()
    ]
    assert configured
    assert [path for path in configured if root in path.read_text()] == []
    with closing(
        connect(
            host=LOOPBACK,
            port=published.layout.ports["mysql"],
            user="dagster",
            password=published.layout.secret("mysql_dagster"),
        )
    ) as connection:
        assert connection.is_connected()
