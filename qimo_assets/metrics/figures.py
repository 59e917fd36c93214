"""Partial figures of each day, kept in the lake, so that a refresh reads the messages that are new
and not the day.

What is counted at once of a day is a link, the rows of one commit: how many messages each cell of
each metric got, and which members (accounts, pairs) it got for the first time. A link names the one
that it follows, and the commit of messages up to which it counted. A day's figures are what its
links add up to, from the newest link back to one that counted from the beginning.

So nothing is counted twice or left out, whatever is killed: a link is there as a whole or not at
all, and of two that follow the same one, as when two runs count at once, one counts. Before a link
is added, the messages of the day must be as many as were counted and are new together; where they
are not, as after a deletion or a correction, the day is counted from the beginning.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

from qimo_assets.contract import OTHERS
from qimo_assets.metrics.catalog import MESSAGES, Column, Metric
from qimo_assets.metrics.kept import drop, drop_what_was_left, keep
from qimo_assets.metrics.publish import SQL_DIR
from qimo_assets.resources.hive import HiveError, HiveSession
from qimo_assets.views.sql import (
    MESSAGE_VIEW,
    SNAPSHOT,
    has_part,
    lake_tables,
    message_columns,
    message_rows,
    over_messages,
    render,
    view_over,
    view_part,
)

TABLE = "chat_figure"
# Parts of a view's SQL: the rows that are counted, rows that are counted already in a way that adds
# up, and the accounts of each day.
FACTS, PARTIAL, ACCOUNT_DAYS = "facts", "partial", "account_days"
KEPT = "kept_message"
# The set whose members are the accounts that sent on a day.
ACCOUNTS = "message_total.senders"
# Days that are counted by one statement.
DAYS_AT_ONCE = 31
# Up to so many new messages their facts are handed to each task that reads the known members.
FEW_MESSAGES = 100_000
# Links of a day that are read one by one before they are put together.
MOST_LINKS = 30
# Parts of a line never hold it: it separates them.
SEPARATOR = "\\u0001"
# One writer at a time would undo what another has begun: two runs may count at once.
SESSION_OPTIONS = {
    "hoodie.spark.sql.insert.into.operation": "bulk_insert",
    "hoodie.datasource.overwrite.mode": "DYNAMIC",
    "hoodie.bulkinsert.sort.mode": "NONE",
    "hoodie.metadata.enable": "false",
    # Files come free when links are put together.
    "hoodie.clean.trigger.max.commits": "30",
    "hoodie.embed.timeline.server": "false",
    "hoodie.write.markers.type": "DIRECT",
    "hoodie.parquet.compression.codec": "zstd",
    # Each file gets a Bloom filter of 431 kB otherwise: the row writer does not ask whether one is
    # wanted.
    "hoodie.bloom.index.filter.type": "SIMPLE",
    "hoodie.index.bloom.num_entries": "1",
    "hoodie.write.concurrency.mode": "OPTIMISTIC_CONCURRENCY_CONTROL",
    "hoodie.write.lock.provider": ("org.apache.hudi.client.transaction.lock.InProcessLockProvider"),
    "hoodie.cleaner.policy.failed.writes": "LAZY",
}

Row = tuple[Any, ...]
# Messages and members by the names of the measures.
_Figures = dict[str, int]


@dataclass(frozen=True)
class Link:
    """What was counted at once of a day.

    Attributes:
        name: Its name; the names are in the order of time.
        after: The link that it follows; empty for one that counted from the beginning.
        until: The newest commit of messages that it counted.
        messages: How many messages it counted.
        catalog: What was counted, see `Figures`.
    """

    name: str
    after: str
    until: str
    messages: int
    catalog: str = ""


@dataclass(frozen=True)
class Counted:
    """What is counted of a day.

    Attributes:
        links: The links that count, oldest first.
        left_out: Names of the others.
    """

    links: tuple[Link, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """The names of the links."""
        return [link.name for link in self.links]

    @property
    def last(self) -> str:
        """The link that the next one follows; empty where there is none."""
        return self.links[-1].name if self.links else ""

    @property
    def until(self) -> str:
        """The newest commit of messages that is counted."""
        return self.links[-1].until if self.links else ""

    @property
    def messages(self) -> int:
        """How many messages are counted."""
        return sum(link.messages for link in self.links)


@dataclass(frozen=True)
class Count:
    """A link that is to be added to a day."""

    day: str
    after: str
    since: str
    until: str
    messages: int


@dataclass
class Plan:
    """What is to be done with some days.

    Attributes:
        added: Days whose new messages are counted.
        recounted: Days that are counted from the beginning.
    """

    added: list[Count] = field(default_factory=list)
    recounted: list[Count] = field(default_factory=list)


def adds_up(metric: Metric) -> bool:
    """Return whether a metric is made from partial figures: its view marks the part that they
    stand for.
    """
    return any(has_part(metric.name, part) for part in (FACTS, PARTIAL, ACCOUNT_DAYS))


def chain(links: Sequence[Link], catalog: str = "") -> Counted:
    """Return the links of a day that count: from the newest one that counted from the beginning,
    the longest row of links, and of equally long ones that of the newest link.

    Args:
        links: All links of the day.
        catalog: What has to be counted; a link of another catalog lacks a metric, or has it by
            another definition.
    """
    following: dict[str, list[Link]] = {}
    for link in links:
        if link.catalog == catalog:
            following.setdefault(link.after, []).append(link)
    roots = following.get("", [])
    found = _longest(max(roots, key=_name), following) if roots else ()
    names = {link.name for link in found}
    return Counted(found, tuple(link.name for link in links if link.name not in names))


def plan(
    days: Sequence[str],
    counted: Mapping[str, Counted],
    arrived: Mapping[str, tuple[int, int, str]],
    *,
    again: bool = False,
) -> Plan:
    """Return what is to be counted.

    Args:
        days: The days.
        counted: What is counted of them.
        arrived: Day -> its messages, how many of them were committed after those that are counted,
            and its newest commit; a day without a message is left out.
        again: Whether each day is counted from the beginning, whatever is known.
    """
    found = Plan()
    for day in days:
        known = counted.get(day, Counted())
        messages, new, newest = arrived.get(day, (0, 0, ""))
        if again or messages != known.messages + new:
            if messages or known.links:
                found.recounted.append(Count(day, "", "", newest, messages))
        elif new and not known.links:
            found.recounted.append(Count(day, "", "", newest, messages))
        elif new:
            found.added.append(Count(day, known.last, known.until, newest, new))
    return found


class Figures:
    """The partial figures of a lake's days.

    Args:
        session: A session of HiveServer2.
        database: Hive database of the tables and views.
        metrics: The catalog's metrics that add up.
    """

    def __init__(self, session: HiveSession, database: str, metrics: Sequence[Metric]) -> None:
        self._session = session
        self._database = database
        self._table = f"{database}.{TABLE}"
        self._facts = [metric for metric in metrics if has_part(metric.name, FACTS)]
        self._tops = [metric for metric in metrics if has_part(metric.name, PARTIAL)]
        self._catalog = self._fingerprint()

    def open(self) -> None:
        """Make the table where there is none, and have the session write as it has to."""
        for name, value in SESSION_OPTIONS.items():
            self._session.execute(f"SET {name}={value}")
        self._session.execute(
            render(SQL_DIR / "figure_table.sql", database=self._database, table=TABLE)
        )

    def read(
        self, metrics: Sequence[Metric], days: Sequence[str], *, again: bool = False
    ) -> Iterator[tuple[Metric, list[Row] | HiveError]]:
        """Count what is new of some days, and yield metrics with their rows of these days, in the
        catalog's column order, or with the error that came instead.

        Args:
            metrics: The metrics.
            days: The days.
            again: Whether the days are counted from the beginning, whatever is known of them; not
                the others that a metric looks at.

        Raises:
            HiveError: The days cannot be counted.
        """
        of_many = [metric for metric in metrics if has_part(metric.name, ACCOUNT_DAYS)]
        of_one = [metric for metric in metrics if metric not in of_many]
        if of_one:
            links = _names(self.bring_up_to_date(days, again=again).values())
            of_set = self._cells(days, links)
            for metric in of_one:
                if metric in self._tops:
                    yield metric, _or_error(partial(self._top_rows, metric, days, links))
                else:
                    yield metric, _or_error(partial(self._rows_of_cells, metric, of_set, links))
        for metric in of_many:
            yield metric, _or_error(partial(self._rows_of_accounts, metric, days))

    def counted(self, days: Sequence[str]) -> dict[str, Counted]:
        """Return what is counted of some days."""
        links: dict[str, list[Link]] = {day: [] for day in days}
        for row in self._session.query(render(SQL_DIR / "links.sql", table=self._table, days=days)):
            links[row["day"]].append(
                Link(*(row[name] for name in ("link", "after", "until", "messages", "catalog")))
            )
        return {day: chain(of_day, self._catalog) for day, of_day in links.items()}

    def bring_up_to_date(self, days: Sequence[str], *, again: bool = False) -> dict[str, Counted]:
        """Count what is new of some days, and return what is counted of them then.

        Args:
            days: The days.
            again: Whether they are counted from the beginning, whatever is known of them.
        """
        counted = self.counted(days)
        found = plan(days, counted, self._arrived(counted), again=again)
        if found.added:
            self._add(found.added, counted)
        if found.recounted:
            self._insert(found.recounted, self._messages(found.recounted))
        changed = {count.day for count in (*found.added, *found.recounted)}
        counted |= self.counted(sorted(changed)) if changed else {}
        long = [day for day in days if len(counted[day].links) > MOST_LINKS]
        if long:
            self.merge(long, counted)
            counted |= self.counted(long)
        return counted

    def merge(self, days: Sequence[str], counted: Mapping[str, Counted]) -> None:
        """Put the links of each of some days together into one."""
        for day in days:
            self._session.execute(
                render(
                    SQL_DIR / "merge.sql",
                    table=self._table,
                    link=_new_name(),
                    days=[day],
                    links=counted[day].names,
                    files=2,
                )
            )

    def _cells(self, days: Sequence[str], links: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for row in self._session.query(
            render(SQL_DIR / "cells.sql", table=self._table, days=days, links=links)
        ):
            found.setdefault(row["set_name"], []).append(row)
        return found

    def _rows_of_cells(
        self,
        metric: Metric,
        of_set: Mapping[str, Sequence[Mapping[str, Any]]],
        links: Sequence[str],
    ) -> list[Row]:
        cells = _cells_of(metric, of_set)
        most = metric.most_values
        rows: list[Row] = []
        crowded: dict[str, dict[str, _Figures]] = {}
        for day, of_day in cells.items():
            if most is None or len(of_day) <= most:
                rows += [_row(metric, day, cell, of_cell) for cell, of_cell in of_day.items()]
            else:
                crowded[day] = of_day
        return rows + (self._crowded_rows(metric, crowded, links) if crowded else [])

    def _crowded_rows(
        self, metric: Metric, cells: Mapping[str, dict[str, _Figures]], links: Sequence[str]
    ) -> list[Row]:
        """Return the rows of days that have more values than are told apart."""
        [value], [(name, _)] = metric.grain, _set_names(metric)
        others = json.dumps({value.name: OTHERS}, ensure_ascii=False, separators=(",", ":"))
        told_apart = {
            day: [cell for cell in _ranked(value, of_day)[: metric.most_values] if cell != others]
            for day, of_day in cells.items()
        }
        members = self._session.query(
            render(
                SQL_DIR / "others.sql",
                table=self._table,
                name=name,
                days=list(told_apart),
                links=links,
            ),
            told_apart,
        )
        rows = [
            _row(metric, day, cell, cells[day][cell])
            for day, of_day in told_apart.items()
            for cell in of_day
        ]
        return rows + [
            _row(
                metric,
                row["day"],
                others,
                {
                    MESSAGES.name: sum(
                        figures[MESSAGES.name]
                        for cell, figures in cells[row["day"]].items()
                        if cell not in told_apart[row["day"]]
                    ),
                    name.rpartition(".")[2]: row["members"],
                },
            )
            for row in members
        ]

    def _rows_of_accounts(self, metric: Metric, days: Sequence[str]) -> list[Row]:
        """Return the rows of a metric that looks at the accounts of other days, too: of those
        around each day as they are now, and of all before as they were counted.
        """
        lakes = self._days_of_lake()
        first = _moved(min(days), -metric.looks_back)
        last = _moved(max(days), metric.looks_ahead)
        known = self.counted(lakes)
        wanted = [day for day in lakes if first <= day <= last or not known[day].links]
        for start in range(0, len(wanted), DAYS_AT_ONCE):
            part = wanted[start : start + DAYS_AT_ONCE]
            known |= self.bring_up_to_date(part)
        relation = render(
            SQL_DIR / "account_days.sql",
            table=self._table,
            name=ACCOUNTS,
            last=last,
            left_out=[name for of_day in known.values() for name in of_day.left_out],
        )
        self._session.execute(view_over(metric.name, ACCOUNT_DAYS, self._database, relation))
        return rows_of(self._session, metric, f"`{metric.name}`", days)

    def _days_of_lake(self) -> list[str]:
        [table] = lake_tables(MESSAGE_VIEW)
        rows = self._session.query(f"SHOW PARTITIONS {self._database}.{table}{SNAPSHOT}")
        return sorted(str(row["partition"]).partition("=")[2] for row in rows)

    def _top_rows(self, metric: Metric, days: Sequence[str], links: Sequence[str]) -> list[Row]:
        relation = render(
            SQL_DIR / "top.sql", table=self._table, name=metric.name, days=days, links=links
        )
        self._session.execute(view_over(metric.name, PARTIAL, self._database, relation))
        return rows_of(self._session, metric, f"`{metric.name}`", days)

    def _fingerprint(self) -> str:
        """Return what changes when other things are counted, or the same in another way."""
        parts = [
            (name, of, view_part(metric.name, FACTS, ""))
            for metric in self._facts
            for name, of in _set_names(metric)
        ]
        tops = [(metric.name, view_part(metric.name, PARTIAL, "")) for metric in self._tops]
        return hashlib.sha256(repr([parts, tops]).encode()).hexdigest()[:16]

    def _arrived(self, counted: Mapping[str, Counted]) -> dict[str, tuple[int, int, str]]:
        [table] = lake_tables(MESSAGE_VIEW)
        rows = self._session.query(
            render(
                SQL_DIR / "arrived.sql",
                messages=f"{self._database}.{table}{SNAPSHOT}",
                untils={day: known.until for day, known in counted.items()},
            )
        )
        return {row["day"]: (row["messages"], row["new"], row["newest"]) for row in rows}

    def _add(self, counts: Sequence[Count], counted: Mapping[str, Counted]) -> None:
        few = sum(count.messages for count in counts) <= FEW_MESSAGES
        if not few:
            self._insert(counts, self._messages(counts), counted)
            return
        drop_what_was_left(self._session, KEPT)
        name = keep(self._session, KEPT, self._messages(counts))
        try:
            self._insert(counts, f"SELECT * FROM {name}", counted, small=True)  # nosec B608  # our own name
        finally:
            drop(self._session, name)

    def _insert(
        self,
        counts: Sequence[Count],
        messages: str,
        counted: Mapping[str, Counted] | None = None,
        *,
        small: bool = False,
    ) -> None:
        days = [count.day for count in counts]
        self._session.execute(
            render(
                SQL_DIR / "count.sql",
                table=self._table,
                catalog=self._catalog,
                accounts=ACCOUNTS,
                link=_new_name(),
                counts=counts,
                days=days,
                known=_names(counted[day] for day in days) if counted else [],
                small=small,
                files=1 if small else 2,
                sets=[one for metric in self._facts for one in self._sets(metric, f"({messages})")],
                tops=[
                    {
                        "name": metric.name,
                        "partial": over_messages(
                            view_part(metric.name, PARTIAL, self._database),
                            self._database,
                            f"({messages})",
                        ),
                    }
                    for metric in self._tops
                ],
            )
        )

    def _messages(self, counts: Sequence[Count]) -> str:
        columns = message_columns(
            [metric.name for metric in (*self._facts, *self._tops)], self._database
        )
        only = " OR ".join(
            f"day = '{count.day}' AND _hoodie_commit_time > '{count.since}' "
            f"AND _hoodie_commit_time <= '{count.until}'"
            for count in counts
        )
        return message_rows(self._database, columns, only)

    def _sets(self, metric: Metric, messages: str) -> list[dict[str, Any]]:
        facts = over_messages(
            view_part(metric.name, FACTS, self._database), self._database, messages
        )
        grain = [column.name for column in metric.grain]
        cell = f"to_json(struct({', '.join(grain)}))" if grain else "'{}'"
        return [
            {
                "name": name,
                "cell": cell,
                "columns": ["day", *grain],
                "member": _member(of),
                "facts": facts,
            }
            for name, of in _set_names(metric)
        ]


def rows_of(session: HiveSession, metric: Metric, view: str, days: Sequence[str]) -> list[Row]:
    """Return the rows that a view has of some days, in the catalog's column order."""
    names = [column.name for column in metric.columns]
    columns = ", ".join(f"`{name}`" for name in names)
    rows = session.query(
        f"SELECT {columns} FROM {view} WHERE day IN %(days)s", {"days": list(days)}
    )  # nosec B608  # names of the catalog
    return [tuple(row[name] for name in names) for row in rows]


