"""What MySQL says: the published metrics."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import date
from typing import TypeVar

from qimo_assets.clients import mysql_arguments
from qimo_assets.settings import MySQLSettings
from qimo_assets.verify.errors import Ask, VerifyError, first_line
from qimo_assets.verify.metrics import METRICS, Row, Table

Answer = TypeVar("Answer")


def read_metrics(mysql: MySQLSettings) -> dict[str, Table | None]:
    """Read every metric's table from MySQL; None where there is no such table.

    Raises:
        VerifyError: MySQL does not answer.
    """
    return _with_mysql(mysql, metric_tables)


def read_progress(mysql: MySQLSettings) -> tuple[int, str]:
    """Return the messages that MySQL shows, and what changes with every publication; cheap enough
    to be asked all the time.

    Raises:
        VerifyError: MySQL does not answer.
    """
    return _with_mysql(mysql, progress)


def progress(ask: Ask) -> tuple[int, str]:
    """Put `read_progress` together out of queries."""
    present = {name for (name,) in ask("SHOW TABLES")}
    [(messages,)] = (
        ask("SELECT coalesce(sum(messages), 0) FROM message_total")
        if "message_total" in present
        else [(0,)]
    )
    [state] = (
        ask("SELECT count(*), max(published_at) FROM publication")
        if "publication" in present
        else [()]
    )
    return int(messages), " ".join(map(str, state))


def read_instants(mysql: MySQLSettings) -> dict[tuple[str, str], str]:
    """Return the commit of the lake that each metric's day was published as of.

    Raises:
        VerifyError: MySQL does not answer.
    """
    return _with_mysql(mysql, instants)


def instants(ask: Ask) -> dict[tuple[str, str], str]:
    """Put `read_instants` together out of queries."""
    if ("publication",) not in ask("SHOW TABLES"):
        return {}
    found = ask("SELECT metric, day, source_instant FROM publication")
    return {(metric, _day_text(day)): instant for metric, day, instant in found}


def _with_mysql(mysql: MySQLSettings, read: Callable[[Ask], Answer]) -> Answer:
    from mysql.connector import Error, connect

    try:
        connection = connect(**mysql_arguments(mysql), read_timeout=mysql.timeout_seconds)
        with closing(connection), closing(connection.cursor()) as cursor:

            def ask(query: str) -> list[Row]:
                cursor.execute(query)
                return cursor.fetchall()  # pyright: ignore[reportReturnType]  # plain cursors give tuples

            return read(ask)
    except Error as error:
        raise VerifyError(
            f"MySQL at {mysql.host}:{mysql.port} ({mysql.database}) cannot be read: "
            f"{first_line(error)}. "
            "See ./qimo status; ./qimo up starts the embedded stack."
        ) from error


def metric_tables(ask: Ask) -> dict[str, Table | None]:
    """Put the published tables together out of queries.

    Args:
        ask: Runs a query and returns its rows.

    Returns:
        Rows of each metric's table: (day, *grain) to measures; None where there is no such table.
    """
    present = {name for (name,) in ask("SHOW TABLES")}
    return {name: _metric_table(ask, name) if name in present else None for name in METRICS}


def _metric_table(ask: Ask, name: str) -> Table:
    grain, measures = METRICS[name]
    columns = ", ".join(f"`{column}`" for column in ("day", *grain, *measures))
    width = 1 + len(grain)
    return {
        (_day_text(row[0]), *row[1:width]): tuple(row[width:])
        for row in ask(f"SELECT {columns} FROM `{name}`")  # nosec B608  # this file's names
    }


def _day_text(day: date | str) -> str:
    return day if isinstance(day, str) else day.isoformat()
