"""When the share of rejected lines counts as rising."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from qimo_assets.lake.quarantine import compare_days, read_days

TODAY = "2024-05-08"
# 1 % of 10,000 lines.
BEFORE = {"2024-05-06": (4_000, 10), "2024-05-07": (6_000, 90)}


@pytest.mark.parametrize(
    ("today", "is_rising"),
    [
        ((0, 0), False),
        ((5_000, 50), False),
        ((5_000, 110), False),
        ((5_000, 111), True),
        # A few lines are no rise, even where they are all that came.
        ((10, 10), False),
        ((20, 11), True),
    ],
)
def test_a_rise_is_more_than_twice_the_share_before(
    today: tuple[int, int], is_rising: bool
) -> None:
    rise = compare_days(BEFORE | {TODAY: today}, TODAY)
    assert (rise.lines, rise.rejected, rise.share_before, rise.is_rising) == (
        *today,
        0.01,
        is_rising,
    )


def test_later_days_are_not_looked_at() -> None:
    assert compare_days({TODAY: (5, 1), "2024-05-09": (9, 9)}, TODAY).share_before is None


@pytest.mark.parametrize("days", [{}, {TODAY: (100, 100)}], ids=["no line", "the first day"])
def test_without_a_day_before_nothing_rises(days: dict[str, tuple[int, int]]) -> None:
    assert not compare_days(days, TODAY).is_rising


def test_where_nothing_was_rejected_before_a_few_lines_are_let_pass() -> None:
    assert [
        compare_days({"2024-05-07": (1_000, 0), TODAY: (1_000, bad)}, TODAY).is_rising
        for bad in (10, 11)
    ] == [False, True]


class Session:
    """Answers the list of tables, and one row for every other query."""

    def __init__(self, *tables: str) -> None:
        self.tables = tables
        self.asked: list[tuple[str, Any]] = []

    def query(self, sql: str, params: Any = None) -> list[dict[str, Any]]:
        self.asked.append((sql, params))
        return (
            [{"tableName": name} for name in self.tables]
            if sql.startswith("SHOW")
            else [{"day": TODAY, "lines": 5, "rejected": 1}]
        )


def test_the_days_are_read_with_their_bounds() -> None:
    session = Session("chat_message_rt", "chat_quarantine_rt")
    assert read_days(session, "lake", date(2024, 5, 8)) == {TODAY: (5, 1)}  # pyright: ignore[reportArgumentType]  # what is used of a session
    sql, params = session.asked[1]
    assert "FROM lake.chat_message_rt" in sql
    assert params == {"since": "2024-05-01", "oldest": "2024-04-24"}


@pytest.mark.parametrize("tables", [(), ("chat_message_rt",), ("chat_quarantine_rt",)])
def test_while_a_table_is_to_come_there_are_no_days(tables: tuple[str, ...]) -> None:
    assert read_days(Session(*tables), "lake", date(2024, 5, 8)) == {}  # pyright: ignore[reportArgumentType]  # what is used of a session