def _or_error(read: Callable[[], list[Row]]) -> list[Row] | HiveError:
    try:
        return read()
    except HiveError as error:
        return error


def _moved(day: str, days: int) -> str:
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()


def _name(link: Link) -> str:
    return link.name


def _longest(root: Link, following: Mapping[str, Sequence[Link]]) -> tuple[Link, ...]:
    found, open_ends = (root,), [(root,)]
    while open_ends:
        found = max(open_ends, key=lambda links: links[-1].name)
        open_ends = [
            (*links, link) for links in open_ends for link in following.get(links[-1].name, ())
        ]
    return found


def _set_names(metric: Metric) -> list[tuple[str, tuple[str, ...]]]:
    """Return what is counted for a metric, with the columns that name a member: each distinct
    count, or the messages alone.
    """
    counts = [column for column in metric.measures if column.of]
    return [(_set_name(metric, column), column.of) for column in counts] or [
        (_set_name(metric, MESSAGES), ())
    ]


def _set_name(metric: Metric, column: Column) -> str:
    return f"{metric.name}.{column.name}"


def _member(of: Sequence[str]) -> str:
    if not of:
        return "CAST(NULL AS STRING)"
    return of[0] if len(of) == 1 else f"concat_ws('{SEPARATOR}', {', '.join(of)})"


