"""Metrics that look at other days' accounts. Which accounts sent on a day is kept in a table of the
lake, which is added to after many new messages: until then the new ones are read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, timedelta

from qimo_assets.metrics.catalog import METRICS, Metric
from qimo_assets.metrics.commits import Commits
from qimo_assets.metrics.counting import MAX_DAYS, Counting
from qimo_assets.metrics.facts import ACCOUNT_DAYS, ACCOUNTS, Facts
from qimo_assets.metrics.links import Count, Counted, names_of
from qimo_assets.metrics.publish import SQL_DIR
from qimo_assets.metrics.rows import Row, read_rows
from qimo_assets.resources.hive import HiveSession
from qimo_assets.views.sql import query_over, render

TABLE = "chat_account_day"
# Reading two columns of so many messages takes a second; adding them to the table takes several.
MAX_UNCOUNTED = 500_000


class Accounts:
    """The accounts of a lake's days.

    Args:
        session: A session of HiveServer2.
        database: Hive database of the tables and views.

    Attributes:
        counting: Counts the days.
    """

    def __init__(self, session: HiveSession, database: str) -> None:
        self._facts = Facts(database, METRICS, ACCOUNTS)
        self.counting = Counting(session, database, TABLE, self._facts)
        self._session = session
        self._database = database

    def read(
        self,
        metric: Metric,
        days: Sequence[str],
        *,
        again: bool = False,
        seen: Mapping[str, Commits] | None = None,
    ) -> tuple[list[Row], dict[str, Counted]]:
        """Return the rows of a metric, and what is counted of each day that was read.

        Args:
            metric: The metric.
            days: The days.
            again: Whether these days are read from their messages, whatever is known of them.
            seen: The commits of days that were looked at before.

        Raises:
            HiveError: The days cannot be counted or read.
        """
        new: list[Count] = []

        def count(is_first: bool) -> dict[str, Counted]:
            nonlocal new
            counted, new = self._count(metric, days, days if again and is_first else (), seen)
            return counted

        def read(counted: dict[str, Counted]) -> list[Row]:
            return self._rows(metric, days, counted, new)

        [found] = self.counting.unbroken(count, [read])
        return found

    def others(self, day: str) -> int:
        """Return how many accounts that sent on a day are not counted, or are counted and did not
        send; of a day that the next run counts anew 0.
        """
        known = self.counting.counted([day])
        if not known[day].links or any(count.is_root for count in self.counting.plan(known)):
            return 0
        [row] = self._session.query(
            render(
                SQL_DIR / "other_accounts.sql",
                messages=self._facts.messages([(day, "", known[day].until)]),
                table=self.counting.table,
                day=day,
                links=known[day].names,
            )
        )
        return row["accounts"]

    def _count(
        self,
        metric: Metric,
        days: Sequence[str],
        again: Collection[str],
        seen: Mapping[str, Commits] | None,
    ) -> tuple[dict[str, Counted], list[Count]]:
        """Return what is counted of the days that a metric looks at, and what is to be read of
        their messages beside it.
        """
        first, last = _moved(min(days), -metric.looks_back), _moved(max(days), metric.looks_ahead)
        known = self.counting.counted()
        looked_at = sorted({*days, *self._stale(days, first, last, known)})
        counted = {day: of_day for day, of_day in known.items() if day <= last}
        counted |= {day: known.get(day, Counted()) for day in looked_at}
        counts = self.counting.plan({day: counted[day] for day in looked_at}, again, seen)
        if _is_added(counts, {day for day in again if counted[day].links}):
            counted, counts = self.counting.add(counts, counted), []
        # What is read from the beginning takes the place of what is counted.
        counted |= {count.day: Counted() for count in counts if count.is_root}
        return counted, counts

    def _rows(
        self,
        metric: Metric,
        days: Sequence[str],
        counted: Mapping[str, Counted],
        counts: Sequence[Count],
    ) -> list[Row]:
        new = [count for count in counts if count.messages]
        self.counting.look_again(self._session)
        accounts = render(
            SQL_DIR / "account_days.sql",
            table=self.counting.table,
            last=_moved(max(days), metric.looks_ahead),
            links=names_of(counted.values()),
            new=self._facts.new_messages(new) if new else "",
        )
        over = query_over(metric.name, ACCOUNT_DAYS, self._database, accounts)
        return read_rows(self._session, metric, days, f"`{metric.name}`", over)

    def _stale(
        self, days: Sequence[str], first: str, last: str, known: Mapping[str, Counted]
    ) -> list[str]:
        """Return the days beside those asked for of which not all is counted: of those around where
        the lake has other messages of them, and of all before those that were never counted and
        those that are gone.
        """
        there = {day for day in self.counting.days() if day <= last}
        has_links = {day for day, of_day in known.items() if of_day.links and day <= last}
        near = {day for day in there & has_links if day >= first} - {*days}
        stale = {
            *(there - has_links),
            *(day for day in has_links - there if known[day].messages),
            *self.counting.other_totals({day: known[day] for day in sorted(near)}),
        }
        return sorted(stale - {*days})


def _is_added(counts: Sequence[Count], repaired: Collection[str]) -> bool:
    """Return whether counts become links: there are many messages or days, a day is gone, or what
    is counted of one may be wrong.
    """
    return (
        sum(count.messages for count in counts) > MAX_UNCOUNTED
        or len(counts) > MAX_DAYS
        or any(not count.messages for count in counts)
        or any(count.is_root and count.day in repaired for count in counts)
    )


def _moved(day: str, days: int) -> str:
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()
