"""Publication of a metric's days to MySQL: whole days, never older over newer, in one transaction.

Works on an open connection and knows neither Dagster nor Hive. A reader sees a day as it was or as
it is now; of two publishers at once one waits for the other; a run repeated changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from mysql.connector import DatabaseError, errorcode
from mysql.connector.abstracts import MySQLConnectionAbstract, MySQLCursorAbstract
from tenacity import Retrying, retry_if_exception, stop_after_attempt

from qimo_assets.errors import RefusedError
from qimo_assets.metrics.catalog import TEXT_LENGTH, Column, Metric
from qimo_assets.views.sql import render

SQL_DIR = Path(__file__).parent / "sql"
ATTEMPTS = 5
ROWS_PER_INSERT = 1000
NOW = "UTC_TIMESTAMP(3) + INTERVAL 8 HOUR"

Row = tuple[Any, ...]
Days = dict[str, list[Row]]


class PublicationError(RefusedError):
    """A metric cannot be published; the message says what to do."""


@dataclass
class PublicationResult:
    """What a publication did, by day.

    Attributes:
        published: Days whose rows were replaced.
        unchanged: Days whose rows in MySQL were the same already.
        refused: Days that MySQL holds from a newer instant; they stay as they are.
        rows: Rows that were given for each day.
        checksums: SHA-256 of the rows that were given for each day.
    """

    published: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    checksums: dict[str, str] = field(default_factory=dict)


def ensure_tables(connection: MySQLConnectionAbstract, metric: Metric) -> list[str]:
    """Create the metric's table and the publication table where they are missing, and add measures
    that are new in the catalog.

    Returns:
        The measures that were added. They are NULL on each day until it is published again.

    Raises:
        PublicationError: The metric's table differs from the catalog by more than new measures, or
            is in use for too long.
    """
    with connection.cursor() as cursor:
        if not _columns(cursor, "publication"):
            cursor.execute(render(SQL_DIR / "publication.sql"))
        present = _columns(cursor, metric.name)
        missing_names = [name for name in metric.plain_names if present and name not in present]
        added = (
            [column for column in metric.measures if column.name not in present] if present else []
        )
        if not present:
            cursor.execute(
                render(SQL_DIR / "metric.sql", metric=metric, collation=_exact_collation(cursor))
            )
        elif list(present.items()) != [
            item
            for item in _declared(metric).items()
            if item[0] not in {*missing_names, *(column.name for column in added)}
        ]:
            has, says = (
                ", ".join(f"{name} {kind}" for name, kind in columns.items())
                for columns in (present, _declared(metric))
            )
            raise PublicationError(
                f"Table {metric.name} in MySQL has the columns {has}; the catalog says "
                f"{says}. New measures are added by themselves, other changes are not. "
                "Rename or drop the table, delete its rows from publication, then "
                f"backfill the asset mysql/{metric.name}."
            )
        for column in added:
            _add(cursor, metric, column)
        for column in _too_strict(cursor, metric):
            cursor.execute(render(SQL_DIR / "nullable_column.sql", metric=metric, column=column))
        for name in missing_names:
            column = metric.plain_names[name]
            _alter(cursor, metric, name, "added_name.sql", name=name, column=column)
    connection.commit()
    return [column.name for column in added]


def publish(
    connection: MySQLConnectionAbstract,
    metric: Metric,
    days: Sequence[str],
    rows: Iterable[Sequence[Any]],
    source_instant: str,
) -> PublicationResult:
    """Replace the given days of a metric.

    Args:
        connection: Open, without autocommit; `ensure_tables` was called for the metric.
        metric: The metric.
        days: The days that the rows are complete for; a day without a row is published as empty.
        rows: The rows in the catalog's column order.
        source_instant: Instant of the lake that the rows are at least as new as; instants are texts
            of equal length.

    Returns:
        What was done with each day.

    Raises:
        PublicationError: A row does not fit, or another publisher holds the metric for too long.
    """
    content = _by_day(metric, days, rows)
    connection.rollback()
    # The server resolves a deadlock by undoing one of the two; the undone one simply tries again.
    again = Retrying(
        retry=retry_if_exception(_is_deadlock), stop=stop_after_attempt(ATTEMPTS), reraise=True
    )
    return again(_publish_once, connection, metric, content, source_instant)


def _publish_once(
    connection: MySQLConnectionAbstract, metric: Metric, content: Days, source_instant: str
) -> PublicationResult:
    try:
        _stage(connection, metric, content)
        result = _replace(connection, metric, content, source_instant)
        connection.commit()
    except BaseException as error:
        connection.rollback()
        if isinstance(error, DatabaseError) and error.errno == errorcode.ER_LOCK_WAIT_TIMEOUT:
            raise PublicationError(
                f"Another publisher holds {metric.name} for longer than the lock "
                "time-out. Run this one again."
            ) from error
        raise
    return result


def _is_deadlock(error: BaseException) -> bool:
    return isinstance(error, DatabaseError) and error.errno == errorcode.ER_LOCK_DEADLOCK


def checksum(rows: Iterable[Row]) -> str:
    """Return the SHA-256 of rows as they stand in MySQL, whatever their order."""
    lines = sorted(json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def shorten(text: str) -> str:
    """Return a text that fits a text column, distinct texts staying distinct: a long one keeps its
    beginning, then its hash follows.

    A text that already looks shortened is hashed as well, so that nobody can write one that meets
    another's short form.
    """
    keep = TEXT_LENGTH - 33
    if len(text) < TEXT_LENGTH or (len(text) == TEXT_LENGTH and text[keep] != "…"):
        return text
    return f"{text[:keep]}…{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def _by_day(metric: Metric, days: Sequence[str], rows: Iterable[Sequence[Any]]) -> Days:
    content: Days = {day: [] for day in sorted(set(days))}
    for row in rows:
        values = tuple(
            _value(metric, column, value) for column, value in zip(metric.columns, row, strict=True)
        )
        if values[0] not in content:
            raise PublicationError(
                f"{metric.name}: a row is of day {values[0]}, which is not among the days "
                "to be published."
            )
        content[values[0]].append(values)
    return content


def _value(metric: Metric, column: Column, value: Any) -> Any:
    if value is None:
        if column.nullable:
            return None
        raise PublicationError(
            f"{metric.name}.{column.name} is NULL in a row: let the view give it a value "
            "with coalesce."
        )
    if column.mysql_type == "DATE":
        return str(value)
    return shorten(str(value)) if column.is_text else int(value)


def _stage(connection: MySQLConnectionAbstract, metric: Metric, content: Days) -> None:
    """Put the rows into a temporary table of this connection, before any lock is held."""
    names, places = _names(metric), ", ".join(["%s"] * len(metric.columns))
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TEMPORARY TABLE IF EXISTS `{_staging(metric)}`")
        cursor.execute(f"CREATE TEMPORARY TABLE `{_staging(metric)}` LIKE `{metric.name}`")
        for chunk in _chunks([row for rows in content.values() for row in rows], ROWS_PER_INSERT):
            cursor.executemany(
                f"INSERT INTO `{_staging(metric)}` ({names}) VALUES ({places})",  # nosec B608  # the catalog's names
                chunk,
            )
    connection.commit()


def _replace(
    connection: MySQLConnectionAbstract, metric: Metric, content: Days, source_instant: str
) -> PublicationResult:
    # Under READ COMMITTED what is read after the lock is what the publisher before has committed.
    connection.start_transaction(isolation_level="READ COMMITTED")
    result = PublicationResult(
        rows={day: len(rows) for day, rows in content.items()},
        checksums={day: checksum(rows) for day, rows in content.items()},
    )
    with connection.cursor() as cursor:
        recorded = _lock(cursor, metric, content)
        open_days = [day for day in content if not _is_newer(recorded[day][0], source_instant)]
        result.refused = [day for day in content if day not in open_days]
        stored = _stored_checksums(cursor, metric, open_days)
        result.unchanged = [
            day for day in open_days if recorded[day][1] == stored[day] == result.checksums[day]
        ]
        result.published = [day for day in open_days if day not in result.unchanged]
        _move(cursor, metric, result.published)
        _record(
            cursor,
            metric,
            result,
            [day for day in open_days if recorded[day] != (source_instant, result.checksums[day])],
            source_instant,
        )
        cursor.execute(f"DROP TEMPORARY TABLE `{_staging(metric)}`")
    return result


def _lock(
    cursor: MySQLCursorAbstract, metric: Metric, days: Iterable[str]
) -> dict[str, tuple[str, str]]:
    """Lock the publication rows of the days and return their recorded instant and checksum; a new
    day gets an empty row to lock.
    """
    for day in days:
        # Unlike INSERT IGNORE this takes the exclusive lock at once, and in the order of days:
        # publishers queue and do not deadlock.
        cursor.execute(
            "INSERT INTO `publication` (`metric`, `day`, `source_instant`, `row_count`, "
            "`checksum`, `published_at`) "  # nosec B608  # the catalog's names
            f"VALUES (%s, %s, '', 0, '', {NOW}) ON DUPLICATE KEY UPDATE `metric` = `metric`",
            (metric.name, day),
        )
    places = _places(days)
    cursor.execute(
        "SELECT `day`, `source_instant`, `checksum` FROM `publication` WHERE `metric` = "
        f"%s AND `day` IN ({places}) FOR UPDATE",  # nosec B608  # the catalog's names
        (metric.name, *days),
    )
    return {str(day): (instant, digest) for day, instant, digest in _fetch(cursor)}


def _is_newer(recorded: str, source_instant: str) -> bool:
    if recorded and len(recorded) != len(source_instant):
        raise PublicationError(
            f"The source instants {recorded!r} (in MySQL) and {source_instant!r} differ in "
            "length and cannot be compared."
        )
    return recorded > source_instant


def _stored_checksums(
    cursor: MySQLCursorAbstract, metric: Metric, days: Sequence[str]
) -> Mapping[str, str]:
    stored: Days = {day: [] for day in days}
    if days:
        cursor.execute(
            f"SELECT {_names(metric)} FROM `{metric.name}` WHERE `day` IN ({_places(days)})",  # nosec B608  # the catalog's names
            tuple(days),
        )
    for day, *values in _fetch(cursor) if days else []:
        stored[str(day)].append((str(day), *values))
    return {day: checksum(rows) for day, rows in stored.items()}


def _move(cursor: MySQLCursorAbstract, metric: Metric, days: Sequence[str]) -> None:
    if not days:
        return
    names, where = _names(metric), f"WHERE `day` IN ({_places(days)})"
    cursor.execute(f"DELETE FROM `{metric.name}` {where}", tuple(days))  # nosec B608  # the catalog's names
    cursor.execute(
        f"INSERT INTO `{metric.name}` ({names}) SELECT {names} FROM `{_staging(metric)}` {where}",  # nosec B608  # the catalog's names
        tuple(days),
    )


def _record(
    cursor: MySQLCursorAbstract,
    metric: Metric,
    result: PublicationResult,
    days: Sequence[str],
    source_instant: str,
) -> None:
    for day in days:
        cursor.execute(
            "UPDATE `publication` SET `source_instant` = %s, `row_count` = %s, `checksum` "
            f"= %s, `published_at` = {NOW} WHERE `metric` = %s AND `day` = %s",  # nosec B608  # the catalog's names
            (source_instant, result.rows[day], result.checksums[day], metric.name, day),
        )


def _add(cursor: MySQLCursorAbstract, metric: Metric, column: Column) -> None:
    before = metric.columns[metric.columns.index(column) - 1]
    collation = _exact_collation(cursor)
    values = {"column": column, "before": before, "collation": collation}
    _alter(cursor, metric, column.name, "added_column.sql", **values)


def _alter(
    cursor: MySQLCursorAbstract, metric: Metric, added: str, statement: str, **values: object
) -> None:
    try:
        cursor.execute(render(SQL_DIR / statement, metric=metric, **values))
    except DatabaseError as error:
        if error.errno == errorcode.ER_LOCK_WAIT_TIMEOUT:
            raise PublicationError(
                f"{metric.name} gets the new column {added} once no reader holds the "
                "table. Run this one again."
            ) from error
        # Another publisher has just added it.
        if error.errno != errorcode.ER_DUP_FIELDNAME:
            raise


def _declared(metric: Metric) -> dict[str, str]:
    kinds = {column.name: column.mysql_type.lower() for column in metric.columns}
    return kinds | {name: kinds[column.name] for name, column in metric.plain_names.items()}


def _too_strict(cursor: MySQLCursorAbstract, metric: Metric) -> list[Column]:
    """Return the columns that may be NULL by the catalog, and not in a table from before that."""
    cursor.execute(
        "SELECT column_name FROM information_schema.columns WHERE "
        "table_schema = DATABASE() AND table_name = %s AND is_nullable = 'NO'",
        (metric.name,),
    )
    strict = {str(name) for (name,) in _fetch(cursor)}
    return [column for column in metric.measures if column.nullable and column.name in strict]


def _columns(cursor: MySQLCursorAbstract, table: str) -> dict[str, str]:
    """Return the columns of a table with their types, in order; none when it does not exist."""
    cursor.execute(
        "SELECT column_name, column_type FROM information_schema.columns WHERE "
        "table_schema = DATABASE() AND table_name = %s ORDER BY ordinal_position",
        (table,),
    )
    # MariaDB, and MySQL before 8.0.19, name the width at which a client may show an integer.
    return {str(name): re.sub(r"int\(\d+\)", "int", str(kind)) for name, kind in _fetch(cursor)}


def _exact_collation(cursor: MySQLCursorAbstract) -> str:
    """Return the collation under which only equal texts are equal, trailing spaces included.

    `utf8mb4_bin` ignores trailing spaces. MySQL 8 has `utf8mb4_0900_bin`; newer MariaDB knows that
    name but ignores trailing spaces under it too, and has `utf8mb4_nopad_bin`.
    """
    cursor.execute(
        "SELECT max(collation_name) FROM information_schema.collations WHERE "
        "collation_name IN ('utf8mb4_nopad_bin', 'utf8mb4_0900_bin')"
    )
    ((collation,),) = _fetch(cursor)
    if collation is None:
        raise PublicationError(
            "The MySQL server has no exact collation for utf8mb4: MySQL 8.0.17 or MariaDB "
            "10.2 or newer is needed."
        )
    return str(collation)


def _fetch(cursor: MySQLCursorAbstract) -> list[Row]:
    return cast("list[Row]", cursor.fetchall())


def _staging(metric: Metric) -> str:
    return f"staging_{metric.name}"


def _names(metric: Metric) -> str:
    return ", ".join(f"`{column.name}`" for column in metric.columns)


def _places(values: Iterable[object]) -> str:
    return ", ".join("%s" for _ in values)


def _chunks(rows: Sequence[Row], size: int) -> Iterator[Sequence[Row]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))
