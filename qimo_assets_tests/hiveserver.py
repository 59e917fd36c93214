"""HiveServer2 as far as a run of metrics sees it: a session that has one message of each day in
every view.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from qimo_assets.metrics.catalog import METRICS
from qimo_assets.resources.hive import HiveError, HiveSession, Row

# The measures of all metrics, each in the type of its column.
ROW: Row = {
    column.name: "1" if column.is_text else 1 for metric in METRICS for column in metric.columns
}


class FakeSession(HiveSession):
    """Keeps the views of all sessions, and refuses statements that hold a text.

    Attributes:
        timeline: What is told of the commits.
        refused: The text; nothing is refused if it is empty.
        statements: All that was said.
        kept: Name of a view of all sessions -> the statement that made it.
    """

    def __init__(self, timeline: list[Row], refused: str = "") -> None:
        self.timeline = timeline
        self.refused = refused
        self.statements: list[str] = []
        self.kept: dict[str, str] = {}

    @contextmanager
    def session(self) -> Iterator[FakeSession]:
        """Stand for the resource as well."""
        yield self

    def execute(self, sql: str) -> None:
        """Make, keep or drop a view."""
        self.statements.append(sql)
        if self.refused and self.refused in sql:
            raise HiveError(f"{self.refused} is refused")
        if made := re.match(r"CREATE (?:OR REPLACE )?GLOBAL TEMPORARY VIEW (\w+) AS", sql):
            self.kept[made[1]] = sql
        elif sql.startswith("DROP VIEW IF EXISTS global_temp."):
            self.kept.pop(sql.rpartition(".")[2], None)

    def query(self, sql: str, params: Mapping[str, object] | None = None) -> list[Row]:
        """Return the timeline, names of views, the constants of a view, or a row of each day that
        is asked for.
        """
        self.statements.append(sql)
        if sql.startswith("CALL"):
            return self.timeline
        if sql.startswith("SHOW VIEWS"):
            pattern = re.compile(sql.split("'")[1].replace("*", ".*"))
            return [{"viewName": name} for name in self.kept if pattern.fullmatch(name)]
        if params is None:
            return [
                {
                    name: value
                    for value, name in re.findall(
                        r"'([^']*)' AS `(\w+)`", self.kept[sql.rpartition(".")[2]]
                    )
                }
            ]
        days = params["days"]
        assert isinstance(days, list)
        return [{**ROW, "day": day} for day in days]

    def said(self, beginning: str) -> list[str]:
        """Return the statements that begin like this."""
        return [
            statement
            for statement in self.statements
            if statement.lstrip("- ").startswith(beginning)
        ]


def delta_commit(instant: str, day: str) -> Row:
    """Return what the timeline tells of a batch that wrote to a day."""
    return {"commit_time": instant, "action": "deltacommit", "partition": f"day={day}"}
