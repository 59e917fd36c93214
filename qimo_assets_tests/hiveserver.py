"""HiveServer2 as far as a run of metrics sees it: a session that has one message of each day in
every view.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from qimo_assets.metrics.catalog import METRICS
from qimo_assets.resources.hive import HiveError, HiveSession, Row

# The measures of all metrics, each in the type of its column.
ROW: Row = {
    column.name: "1" if column.is_text else 1 for metric in METRICS for column in metric.columns
}
CELLS = {
    metric.name: json.dumps({column.name: ROW[column.name] for column in metric.grain})
    for metric in METRICS
}
LISTED = re.compile(r"day IN \('([^)]*)'\)")


class FakeSession(HiveSession):
    """Keeps the links of the figures, and refuses statements that hold a text.

    Attributes:
        instant: The newest commit.
        refused: The text; nothing is refused if it is empty.
        statements: All that was said.
        links: The links that were added.
        sets: What they counted.
        grown: Whether each day has got one more message than was counted.
    """

    def __init__(self, instant: str, refused: str = "") -> None:
        self.instant = instant
        self.refused = refused
        self.statements: list[str] = []
        self.links: list[Row] = []
        self.sets: set[str] = set()
        self.grown = False

    @contextmanager
    def session(self) -> Iterator[FakeSession]:
        """Stand for the resource as well."""
        yield self

    def execute(self, sql: str) -> None:
        """Add links, or do nothing."""
        self.statements.append(sql)
        if self.refused and self.refused in sql:
            raise HiveError(f"{self.refused} is refused")
        if "INSERT INTO" in sql:
            [(name, catalog)] = re.findall(r"'(\S+)' AS link, .* '(\S+)' AS cell", sql)
            self.sets = set(re.findall(r"'(\w+\.\w+)' AS set_name", sql))
            self.links += [
                {
                    "day": day,
                    "link": name,
                    "after": after,
                    "until": until,
                    "messages": int(messages),
                    "catalog": catalog,
                }
                for day, after, until, messages in re.findall(
                    r"\('(\S*)', '(\S*)', '(\S*)', (\d+)L\)", sql
                )
            ]

    def query(self, sql: str, params: Mapping[str, object] | None = None) -> list[Row]:
        """Return the newest commit, the links, what came after them, the figures, or a row of each
        day that is asked for.
        """
        self.statements.append(sql)
        if sql.startswith("CALL"):
            return [{"commit_time": self.instant}]
        if sql.startswith("SHOW PARTITIONS"):
            return [{"partition": f"day={link['day']}"} for link in self.links]
        if params is not None:
            days = params["days"]
            assert isinstance(days, list)
            return [{**ROW, "day": day} for day in days]
        if "SHOW VIEWS" in sql:
            return []
        days = [day for found in LISTED.findall(sql) for day in found.split("', '")]
        counted = {link["day"] for link in self.links}
        if "AS catalog" in sql:
            return [link for link in self.links if link["day"] in days]
        if "AS newest" in sql:
            return [
                {
                    "day": day,
                    "messages": 1 + self.grown,
                    "new": int(day not in counted or self.grown),
                    "newest": self.instant,
                }
                for day in days
            ]
        return [
            {
                "day": day,
                "set_name": name,
                "cell": CELLS[name.partition(".")[0]],
                "messages": 1,
                "members": 1,
            }
            for day in days
            for name in self.sets
        ]

    def said(self, beginning: str) -> list[str]:
        """Return the statements that begin like this, but for their comments."""
        texts = [re.sub(r"^\s*--.*\n", "", text, flags=re.MULTILINE) for text in self.statements]
        return [text for text in texts if text.lstrip().startswith(beginning)]
