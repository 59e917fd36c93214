"""What `status` says beside the components: open table services out of a timeline, and words."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from qimo_assets.overview import (
    Disk,
    Figures,
    Lag,
    Overview,
    Stream,
    TableService,
    described,
    duration,
    incomplete,
    render,
)
from qimo_assets.stack.control import Component

ASKED = "20261128100000000"
NOW = datetime(2026, 11, 28, 10, 1, 30, tzinfo=ZoneInfo("Asia/Shanghai")).timestamp()


@pytest.mark.parametrize(
    ("files", "states"),
    [
        ([], []),
        ([f"{ASKED}.deltacommit.requested", f"{ASKED}.deltacommit.inflight"], []),
        ([f"{ASKED}.compaction.requested"], [("compaction", "requested")]),
        (
            [f"{ASKED}.compaction.requested", f"{ASKED}.compaction.inflight"],
            [("compaction", "inflight")],
        ),
        (
            [
                f"{ASKED}.compaction.requested",
                f"{ASKED}.compaction.inflight",
                f"{ASKED}_20261128100010000.commit",
            ],
            [],
        ),
        (
            [f"{ASKED}.clustering.requested", f"{ASKED}.clustering.inflight", "history", "x.tmp"],
            [("clustering", "inflight")],
        ),
    ],
)
def test_a_table_service_is_open_until_its_instant_is_complete(
    files: list[str], states: list[tuple[str, str]]
) -> None:
    found = incomplete("chat_message", files, NOW)
    assert [(item.operation, item.state) for item in found] == states
    assert all((item.table, item.age_seconds) == ("chat_message", 90.0) for item in found)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59, "59 s"),
        (61, "1 min 1 s"),
        (3 * 3600 + 120, "3 h 2 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_a_duration_is_told_in_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_everything_is_told_in_words() -> None:
    now = Overview(
        Stream("STARTED", True, "2026-11-28T02:00:00+00:00", "r"),
        Lag(12_345, 61),
        Figures("2026-11-28T10:00:00+08:00", 7),
        "1 of 2 log files are not read: 'a.log': it has no link",
        Disk(3 * 2**30, 2**40),
        [TableService("chat_message", "compaction", "inflight", 90)],
        {},
    )
    assert described(now) == {
        "stream": "runs since 2026-11-28T02:00:00+00:00, run r",
        "lake behind topic": "12,345 lines, the oldest 1 min 1 s old",
        "MySQL published": "7 s ago (2026-11-28T10:00:00+08:00)",
        "log files": "1 of 2 log files are not read: 'a.log': it has no link",
        "disk left": "3.0 of 1,024.0 GiB",
        "table services": "compaction of chat_message under way for 1 min 30 s",
    }


def test_what_gave_no_answer_says_why_and_the_total_has_a_name() -> None:
    now = Overview(
        None, None, Figures(None, None), "", Disk(0, 2**30), [], {"lag": "Kafka is away"}
    )
    component = Component("kafka", "running", 7, 9092, 512, "4.1.0")
    text = render("running", [component, component], {"hdfs": None}, now)
    assert "lake behind topic   not known: Kafka is away" in text
    assert "MySQL published     nothing yet" in text
    assert "log files           all are read" in text
    assert "table services      none under way" in text
    assert "total memory                                      1024" in text
