"""What is remembered of all messages: when the digest serves, what is read beside it, and when all
messages are read again.
"""

from __future__ import annotations

import pytest

from qimo_assets.metrics.remembered import MOST_CHANGED, Commits, Digest, Memory, commits_until
from qimo_assets_tests.hiveserver import FakeSession, delta_commit

FIRST, LAST = "2026-10-01", "2026-10-31"
WITH_SLACK = "2026-09-24"
OLD, NEW = "20261030120000000", "20261030120005000"


class Server(FakeSession):
    """A server that remembers the accounts of a lake."""

    def __init__(self) -> None:
        super().__init__([])
        self.memory = Memory("lake", "sender_account")

    def recall(self, commits: Commits, first: str = FIRST) -> str:
        """Return the statement of the view that a run reads."""
        self.memory.recall(self, first, LAST, commits)
        return self.said("CREATE OR REPLACE TEMPORARY VIEW")[-1].rstrip()

    @property
    def cached(self) -> list[str]:
        """The digests that were ever made."""
        return [
            statement.split()[2].removeprefix("global_temp.")
            for statement in self.said("CACHE TABLE")
        ]


@pytest.fixture
def server() -> Server:
    return Server()


def test_at_first_all_messages_are_read_for_a_digest(server: Server) -> None:
    recalled = server.recall({OLD: {LAST}})
    [digest] = server.cached
    assert (
        f"SELECT DISTINCT day, sender_account FROM lake.v_message WHERE day >= '{WITH_SLACK}'\n"
        in server.kept[digest]
    )
    first_days = "SELECT CAST(min(CAST(day AS DATE)) AS STRING) AS day, sender_account"
    assert (
        f"{first_days} FROM lake.v_message WHERE day < '{WITH_SLACK}' GROUP BY sender_account"
        in server.kept[digest]
    )
    assert recalled.endswith(f"SELECT day, sender_account FROM global_temp.{digest}")


def test_later_only_the_days_of_later_commits_are_read(server: Server) -> None:
    server.recall({OLD: {LAST}})
    recalled = server.recall({OLD: {LAST}, NEW: {"2026-10-30", LAST}})
    assert len(server.cached) == 1
    assert recalled.endswith(
        "SELECT day, sender_account FROM lake.v_message WHERE day IN ('2026-10-30', '2026-10-31')"
    )


def test_days_that_changed_are_known_when_their_commits_have_left_the_timeline(
    server: Server,
) -> None:
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
    server.memory.forget(server)
    server.recall({OLD: {LAST}})
    assert len(server.cached) == 2


def test_a_window_of_the_past_is_read_from_the_messages_and_leaves_the_digest(
    server: Server,
) -> None:
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


def test_commits_are_those_of_messages_up_to_what_was_asked_for_before_reading(
    server: Server,
) -> None:
    later = "20261030120009000"
    server.timeline = [
        delta_commit(later, "2026-10-31"),
        {**delta_commit(NEW, "2026-10-01"), "action": "commit"},
        delta_commit(OLD, "2026-10-30"),
        delta_commit(OLD, "2026-10-29"),
    ]
    assert commits_until(server, "lake", NEW) == {OLD: {"2026-10-29", "2026-10-30"}}
