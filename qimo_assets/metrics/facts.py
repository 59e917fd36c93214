"""What is counted of messages, as SQL: the parts that the views of metrics mark, over some messages
instead of all. Renders; asks nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence

from qimo_assets.metrics.catalog import LATEST, MESSAGES, Metric
from qimo_assets.metrics.links import Count
from qimo_assets.metrics.look import reading_of
from qimo_assets.metrics.publish import SQL_DIR
from qimo_assets.views.sql import (
    MESSAGE_VIEW,
    SNAPSHOT,
    declared_columns,
    has_part,
    message_columns,
    message_rows,
    query_over,
    read_sql,
    render,
    view_part,
    view_statement,
)

# Parts of a view's SQL: what it takes of each message, rows that are counted already in a way that
# adds up, and the accounts of each day.
FACTS, PARTIAL, ACCOUNT_DAYS = "facts", "partial", "account_days"
# The set whose members are the accounts that sent on a day.
ACCOUNTS = "message_total.senders"
# Parts of a line never hold it: it separates them.
SEPARATOR = "\x01"
SQL_SEPARATOR = f"\\u{ord(SEPARATOR):04x}"

# Messages of a day: those of the commits after the first and up to the second.
Span = tuple[str, str, str]


class Facts:
    """What is counted for metrics.

    Args:
        database: Hive database of the tables and views.
        metrics: The metrics.
        only: The one set of theirs that is counted; all where it is empty.
    """

    def __init__(self, database: str, metrics: Sequence[Metric], only: str = "") -> None:
        self._database = database
        self._sets = {
            metric: [row for row in _sets(metric) if only in ("", row["name"])]
            for metric in metrics
            if has_part(metric.name, FACTS)
        }
        self._metrics = [metric for metric, sets in self._sets.items() if sets]

    @property
    def partials(self) -> list[str]:
        """The metrics of which rows are kept that add up by themselves."""
        return [metric.name for metric in self._metrics if metric.partial]

    def of_messages(self, counts: Sequence[Count]) -> str:
        """Return the query for what the messages that are to be counted add to the metrics."""
        return render(
            SQL_DIR / "facts.sql",
            sets=[row for metric in self._metrics for row in self._sets[metric]],
            facts={metric.name: _facts_of(metric, self._database) for metric in self._metrics},
            messages=self.new_messages(counts),
        )

    def new_messages(self, counts: Sequence[Count]) -> str:
        """Return the query for the messages that are to be counted."""
        return self.messages(
            [(count.day, count.since, count.until) for count in counts],
            reading_of([count.counts for count in counts]),
        )

    def messages(self, spans: Iterable[Span], reading: str = SNAPSHOT) -> str:
        """Return the query for messages, of those columns alone that the metrics take.

        Args:
            spans: Which messages.
            reading: `SNAPSHOT` or `BASE_FILES`.
        """
        parts = [_facts_of(metric, self._database) for metric in self._metrics]
        days, conditions = [], []
        for day, since, until in spans:
            days.append(day)
            conditions.append(
                f"day = '{day}' AND _hoodie_commit_time > '{since}' "
                f"AND _hoodie_commit_time <= '{until}'"
            )
        # Partitions are pruned by what is asked of the day alone.
        listed = "', '".join(days)
        only = f"day IN ('{listed}') AND ({' OR '.join(conditions)})"
        columns = message_columns(parts, self._database)
        return message_rows(self._database, columns, only, reading)

    def fingerprint(self) -> str:
        """Return what changes when other things are counted, or the same in another way."""
        facts = [
            (metric.partial, _code(_facts_of(metric, self._database))) for metric in self._metrics
        ]
        sets = [row for metric in self._metrics for row in self._sets[metric]]
        columns = declared_columns(view_statement(MESSAGE_VIEW, ""))
        ways = [
            _code(message_rows("", columns, "")),
            *(_code(read_sql(SQL_DIR / f"{name}.sql")) for name in ("facts", "count")),
        ]
        return hashlib.sha256(repr([facts, sets, ways]).encode()).hexdigest()[:16]


def rows_over(metric: Metric, database: str, messages: str) -> str:
    """Return the beginning of a query that reads the view of a metric, over some messages alone.

    Args:
        metric: The metric.
        database: Hive database of the tables and views.
        messages: The messages: a view's name, or a query in brackets.
    """
    relation = f"SELECT {_facts_of(metric, database)} FROM {messages}"  # nosec B608  # our own SQL
    return query_over(metric.name, FACTS, database, relation)


def set_names(metric: Metric) -> list[tuple[str, tuple[str, ...]]]:
    """Return what is counted for a metric, with the columns that name a member: each distinct
    count, or the messages alone.
    """
    counts = [column for column in metric.measures if column.of]
    return [(f"{metric.name}.{column.name}", column.of) for column in counts or [MESSAGES]]


def _facts_of(metric: Metric, database: str) -> str:
    """Return what a metric takes of each message: columns, as a SELECT lists them.

    Raises:
        ValueError: The block in the view's file takes rows away, or adds some.
    """
    part = _code(view_part(metric.name, FACTS, database))
    found = re.fullmatch(rf"SELECT (.*) FROM {database}\.{MESSAGE_VIEW}", part)  # nosec B608  # a pattern
    if not found:
        raise ValueError(
            f"{metric.name}.sql: the block {FACTS} must only select columns of "
            f"{{{{ database }}}}.{MESSAGE_VIEW}. Filter and group around it."
        )
    return found[1]


def _sets(metric: Metric) -> list[dict[str, str]]:
    """Return what is counted for a metric, as SQL over its facts, which stand in a column of its
    name.
    """
    no_time = "CAST(NULL AS TIMESTAMP)"
    if metric.partial:
        names = [name for name, _ in metric.partial if name != LATEST]
        latest = f"{metric.name}.{LATEST}" if len(names) < len(metric.partial) else no_time
        member = _joined(metric, names)
        return [{"name": metric.name, "cell": "''", "member": member, "latest": latest}]
    cell = _joined(metric, [column.name for column in metric.grain])
    return [
        {"name": name, "cell": cell, "member": _member(metric, of), "latest": no_time}
        for name, of in set_names(metric)
    ]


def _member(metric: Metric, of: Sequence[str]) -> str:
    if not of:
        return "CAST(NULL AS STRING)"
    return f"{metric.name}.{of[0]}" if len(of) == 1 else _joined(metric, of)


def _joined(metric: Metric, names: Sequence[str]) -> str:
    """Return the values of columns as one text."""
    texts = [f"coalesce(CAST({metric.name}.{name} AS STRING), '')" for name in names]
    return f"concat_ws('{SQL_SEPARATOR}'{''.join(f', {text}' for text in texts)})"


def _code(sql: str) -> str:
    """Return SQL without its comments and its form."""
    return " ".join(re.sub(r"--.*", "", sql).split())
