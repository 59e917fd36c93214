"""HiveServer2 as far as a run of metrics sees it: a session that has one message of each day in
every view.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager

from qimo_assets.metrics.catalog import METRICS
from qimo_assets.metrics.facts import SEPARATOR
from qimo_assets.resources.hive import HiveError, HiveSession, Row

# The measures of all metrics, each in the type of its column.
ROW: Row = {
    column.name: "1" if column.is_text else 1 for metric in METRICS for column in metric.columns
}
CELLS = {
    metric.name: SEPARATOR.join(str(ROW[column.name]) for column in metric.grain)
    for metric in METRICS
}
LISTED = re.compile(r"day IN \('([^)]*)'\)")
# A query of a metric's rows.
ROWS = re.compile(r"SELECT `day`, .* WHERE day IN \('([^)]*)'\)$")
WITH_TEXT = re.compile(r"^\s*--.*\n", re.MULTILINE)


class FakeSession(HiveSession):
    """Keeps the links of the figures, and refuses statements that hold a text.

    Attributes:
        instant: The newest commit.
        old: A commit before all others.
        timeline: The entries of each table's timeline, the newest first.
        refused: The text; nothing is refused if it is empty.
        statements: All that was said.
        links: The links that were added.
        sets: What they counted.
        messages: Day -> its messages; a day that is not named has one.
        others: How many accounts are not counted.
        kept: Names of copies that it keeps.
        views: What the views say that are there.
        columns: Of the table of figures; none before there is one.
        log_files: Days of which a file group has a log file.
        before: What happens once before the first statement that begins like its name.
    """

    def __init__(self, instant: str, refused: str = "") -> None:
        self.instant = instant
        self.old = instant[0]
        self.timeline = [entry(instant)]
        self.refused = refused
        self.statements: list[str] = []
        self.links: list[Row] = []
        self.sets: set[str] = set()
        self.messages: dict[str, int] = {}
        self.others = 0
        self.kept: list[str] = []
        self.views: dict[str, str] = {}
        self.columns: list[str] = []
        self.log_files: set[str] = set()
        self.before: dict[str, Callable[[], object]] = {}

    @contextmanager
    def session(self) -> Generator[FakeSession, None, None]:
        """Stand for the resource as well."""
        yield self

    def execute(self, sql: str) -> None:
        """Add links, or do nothing."""
        self._say(sql)
        self.sets |= set(re.findall(r"struct\('([\w.]+)' AS set_name", sql))
        if "CREATE TABLE" in sql:
            self.columns = ["link", "hash", "other_hash"]
        for name in re.findall(r"CREATE GLOBAL TEMPORARY VIEW (\w+)", sql):
            self.views[f"global_temp.{name}"] = sql
        for name in re.findall(r"DROP VIEW IF EXISTS (\S+)", sql):
            self.views.pop(name, None)
        if "INSERT INTO" in sql:
            rows = next((rows for name, rows in self.views.items() if name in sql), sql)
            [stem] = re.findall(r"concat\('(\S+)-', day\) AS link", rows)
            [catalog] = re.findall(r"'(\w+)' AS cell", rows)
            self.links += [
                link(f"{stem}-{day}", day, after, until, int(messages), int(commits), catalog)
                for day, after, until, messages, commits in re.findall(
                    r"\('(\S*)', '(\S*)', '(\S*)', (\d+)L, (\d+)L\)", rows
                )
            ]

    def query(self, sql: str, params: Mapping[str, object] | None = None) -> list[Row]:
        """Return the newest commit, the links, what came after them, the figures, or a row of each
        day that is asked for.
        """
        self._say(sql)
        days = [day for found in LISTED.findall(sql) for day in found.split("', '")]
        if sql.startswith("CALL show_fsview_latest"):
            [day] = re.findall(r"'day=([^']*)'", sql)
            return [{"num_delta_files": 0}, {"num_delta_files": int(day in self.log_files)}]
        if sql.startswith("CALL"):
            [limit] = re.findall(r"limit => (\d+)", sql)
            return self.timeline[: int(limit)]
        if sql.startswith("SET "):
            return [{"key": sql.partition(" ")[2], "value": "0"}]
        if sql.startswith("SHOW COLUMNS"):
            if not self.columns:
                raise HiveError("TABLE_OR_VIEW_NOT_FOUND")
            return [{"col_name": name} for name in self.columns]
        if sql.startswith("SHOW VIEWS"):
            return [{"viewName": name} for name in self.kept]
        if sql.startswith("SHOW PARTITIONS"):
            return [{"partition": f"day={day}"} for day in sorted(self._days()) if self._of(day)]
        if named := ROWS.search(sql):
            return [{**ROW, "day": day} for day in named[1].split("', '")]
        if "AS catalog" in sql:
            return [link for link in self.links if not days or link["day"] in days]
        if "AS instant" in sql:
            return [commit for day in days for commit in self._commits(day)]
        if "AS accounts" in sql:
            return [{"accounts": self.others}]
        if "AS messages\nFROM" in sql:
            return [{"day": day, "messages": self._of(day)} for day in days]
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
        texts = [WITH_TEXT.sub("", text) for text in self.statements]
        return [text for text in texts if text.lstrip().startswith(beginning)]

    def _say(self, sql: str) -> None:
        for beginning in list(self.before):
            if WITH_TEXT.sub("", sql).lstrip().startswith(beginning):
                self.before.pop(beginning)()
        self.statements.append(sql)
        if self.refused and self.refused in sql:
            raise HiveError(f"{self.refused} is refused")

    def _days(self) -> set[str]:
        return {*self.messages, *(link["day"] for link in self.links)}

    def _of(self, day: str) -> int:
        return self.messages.get(day, 1)

    def _commits(self, day: str) -> list[Row]:
        """Return the commits of a day: its first message is of an old one, and its others are of
        the newest.
        """
        of_day = [(self.old, min(self._of(day), 1)), (self.instant, self._of(day) - 1)]
        return [commit(day, instant, messages) for instant, messages in of_day if messages > 0]


def entry(instant: str, action: str = "deltacommit", state: str = "COMPLETED") -> Row:
    """Return an entry of a timeline."""
    return {"instant_time": instant, "action": action, "state": state}


def commit(day: str, instant: str, messages: int) -> Row:
    """Return a commit of a day's messages."""
    return {"day": day, "instant": instant, "messages": messages, "checksum": 1}


def link(
    name: str,
    day: str,
    after: str = "",
    until: str = "",
    messages: int = 1,
    commits: int = 1,
    catalog: str = "",
) -> Row:
    """Return a link as the table has it."""
    return {
        "day": day,
        "link": name,
        "after": after,
        "until": until,
        "messages": messages,
        "commits": commits,
        "catalog": catalog,
    }
