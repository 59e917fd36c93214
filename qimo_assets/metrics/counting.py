"""The table of partial figures: counts the messages that are new to it as links, and puts links
together. Which links count is decided in links.py; what they say is read in figures.py.

Before a link is added, the messages of the day that are counted must still be as many and of the
same commits; where they are not, as after a deletion or a correction, the day is counted from the
beginning. A run goes on with the links that it saw and those that it added: they hold each message
once, whatever other runs add at the same time.

A link of few messages may be held: its rows stay in the server's memory while they are read, and
are written only where counting them again each time would take longer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from qimo_assets.metrics.cached_rows import STORE_PLAN, cache_rows, drop_cached
from qimo_assets.metrics.commits import Commits
from qimo_assets.metrics.facts import Facts
from qimo_assets.metrics.links import (
    FEW_MESSAGES,
    Count,
    Counted,
    Link,
    chain,
    in_groups,
    in_steps,
    name_of,
    names_of,
    new_stem,
    overdue,
    plan,
    together,
)
from qimo_assets.metrics.look import look, messages_table, newest_entries
from qimo_assets.metrics.publish import SQL_DIR
from qimo_assets.resources.hive import HiveError, HiveSession
from qimo_assets.views.sql import render

logger = logging.getLogger(__name__)

T = TypeVar("T")
# What the new messages add, for as long as they are counted, and the rows of links that are held.
NEW, HELD = "new_fact", "held_link"
# A link of fewer messages is not written: writing it takes longer than counting them again.
FEW_TO_WRITE = 20_000
# Of one statement: HiveServer2 ends it after minutes, and each partition that a task writes to
# takes memory of its own.
MAX_AT_ONCE, MAX_DAYS = 1_000_000, 8
# How often links are read that others put together meanwhile.
TRIES = 3
# More than a timeline holds before it is archived, and Hudi's actions that leave each link there.
ENTRIES, LEAVING = 1_000, {"commit", "clean", "rollback"}
LISTINGS_KEPT = "spark.sql.filesourceTableRelationCacheSize"
# The last column that a release has added to the table.
NEWEST_COLUMN = "other_hash"


@dataclass(frozen=True)
class Held:
    """Links that were counted at once and are not written.

    Attributes:
        view: The name to read their rows by.
        links: Their names.
        messages: How many messages they counted.
    """

    view: str
    links: tuple[str, ...]
    messages: int


class Counting:
    """Counts the days of a lake.

    Args:
        session: A session of HiveServer2.
        database: Hive database of the tables and views.
        table: Name of the table that holds the links.
        facts: What is counted: a day is counted for all of it or for nothing.
    """

    def __init__(self, session: HiveSession, database: str, table: str, facts: Facts) -> None:
        self.table = f"{database}.{table}"
        self._database = database
        self._messages = messages_table(database)
        self._session = session
        self._facts = facts
        self._catalog = facts.fingerprint()
        self._keeps_listings = True
        self._holds = False
        self._held: list[Held] = []

    @property
    def rows(self) -> str:
        """What a query reads the rows of links from: the table, and beside it what is held."""
        if not self._held:
            return self.table
        tables = [self.table, *(held.view for held in self._held)]
        return render(SQL_DIR / "rows.sql", tables=tables)

    def open(self) -> None:
        """Make the table where there is none, and the columns that one of before lacks."""
        [kept] = self._session.query(f"SET {LISTINGS_KEPT}")
        self._keeps_listings = kept["value"] != "0"
        columns = self._columns()
        if not columns:
            table = render(SQL_DIR / "figure_table.sql", table=self.table)
            try:
                self._session.execute(table)
            except HiveError:
                # Another session has made it in the same moment, or this one says why not.
                self._session.execute(table)
        elif NEWEST_COLUMN not in columns:
            try:
                self._session.execute(render(SQL_DIR / "figure_columns.sql", table=self.table))
            except HiveError:
                # As above.
                if NEWEST_COLUMN not in self._columns():
                    raise

    def _columns(self) -> set[str]:
        """Return the table's columns; none where there is no table."""
        try:
            rows = self._session.query(f"SHOW COLUMNS IN {self.table}")
        except HiveError:
            # If it is for another reason, the next statement tells it.
            return set()
        return {row["col_name"] for row in rows}

    def counted(self, days: Sequence[str] = ()) -> dict[str, Counted]:
        """Return what is counted of some days, or of all that there are."""
        self.look_again(self._session)
        links: dict[str, list[Link]] = {day: [] for day in days}
        for row in self._query("links", table=self.table, days=days):
            names = ("link", "after", "until", "messages", "commits", "catalog")
            links.setdefault(row["day"], []).append(Link(*(row[name] for name in names)))
        return {day: chain(of_day, self._catalog) for day, of_day in links.items()}

    def still_there(self, counted: Mapping[str, Counted]) -> bool:
        """Return whether the links of some days are all there: so they were while they were read,
        for a name that is gone never comes back.
        """
        now = self.counted(list(counted) if len(counted) <= MAX_DAYS else ())
        there = {name for known in now.values() for name in known.all_names}
        there.update(name for held in self._held for name in held.links)
        return there.issuperset(names_of(counted.values()))

    def unbroken(
        self,
        count: Callable[[bool], dict[str, Counted]],
        reads: Sequence[Callable[[dict[str, Counted]], T]],
    ) -> Generator[tuple[T, dict[str, Counted]], None, None]:
        """Count, and yield one reading after the other with the links that it read, once none of
        them was put together with others meanwhile; where one was, all is counted again.

        Args:
            count: Returns the links that are to be read, by their days; it is told whether it is
                called for the first time.
            reads: What is read of them.

        Raises:
            HiveError: They were put together each time.
        """
        left = list(reads)
        for attempt in range(TRIES):
            rewritten, counted = self._rewritten(), count(attempt == 0)
            while left:
                found = left[0](counted)
                # The timeline is told in a tenth of the time that the links take.
                now = self._rewritten()
                if now != rewritten and not self.still_there(counted):
                    break
                rewritten = now
                yield found, counted
                left.pop(0)
            if not left:
                return
        raise HiveError(
            f"The links of {self.table} were put together each time while they were read, {TRIES} "
            "times in a row. Materialize the days again once the other runs are done."
        )

    def _rewritten(self) -> set[str]:
        """Return the instants of what may have taken links away, as far as the timeline reaches
        back: only those that add, clean up or undo what was not complete leave each link there.
        """
        return {
            str(entry["instant_time"])
            for entry in newest_entries(self._session, self.table, ENTRIES)
            if entry["state"] == "COMPLETED" and entry["action"] not in LEAVING
        }

    def bring_up_to_date(
        self,
        days: Sequence[str],
        *,
        again: Collection[str] = (),
        seen: Mapping[str, Commits] | None = None,
    ) -> dict[str, Counted]:
        """Count what is new of some days, and return what is counted of them then: links that hold
        each message once, although another run that counts a day at the same time may decide that
        others are read next.

        Args:
            days: The days.
            again: Those that are counted from the beginning, whatever is known of them.
            seen: The commits of days that were looked at before.

        Raises:
            HiveError: The server refuses.
        """
        if not days:
            return {}
        self._let_go()
        counted = self.counted(days)
        return self.add(self.plan(counted, again, seen), counted)

    def add(self, counts: Iterable[Count], known: Mapping[str, Counted]) -> dict[str, Counted]:
        """Add links, and return what is counted then.

        Args:
            counts: The links, as `plan` returned them.
            known: What was counted before, of their days at least.

        Raises:
            HiveError: The server refuses.
        """
        counted = dict(known)
        newest = max((known.newest for known in counted.values()), default="")
        for group in in_groups(counts, MAX_AT_ONCE, MAX_DAYS):
            steps = _steps(group)
            # What a step counted is looked for in the table by the next one.
            holds = self._holds and len(steps) == 1
            for number, step in enumerate(steps):
                if number:
                    step = [replace(count, after=counted[count.day].last) for count in step]
                newest = new_stem(newest)
                self._insert(newest, step, counted, holds=holds)
                for count in step:
                    counted[count.day] = counted[count.day].grown(self._link(newest, count))
        return counted

    @contextmanager
    def holding(self) -> Generator[None, None, None]:
        """Hold links of few messages meanwhile. At the end those are written that have come to
        many; where the server refuses, the next run counts them again.
        """
        self._holds = True
        try:
            yield
            self._write_held()
        finally:
            self._holds = False
            self._let_go()

    def look_again(self, session: HiveSession) -> None:
        """Have a session forget which files the table had, where the server keeps that."""
        if self._keeps_listings:
            session.execute(f"REFRESH TABLE {self.table}")

    def is_unchanged(self, day: str, counted: Counted) -> bool:
        """Return whether this is still what is counted of a day, and all that there is of it."""
        known = self.counted([day])
        return known[day].names == counted.names and not self.plan(known)

    def days(self) -> list[str]:
        """Return the days of which the lake has messages."""
        rows = self._session.query(f"SHOW PARTITIONS {self._messages}")
        return sorted(str(row["partition"]).partition("=")[2] for row in rows)

    def other_totals(self, counted: Mapping[str, Counted]) -> list[str]:
        """Return the days that have more messages than are counted of them, or fewer; reads no
        column of them.
        """
        if not counted:
            return []
        rows = self._query("totals", messages=self._messages, days=list(counted))
        found = {row["day"]: row["messages"] for row in rows}
        return [day for day, known in counted.items() if found.get(day, 0) != known.messages]

    def merge(self, day: str) -> None:
        """Put the links of a day together where there are many.

        Raises:
            HiveError: The server refuses it, as where others put them together at the same time;
                the links count as they are.
        """
        merge = overdue(self.counted([day])[day])
        if not merge:
            return
        self._session.execute(
            render(
                SQL_DIR / "merge.sql",
                table=self.table,
                day=day,
                link=together(merge),
                links=[link.name for link in merge.links],
                before=merge.before,
                number=merge.number,
                files=2 if merge.number == 0 else 1,
            )
        )
        if merge.removed:
            self.look_again(self._session)
            self._session.execute(
                render(
                    SQL_DIR / "removed_parts.sql",
                    table=self.table,
                    day=day,
                    numbers=merge.removed,
                )
            )

    def plan(
        self,
        counted: Mapping[str, Counted],
        again: Collection[str] = (),
        seen: Mapping[str, Commits] | None = None,
    ) -> list[Count]:
        """Return what is to be counted of some days.

        Args:
            counted: What is counted of each day.
            again: Those that are counted from the beginning.
            seen: The commits of days that were looked at before. A day of which more is counted by
                now is looked at again: messages that came meanwhile would seem to be gone.
        """
        now = dict(seen or {})
        if behind := [
            day for day in counted if day not in now or counted[day].until > now[day].newest
        ]:
            now |= look(self._session, self._database, behind, again=self._keeps_listings)
        return plan(counted, now, again=again)

    def _link(self, stem: str, count: Count) -> Link:
        return Link(
            name_of(stem, count.day),
            count.after,
            count.until,
            count.messages,
            count.commits,
            self._catalog,
        )

    def _insert(
        self,
        stem: str,
        counts: Sequence[Count],
        counted: Mapping[str, Counted],
        *,
        holds: bool,
    ) -> None:
        facts = self._facts.of_messages(counts)
        known = names_of(counted[count.day] for count in counts if count.after)
        is_little = sum(count.messages for count in counts) <= FEW_MESSAGES
        is_searched = bool(known) and is_little
        with self._cached(facts) if is_searched else nullcontext(facts) as given:
            rows = self._new_rows(stem, counts, known, given, is_little=is_little)
            self.look_again(self._session)
            if is_searched and holds:
                self._hold(rows, stem, counts)
            else:
                self._write(rows)

    def _write(self, rows: str) -> None:
        self._session.execute(render(SQL_DIR / "insert.sql", table=self.table, rows=rows))

    def _hold(self, rows: str, stem: str, counts: Sequence[Count]) -> None:
        self._held.append(
            Held(
                cache_rows(self._session, HELD, rows),
                tuple(name_of(stem, count.day) for count in counts),
                sum(count.messages for count in counts),
            )
        )

    def _write_held(self) -> None:
        try:
            for held in self._held:
                if held.messages >= FEW_TO_WRITE:
                    self._write(render(SQL_DIR / "held.sql", view=held.view))
        except HiveError as error:
            logger.warning("Links are not written: %s", error)

    def _let_go(self) -> None:
        while self._held:
            with suppress(HiveError):
                drop_cached(self._session, self._held[-1].view)
            self._held.pop()

    def _new_rows(
        self,
        stem: str,
        counts: Sequence[Count],
        known: Sequence[str],
        facts: str,
        *,
        is_little: bool,
    ) -> str:
        return render(
            SQL_DIR / "count.sql",
            table=self.table,
            catalog=self._catalog,
            partials=self._facts.partials,
            stem=stem,
            counts=counts,
            days=[count.day for count in counts],
            known=known,
            recent=[count.day for count in counts if self._link(stem, count).is_recent],
            small=is_little,
            files=1 if is_little else 2,
            facts=facts,
        )

    @contextmanager
    def _cached(self, query: str) -> Generator[str, None, None]:
        """Have the server cache the rows of a query in this session, which takes them along when it
        ends, whatever ends it.
        """
        self._session.execute(STORE_PLAN)
        self._session.execute(f"CREATE OR REPLACE TEMPORARY VIEW {NEW} AS\n{query}")
        try:
            self._session.execute(f"CACHE TABLE {NEW}")
            yield f"SELECT * FROM {NEW}"  # nosec B608  # our own name
        finally:
            with suppress(HiveError):
                self._session.execute(f"DROP VIEW IF EXISTS {NEW}")

    def _query(self, name: str, **values: object) -> list[dict[str, Any]]:
        return self._session.query(render(SQL_DIR / f"{name}.sql", **values))


def _steps(group: list[Count]) -> list[list[Count]]:
    """Return counts as they are written one after the other."""
    [count, *others] = group
    if others or count.messages <= MAX_AT_ONCE:
        return [group]
    return [[step] for step in in_steps(count, MAX_AT_ONCE)]
