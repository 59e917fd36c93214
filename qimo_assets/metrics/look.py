"""Looking at the messages of days, which commits they stand in and how they may be read, and at the
timeline of a table.
"""

from __future__ import annotations

from collections.abc import Sequence

from qimo_assets.metrics.commits import Commit, Commits
from qimo_assets.metrics.publish import SQL_DIR
from qimo_assets.resources.hive import HiveError, HiveSession, Row
from qimo_assets.views.sql import BASE_FILES, MESSAGE_VIEW, SNAPSHOT, lake_tables, render

# Days whose messages are looked at by one statement.
DAYS_AT_ONCE = 31


def look(
    session: HiveSession, database: str, days: Sequence[str], *, again: bool = False
) -> dict[str, Commits]:
    """Return the commits that the messages of some days stand in.

    Args:
        session: A session of HiveServer2.
        database: Hive database of the tables.
        days: The days.
        again: Whether the session may have kept which files there were.
    """
    read: dict[str, list[str]] = {BASE_FILES: [], SNAPSHOT: []}
    for day in days:
        read[_reading(session, database, day)].append(day)
    return {
        day: commits
        for reading, some in read.items()
        for start in range(0, len(some), DAYS_AT_ONCE)
        for day, commits in _commits(
            session, database, some[start : start + DAYS_AT_ONCE], reading, again
        ).items()
    }


def newest_entries(session: HiveSession, table: str, limit: int) -> list[Row]:
    """Return the newest entries of a table's timeline, whatever their state.

    Args:
        session: A session of HiveServer2.
        table: The table's name, with its database.
        limit: So many at most.
    """
    # Not `show_commits`: it reads each commit of the timeline, whatever its limit is, and fails
    # where one is archived meanwhile.
    return session.query(f"CALL show_timeline(table => '{table}', limit => {limit})")


def messages_table(database: str, reading: str = SNAPSHOT) -> str:
    """Return the name of the table that holds each message.

    Args:
        database: Hive database of the tables.
        reading: `SNAPSHOT` or `BASE_FILES`.
    """
    [table] = lake_tables(MESSAGE_VIEW)
    return f"{database}.{table}{reading}"


def reading_of(commits: Sequence[Commits]) -> str:
    """Return how days may be read: `BASE_FILES` where each was seen to be all in them. What is
    deleted or corrected meanwhile touches its day, which is read again.
    """
    return BASE_FILES if all(of_day.in_base_files for of_day in commits) else SNAPSHOT


def _reading(session: HiveSession, database: str, day: str) -> str:
    """Return how a day may be read: `BASE_FILES` where no file group has log files. Where that
    table cannot be asked, the snapshot is read.
    """
    try:
        groups = session.query(
            f"CALL show_fsview_latest(table => '{messages_table(database, BASE_FILES)}', "
            f"partition_path => 'day={day}')"
        )
    except HiveError:
        return SNAPSHOT
    return SNAPSHOT if any(group["num_delta_files"] for group in groups) else BASE_FILES


def _commits(
    session: HiveSession, database: str, days: Sequence[str], reading: str, again: bool
) -> dict[str, Commits]:
    found: dict[str, list[Commit]] = {day: [] for day in days}
    messages = messages_table(database, reading)
    if again:
        session.execute(f"REFRESH TABLE {messages}")
    for row in session.query(render(SQL_DIR / "commits.sql", messages=messages, days=days)):
        checksum = row["messages"] * row["checksum"]
        found[row["day"]].append(Commit(row["instant"], row["messages"], checksum))
    in_base_files = reading == BASE_FILES
    return {day: Commits(tuple(sorted(commits)), in_base_files) for day, commits in found.items()}
