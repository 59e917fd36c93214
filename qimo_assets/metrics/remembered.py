"""What a metric of many days needs of all messages, kept in the server so that a run reads what
came since and not the whole history.

Of the days of a window it needs each value, and of all days before only the first day of each
value, which is how an account is known to be new. Messages are only ever added: what was needed as
of one commit, and the messages of the days that later commits wrote to, hold all that is needed
now. The first is kept on the server's disk (a digest), and with it, as a view of one row, which
days have changed since. Each run adds the days of the commits that came after the last run, by the
table's timeline. Where the timeline no longer reaches back so far, as when 60 commits came in
between, where the server was started again, or where the days have become many, all messages are
read once for a new digest.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from datetime import date, timedelta

from qimo_assets.metrics.kept import EVERYWHERE, drop, drop_what_was_left, keep
from qimo_assets.metrics.publish import SQL_DIR
from qimo_assets.resources.hive import HiveSession
from qimo_assets.views.sql import MESSAGE_VIEW, SNAPSHOT, lake_tables, render

REMEMBERED = "remembered_message"
# A digest's window begins so many days before the first day that is asked for, so that it serves
# late days as well.
SLACK_DAYS = 7
# One that begins earlier than that, as after a backfill of years, is followed by one of the size
# that is needed.
MOST_SLACK_DAYS = 31
# Late lines are of three days, and each day that passes is one more: a live stream has all messages
# read once a week.
MOST_CHANGED = 10
# Of the timeline: a row for each commit and bucket, of which Hudi tells ten unless it is asked for
# more.
MOST_ROWS = 100_000

# Instant of a commit -> the days that it wrote to.
Commits = Mapping[str, Set[str]]


@dataclass(frozen=True)
class Digest:
    """What is kept of all messages.

    Attributes:
        name: What it is read by.
        first: The first day of its window.
        until: The commit up to which it is known which days have changed.
        changed: The days that were written to since it was made.
    """

    name: str
    first: str
    until: str
    changed: frozenset[str] = frozenset()

    def serves(self, first: str, commits: Commits) -> bool:
        """Return whether it can be brought up to date, and is not much more than a window that
        begins at `first` needs.
        """
        is_near = self.first >= _days_before(first, MOST_SLACK_DAYS)
        return (
            is_near
            and self.until in commits
            and len(self.followed_by(commits).changed) <= MOST_CHANGED
        )

    def followed_by(self, commits: Commits) -> Digest:
        """Return it with the days of later commits."""
        later = [days for instant, days in commits.items() if instant > self.until]
        return replace(self, until=max(commits), changed=self.changed.union(*later))


class Memory:
    """What is remembered of one column of a lake's messages.

    Args:
        database: Hive database of the tables and views.
        column: The column that is read beside the day.
    """

    def __init__(self, database: str, column: str) -> None:
        self._column = column
        self._messages = f"{database}.{MESSAGE_VIEW}"
        self._digests = f"remembered_{database}_{column}"
        self._newest = f"newest_{self._digests}"

    def recall(self, session: HiveSession, first: str, last: str, commits: Commits) -> str:
        """Make a view for the session of what is needed, and return its name.

        Args:
            session: Where the view is made.
            first: The first day of the window.
            last: Its last day.
            commits: What `commits_until` returned.
        """
        digest = self._told(session)
        if digest and digest.first > first:
            # A window of the past; the digest is left to the runs of newer days.
            return self._view(session, self._query(first, last))
        if digest and digest.serves(first, commits):
            current = digest.followed_by(commits)
        else:
            begins = _days_before(first, SLACK_DAYS)
            # Of a lake without a commit nothing is known to have changed or not: the next run makes
            # another.
            current = Digest(
                keep(session, self._digests, self._query(begins), "DISK_ONLY"),
                begins,
                max(commits, default=""),
            )
            drop_what_was_left(
                session, self._digests, {one.name for one in (current, digest) if one}
            )
        if current != digest:
            self._tell(session, current)
        return self._view(
            session,
            render(
                SQL_DIR / "recalled.sql",
                column=self._column,
                messages=self._messages,
                digest=current,
            ),
        )

    def forget(self, session: HiveSession) -> None:
        """Have the next run make a new digest."""
        drop(session, f"{EVERYWHERE}.{self._newest}")

    def _query(self, first: str, last: str | None = None) -> str:
        return render(
            SQL_DIR / "remembered.sql",
            column=self._column,
            messages=self._messages,
            first=first,
            last=last,
        )

    def _view(self, session: HiveSession, query: str) -> str:
        session.execute(f"CREATE OR REPLACE TEMPORARY VIEW {REMEMBERED} AS\n{query}")
        return REMEMBERED

    def _told(self, session: HiveSession) -> Digest | None:
        """Return the newest digest; None where the server has none."""
        if not session.query(f"SHOW VIEWS IN {EVERYWHERE} LIKE '{self._newest}'"):
            return None
        [row] = session.query(f"SELECT * FROM {EVERYWHERE}.{self._newest}")  # nosec B608  # names of the catalog
        return Digest(row["name"], row["first"], row["until"], frozenset(row["changed"].split()))

    def _tell(self, session: HiveSession, digest: Digest) -> None:
        values = {
            "name": digest.name,
            "first": digest.first,
            "until": digest.until,
            "changed": " ".join(sorted(digest.changed)),
        }
        columns = ", ".join(f"'{value}' AS `{name}`" for name, value in values.items())
        session.execute(
            f"CREATE OR REPLACE GLOBAL TEMPORARY VIEW {self._newest} AS SELECT {columns}"
        )


def commits_until(session: HiveSession, database: str, instant: str) -> Commits:
    """Return the commits of messages in the timeline, up to one that was asked for before any
    message was read.

    A later one would pass for read where the session has listed the table's files before it.
    """
    [table] = lake_tables(MESSAGE_VIEW)
    rows = session.query(
        f"CALL show_commits_metadata(table => '{database}.{table}{SNAPSHOT}', limit => {MOST_ROWS})"
    )
    commits: dict[str, set[str]] = {}
    for row in rows:
        if row["action"] == "deltacommit" and row["commit_time"] <= instant:
            commits.setdefault(row["commit_time"], set()).add(
                str(row["partition"]).partition("=")[2]
            )
    return commits


def _days_before(day: str, days: int) -> str:
    return (date.fromisoformat(day) - timedelta(days=days)).isoformat()
