"""What is remembered of all messages: when the digest serves, what is read beside it, and when all messages are read again."""

from __future__ import annotations

import re
from typing import Any

import pytest

from qimo_assets.metrics.remembered import MOST_CHANGED, Commits, Digest, Memory, commits_until

FIRST, LAST = "2026-10-01", "2026-10-31"
WITH_SLACK = "2026-09-24"
OLD, NEW = "20261030120000000", "20261030120005000"


class Server:
    """Keeps the global views, the last view of the session, and which statements cached something."""

    def __init__(self) -> None:
        self.views: dict[str, str] = {}
        self.cached: list[str] = []
        self.recalled = ""
        self.timeline: list[dict[str, Any]] = []

    def execute(self, sql: str) -> None:
        created = re.match(r"CREATE (?:OR REPLACE )?(GLOBAL )?TEMPORARY VIEW (\w+) AS", sql)
        if created and created[1]:
            self.views[created[2]] = sql
        elif created:
            self.recalled = sql
        elif sql.startswith("CACHE TABLE global_temp."):
            self.cached.append(sql.split()[2].removeprefix("global_temp."))
        elif sql.startswith("DROP VIEW IF EXISTS global_temp."):
            self.views.pop(sql.rpartition(".")[2], None)

    def query(self, sql: str) -> list[dict[str, Any]]:
        if sql.startswith("CALL"):
            return self.timeline
        if sql.startswith("SHOW VIEWS"):
            pattern = re.compile(sql.split("'")[1].replace("*", ".*"))
            return [{"viewName": name} for name in self.views if pattern.fullmatch(name)]
        return [{name: value for value, name in re.findall(r"'([^']*)' AS `(\w+)`", self.views[sql.rpartition(".")[2]])}]

    def recall(self, commits: Commits, first: str = FIRST) -> str:
        Memory("lake", "sender_account").recall(self, first, LAST, commits)  # pyright: ignore[reportArgumentType]  # the part of a session that is used
        return self.recalled.rstrip()

    def forget(self) -> None:
        Memory("lake", "sender_account").forget(self)  # pyright: ignore[reportArgumentType]  # the part of a session that is used


@pytest.fixture
def server() -> Server:
    return Server()


def test_at_first_all_messages_are_read_for_a_digest(server: Server) -> None:
    recalled = server.recall({OLD: {LAST}})
    [digest] = server.cached
    assert f"SELECT DISTINCT day, sender_account FROM lake.v_message WHERE day >= '{WITH_SLACK}'\n" in server.views[digest]
    first_days = "SELECT CAST(min(CAST(day AS DATE)) AS STRING) AS day, sender_account"
    assert f"{first_days} FROM lake.v_message WHERE day < '{WITH_SLACK}' GROUP BY sender_account" in server.views[digest]
    assert recalled.endswith(f"SELECT day, sender_account FROM global_temp.{digest}")


def test_later_only_the_days_of_later_commits_are_read(server: Server) -> None:
    server.recall({OLD: {LAST}})
    recalled = server.recall({OLD: {LAST}, NEW: {"2026-10-30", LAST}})
    assert len(server.cached) == 1
    assert recalled.endswith("SELECT day, sender_account FROM lake.v_message WHERE day IN ('2026-10-30', '2026-10-31')")


def test_days_that_changed_are_known_when_their_commits_have_left_the_timeline(server: Server) -> None:
    server.recall({OLD: {LAST}})
    server.recall({OLD: {LAST}, NEW: {"2026-10-30"}})
    recalled = server.recall({NEW: {"2026-10-30"}})
    assert len(server.cached) == 1
    assert recalled.endswith("WHERE day IN ('2026-10-30')")


def test_where_the_timeline_does_not_reach_back_all_is_read_again(server: Server) -> None:
    server.recall({OLD: {LAST}})
    recalled = server.recall({NEW: {LAST}})
    assert len(server.cached) == 2
    assert recalled.endswith(server.cached[-1])


def test_of_a_lake_without_a_commit_nothing_is_remembered_for_the_next_run(server: Server) -> None:
    server.recall({})
    server.recall({OLD: {LAST}})
    assert len(server.cached) == 2


def test_after_an_error_all_is_read_again(server: Server) -> None:
    server.recall({OLD: {LAST}})
    server.forget()
    server.recall({OLD: {LAST}})
    assert len(server.cached) == 2


def test_a_window_of_the_past_is_read_from_the_messages_and_leaves_the_digest(server: Server) -> None:
    server.recall({OLD: {LAST}})
    recalled = server.recall({OLD: {LAST}}, first="2026-09-01")
    assert f"FROM lake.v_message WHERE day >= '2026-09-01' AND day <= '{LAST}'" in recalled
    assert server.recall({OLD: {LAST}}).endswith(server.cached[0])
    assert len(server.cached) == 1


def test_a_digest_serves_late_days_and_those_to_come_for_a_while() -> None:
    digest, commits = Digest("digest", WITH_SLACK, OLD), {OLD: {LAST}}
    assert digest.serves(WITH_SLACK, commits)
    assert digest.serves("2026-10-25", commits)
    assert not digest.serves("2026-10-26", commits)


def test_a_digest_with_many_changed_days_serves_no_more() -> None:
    days = {f"2026-10-{day:02}" for day in range(1, MOST_CHANGED + 1)}
    digest = Digest("digest", WITH_SLACK, OLD)
    assert digest.serves(FIRST, {OLD: set(), NEW: days})
    assert not digest.serves(FIRST, {OLD: set(), NEW: days | {LAST}})


def test_commits_are_those_of_messages_up_to_what_was_asked_for_before_reading(server: Server) -> None:
    later = "20261030120009000"
    server.timeline = [
        {"commit_time": later, "action": "deltacommit", "partition": "day=2026-10-31"},
        {"commit_time": NEW, "action": "commit", "partition": "day=2026-10-01"},
        {"commit_time": OLD, "action": "deltacommit", "partition": "day=2026-10-30"},
        {"commit_time": OLD, "action": "deltacommit", "partition": "day=2026-10-29"},
    ]
    assert commits_until(server, "lake", NEW) == {OLD: {"2026-10-29", "2026-10-30"}}  # pyright: ignore[reportArgumentType]  # the part that is used
