"""What is counted of messages, as SQL: the parts that the views of metrics mark, over some messages
instead of all. Renders; asks nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from qimo_assets.metrics.catalog import LATEST, MESSAGES, Metric
from qimo_assets.metrics.links import Count
from qimo_assets.metrics.publish import SQL_DIR
from qimo_assets.views.sql import (
    MESSAGE_VIEW,
    declared_columns,
    has_part,
    message_columns,
    message_rows,
    over_messages,
    read_sql,
    view_part,
    view_statement,
)

# Parts of a view's SQL: the rows that are counted, rows that are counted already in a way that adds
# up, and the accounts of each day.
FACTS, PARTIAL, ACCOUNT_DAYS = "facts", "partial", "account_days"
# The set whose members are the accounts that sent on a day.
ACCOUNTS = "message_total.senders"
# Parts of a line never hold it: it separates them.
SEPARATOR = "\\u0001"


class Facts:
    """What is counted for metrics.

    Args:
        database: Hive database of the tables and views.
        metrics: The metrics.
    """

    def __init__(self, database: str, metrics: Sequence[Metric]) -> None:
        self._database = database
        self._of_sets = [metric for metric in metrics if has_part(metric.name, FACTS)]
        self._of_partials = [metric for metric in metrics if has_part(metric.name, PARTIAL)]

    def messages(self, counts: Sequence[Count]) -> str:
        """Return the query for the messages that are to be counted, of those columns alone that
        are counted.
        """
        parts = [view_part(metric.name, FACTS, self._database) for metric in self._of_sets]
        parts += [view_part(metric.name, PARTIAL, self._database) for metric in self._of_partials]
        days = "', '".join(count.day for count in counts)
        commits = " OR ".join(
            f"day = '{count.day}' AND _hoodie_commit_time > '{count.since}' "
            f"AND _hoodie_commit_time <= '{count.until}'"
            for count in counts
        )
        # Partitions are pruned by what is asked of the day alone.
        only = f"day IN ('{days}') AND ({commits})"
        return message_rows(self._database, message_columns(parts, self._database), only)

    def sets(self, messages: str) -> list[dict[str, Any]]:
        """Return what is counted of messages by cells, with the members that a cell has once.

        Args:
            messages: The query for them.
        """
        found = []
        for metric in self._of_sets:
            grain = [column.name for column in metric.grain]
            cell = f"to_json(struct({', '.join(grain)}))" if grain else "'{}'"
            facts = self._part(metric, FACTS, messages)
            found += [
                {
                    "name": name,
                    "cell": cell,
                    "columns": ["day", *grain],
                    "member": _member(of),
                    "facts": facts,
                }
                for name, of in set_names(metric)
            ]
        return found

    def partials(self, messages: str) -> list[dict[str, str]]:
        """Return what views have counted of messages already.

        Args:
            messages: The query for them.
        """
        found = []
        for metric in self._of_partials:
            names = [name for name, _ in metric.partial if name != LATEST]
            texts = (f"coalesce(CAST({name} AS STRING), '')" for name in names)
            found.append(
                {
                    "name": metric.name,
                    "member": f"concat_ws('{SEPARATOR}', {', '.join(texts)})",
                    "latest": LATEST if len(names) < len(metric.partial) else "NULL",
                    "partial": self._part(metric, PARTIAL, messages),
                }
            )
        return found

    def fingerprint(self) -> str:
        """Return what changes when other things are counted, or the same in another way."""
        sets = [
            (
                name,
                of,
                [column.name for column in metric.grain],
                _code(view_part(metric.name, FACTS, "")),
            )
            for metric in self._of_sets
            for name, of in set_names(metric)
        ]
        partials = [
            (metric.name, metric.partial, _code(view_part(metric.name, PARTIAL, "")))
            for metric in self._of_partials
        ]
        columns = declared_columns(view_statement(MESSAGE_VIEW, ""))
        ways = [
            _code(message_rows("", columns, "")),
            _code(read_sql(SQL_DIR / "count.sql")),
            ACCOUNTS,
            SEPARATOR,
        ]
        return hashlib.sha256(repr([sets, partials, ways]).encode()).hexdigest()[:16]

    def _part(self, metric: Metric, part: str, messages: str) -> str:
        text = view_part(metric.name, part, self._database)
        return over_messages(text, self._database, f"({messages})")


def adds_up(metric: Metric) -> bool:
    """Return whether a metric is made from partial figures: its view marks the part that they
    stand for.
    """
    return any(has_part(metric.name, part) for part in (FACTS, PARTIAL, ACCOUNT_DAYS))


def set_names(metric: Metric) -> list[tuple[str, tuple[str, ...]]]:
    """Return what is counted for a metric, with the columns that name a member: each distinct
    count, or the messages alone.
    """
    counts = [column for column in metric.measures if column.of]
    return [(f"{metric.name}.{column.name}", column.of) for column in counts or [MESSAGES]]


def _member(of: Sequence[str]) -> str:
    if not of:
        return "CAST(NULL AS STRING)"
    return of[0] if len(of) == 1 else f"concat_ws('{SEPARATOR}', {', '.join(of)})"


def _code(sql: str) -> str:
    """Return SQL without its comments and its form."""
    return " ".join(re.sub(r"--.*", "", sql).split())
