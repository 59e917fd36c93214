"""One row of the matrix: lines flow, a fault hits, and the row tells whether and when the platform
came back and what became of each line.

A row's own lines are found in lake and quarantine by file and byte offset, so that one that is
missing cannot hide behind one that is there twice.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

from qimo_assets import simulator
from qimo_assets.resources.hive import HiveResource
from qimo_assets.resources.mysql import MySQLError, MySQLResource
from qimo_assets.stack import control
from qimo_assets.verify import LAKE_TABLE, QUARANTINE_TABLE
from qimo_assets_tests.conftest import Stack
from qimo_assets_tests.faults.flow import LINES_PER_SECOND, Flow, append_marker, line_starts, sizes
from qimo_assets_tests.faults.hits import FAULTS, Fault

# The moment of the hit, in seconds after the flow began; the stream begins a batch each 5 seconds.
EARLIEST_HIT, LATEST_HIT = 3.0, 12.0
# Lines flow for at least so long after the fault, and until everything answers again.
FLOW_AFTER_SECONDS = 10
# Much longer than it takes, also on two busy processors; then a person would have to look.
RECOVERY_SECONDS = 600
POLL_SECONDS = 0.5
VERIFY_SECONDS = 900


@dataclass
class Row:
    """One fault, and what became of the lines that flowed meanwhile.

    Attributes:
        fault: What was hit, and how.
        seed: Seed of the lines and of the moment.
        moment: When it was hit: Asia/Shanghai.
        after: Seconds from the first line to the hit.
        answered: Seconds from the end of the fault until every service answered; None when one did
            not.
        recovered: Seconds from the end of the fault until a line written after the hit was in MySQL
        as well; None when it never was.
        lines: Lines written during the row.
        rows: Rows of the lake that are these lines.
        quarantined: Lines of these in quarantine.
        sent_again: Records of the topic that were a line's second or later arrival.
        missing: Lines that are in neither.
        twice: Rows beyond the first of a line, and rows of no line.
        metrics: Whether every metric in MySQL equals the recount; None before it was made.
        differences: What the recount found.
    """

    fault: str
    seed: str
    moment: str = ""
    after: float = 0.0
    answered: float | None = None
    recovered: float | None = None
    lines: int = 0
    rows: int = 0
    quarantined: int = 0
    sent_again: int | None = None
    missing: int = 0
    twice: int = 0
    metrics: bool | None = None
    differences: list[str] = field(default_factory=list)
    start: dict[str, int] = field(default_factory=dict, repr=False)
    end: dict[str, int] = field(default_factory=dict, repr=False)

    @property
    def ok(self) -> bool:
        """Whether the promise was held."""
        return (
            self.recovered is not None
            and bool(self.metrics)
            and not (self.missing or self.twice or self.differences)
        )


@dataclass
class Matrix:
    """Runs faults against one stack and keeps their rows."""

    stack: Stack
    seed: int
    rows: list[Row]
    sent_again: int = 0
    reduced: dict[str, Row] = field(default_factory=dict)

    def begin(self) -> None:
        """Recount, so that rows are counted from here on; a stack without any line gets its first
        ones.
        """
        chat = self.stack.layout().chat
        if not sizes(chat):
            simulator.feed(chat, LINES_PER_SECOND, seed=self.seed)
        self.sent_again = self._verify()["sent_again"]

    def run(self, fault: Fault, number: int) -> Row:
        """Hit the stack while lines flow, and wait until a line written after the hit is in MySQL;
        `settle` completes the row.
        """
        return self.run_together([fault], number)[0]

    def run_in_its_flow(self, fault: Fault) -> Row:
        """Return the row of a fault of the reduced matrix; the first that is asked for of those
        that share a flow has all of them hit.
        """
        if fault.name not in self.reduced:
            faults = sharing(fault, FAULTS)
            for row in self.run_together(faults, 0):
                self.reduced[row.fault] = row
        return self.reduced[fault.name]

    def run_together(self, faults: Sequence[Fault], number: int) -> list[Row]:
        """Hit the stack with each of these, at a moment and with a marker of its own, while the
        same lines flow; return their rows in the same order.
        """
        rows = [Row(fault.name, f"{self.seed}/{fault.name}/{number}") for fault in faults]
        chances = [Random(row.seed) for row in rows]
        chat = self.stack.layout().chat
        start = sizes(chat)
        flow = Flow(chat, chances[0].randrange(2**31))
        markers, over = dict[str, str](), dict[str, float]()
        for row, random in zip(rows, chances, strict=True):
            self.rows.append(row)
            row.start = start
            row.after = round(random.uniform(EARLIEST_HIT, LATEST_HIT), 1)
            markers[row.fault] = f"fault-{self.seed}-{len(self.rows)}"
        flow.start()
        began = time.monotonic()
        try:
            for fault, row, random in sorted(
                zip(faults, rows, chances, strict=True), key=lambda item: item[1].after
            ):
                time.sleep(max(0.0, began + row.after - time.monotonic()))
                with fault.hit(self.stack, random):
                    row.moment = datetime.now(simulator.ZONE).strftime("%Y-%m-%d %H:%M:%S")
                    append_marker(chat, markers[row.fault])
                over[row.fault] = time.monotonic()
            for row in rows:
                row.answered = _seconds_until(self._answers, over[row.fault])
            time.sleep(max(0.0, max(over.values()) + FLOW_AFTER_SECONDS - time.monotonic()))
        finally:
            flow.stop()
            end = sizes(chat)
            for row in rows:
                row.end = end
        for fault, row in zip(faults, rows, strict=True):
            if row.answered is not None:
                row.recovered = _seconds_until(
                    lambda marker=markers[row.fault]: self.is_published(marker),
                    over[row.fault],
                    RECOVERY_SECONDS + fault.unnoticed_seconds,
                )
        return rows

    def settle(self, rows: Sequence[Row]) -> None:
        """Wait until everything has arrived, recount all there is, and fill in what became of the
        lines of these rows.

        What was sent again cannot be told apart between several rows: it stands in the last of
        them.
        """
        answer = self._verify()
        for row in rows:
            self._account(row)
            row.metrics = bool(answer["metrics"]) and all(
                metric["ok"] for metric in answer["metrics"].values()
            )
            row.differences = answer["differences"] + [
                text for metric in answer["metrics"].values() for text in metric["differences"]
            ]
        rows[-1].sent_again = answer["sent_again"] - self.sent_again
        self.sent_again = answer["sent_again"]

    def is_published(self, marker: str) -> bool:
        """Return whether the line with this marker is in a published metric."""
        try:
            with (
                MySQLResource.from_settings(self.stack.settings().mysql).connect() as connection,
                connection.cursor() as cursor,
            ):
                cursor.execute("SELECT count(*) FROM message_type WHERE msg_type = %s", (marker,))
                return cursor.fetchone() != (0,)
        except MySQLError:
            return False

    def _answers(self) -> bool:
        return all(
            component.state == "running" for component in control.components(self.stack.layout())
        )

    def _verify(self) -> dict[str, Any]:
        done = self.stack.qimo("verify", "--json", "--wait", check=False, timeout=VERIFY_SECONDS)
        return json.loads(done.stdout)

    def _account(self, row: Row) -> None:
        """Look for each line of a row in lake and quarantine."""
        layout, settings = self.stack.layout(), self.stack.settings()
        lines = line_starts(layout.chat, row.start, row.end)
        where = " OR ".join(
            f"(source_file = '{layout.chat / name}' AND source_offset >= "
            f"{row.start.get(name, 0)} AND source_offset < {size})"
            for name, size in row.end.items()
        )
        with HiveResource.from_settings(settings.hive).session() as session:
            good, rejected = (
                Counter(
                    (Path(found["source_file"]).name, found["source_offset"])
                    for found in session.query(
                        "SELECT source_file, source_offset FROM "
                        f"{settings.lake.database}.{table} WHERE {where}"
                    )
                )
                for table in (LAKE_TABLE, QUARANTINE_TABLE)
            )
        found = good + rejected
        row.lines, row.rows, row.quarantined = len(lines), good.total(), rejected.total()
        row.missing = len(lines - set(found))
        row.twice = found.total() - len(lines & set(found))


def plan(faults: Sequence[Fault], kills: int) -> list[tuple[Fault, int]]:
    """Return the faults in their order, and how often each hits: without kills the reduced matrix,
    each once, else those on the data path so often.
    """
    if not kills:
        return [(fault, 1) for fault in faults if fault.in_reduced]
    return [(fault, kills if fault.on_data_path else 1) for fault in faults]


def sharing(fault: Fault, faults: Sequence[Fault]) -> list[Fault]:
    """Return the faults of the reduced matrix that hit in one flow of lines with this one, it among
    them.
    """
    if fault.flow is None:
        return [fault]
    return [other for other in faults if other.in_reduced and other.flow == fault.flow]


def assert_recovers(matrix: Matrix, fault: Fault) -> None:
    """Hit once, and hold that everything comes back by itself, with each line once and every figure
    right.
    """
    row = matrix.run(fault, 0)
    assert row.answered is not None, row
    assert row.recovered is not None, row
    matrix.settle([row])
    assert row.ok, row


def _seconds_until(
    what: Callable[[], bool], since: float, limit: float = RECOVERY_SECONDS
) -> float | None:
    """Return the seconds from `since` until something is true; None when it does not become so
    within the limit.
    """
    while not what():
        if time.monotonic() - since > limit:
            return None
        time.sleep(POLL_SECONDS)
    return round(time.monotonic() - since, 1)
