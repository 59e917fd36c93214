"""Looking at the messages of days: which commits they stand in, and how they may be read."""

from __future__ import annotations

from collections.abc import Sequence

from qimo_assets.metrics.commits import Commit, Commits
from qimo_assets.metrics.publish import SQL_DIR
from qimo_assets.resources.hive import HiveError, HiveSession
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
    read: dict[bool, list[str]] = {True: [], False: []}
    for day in days:
        read[_in_base_files(session, database, day)].append(day)
    return {
        day: commits
        for in_base_files, some in read.items()
        for start in range(0, len(some), DAYS_AT_ONCE)
        for day, commits in _commits(
            session, database, some[start : start + DAYS_AT_ONCE], in_base_files, again
        ).items()
    }


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


def _in_base_files(session: HiveSession, database: str, day: str) -> bool:
    """Return whether no file group of a day has log files. Where the table of base files cannot be
    asked, the snapshot is read.
    """
    try:
        groups = session.query(
            f"CALL show_fsview_latest(table => '{messages_table(database, BASE_FILES)}', "
            f"partition_path => 'day={day}')"
        )
    except HiveError:
        return False
    return not any(group["num_delta_files"] for group in groups)


def _commits(
    session: HiveSession, database: str, days: Sequence[str], in_base_files: bool, again: bool
) -> dict[str, Commits]:
    found: dict[str, list[Commit]] = {day: [] for day in days}
    messages = messages_table(database, BASE_FILES if in_base_files else SNAPSHOT)
    if again:
        session.execute(f"REFRESH TABLE {messages}")
    for row in session.query(render(SQL_DIR / "commits.sql", messages=messages, days=days)):
        checksum = row["messages"] * row["checksum"]
        found[row["day"]].append(Commit(row["instant"], row["messages"], checksum))
    return {day: Commits(tuple(sorted(commits)), in_base_files) for day, commits in found.items()}