def _cells_of(
    metric: Metric, of_set: Mapping[str, Sequence[Mapping[str, Any]]]
) -> dict[str, dict[str, _Figures]]:
    """Return day -> cell -> its figures by the names of the measures."""
    cells: dict[str, dict[str, _Figures]] = {}
    for name, _ in _set_names(metric):
        for row in of_set.get(name, ()):
            figures = cells.setdefault(row["day"], {}).setdefault(row["cell"], {})
            figures[MESSAGES.name] = row["messages"]
            figures[name.rpartition(".")[2]] = row["members"] or row["messages"]
    return cells


def _ranked(value: Column, cells: Mapping[str, _Figures]) -> list[str]:
    """Return cells of one value each by messages descending, then by value."""
    return sorted(
        cells, key=lambda cell: (-cells[cell][MESSAGES.name], json.loads(cell)[value.name])
    )


def _row(metric: Metric, day: str, cell: str, figures: _Figures) -> Row:
    place = json.loads(cell)
    return (
        day,
        *(place[column.name] for column in metric.grain),
        *(figures[column.name] for column in metric.measures),
    )


def _names(counted: Iterable[Counted]) -> list[str]:
    return [name for of_day in counted for name in of_day.names]


def _new_name() -> str:
    return f"{time.time_ns():020d}-{uuid4().hex[:8]}"
