"""When a compaction is due: after as many commits as always, or after more where it takes long."""

from __future__ import annotations

import pytest

from qimo_assets.lake.cadence import MOST_COMMITS, MOST_LINES, SHARE, Cadence
from qimo_assets.lake.tables import COMPACTED_AFTER, MESSAGE, QUARANTINE


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def after(*compactions: tuple[float, float]) -> Cadence:
    """Return what is known after compactions of the messages, each given by the seconds before it
    and those that it took.
    """
    clock = Clock()
    cadence = Cadence(clock)
    for pause, seconds in compactions:
        clock.now += pause
        began = clock.now
        clock.now += seconds
        cadence.compacted(MESSAGE, began)
    return cadence


def test_at_first_nothing_is_known() -> None:
    assert after().commits(MESSAGE) == after((100, 50)).commits(MESSAGE) == COMPACTED_AFTER


def test_a_quick_compaction_changes_nothing() -> None:
    assert after((100, 2), (98, 2)).commits(MESSAGE) == COMPACTED_AFTER


def test_a_slow_one_has_its_share_of_the_time() -> None:
    # A commit each five seconds, and 60 seconds of compaction.
    cadence = after((100, 40), (60, 60))
    assert cadence.commits(MESSAGE) * 5 == 60 / SHARE
    assert cadence.commits(QUARANTINE) == COMPACTED_AFTER


def test_the_pace_of_more_commits_is_known_as_well() -> None:
    cadence = after((100, 40), (60, 60), (180, 60))
    assert cadence.commits(MESSAGE) * 5 == 60 / SHARE


@pytest.mark.parametrize(
    ("compactions", "commits"),
    [([(100, 40), (60, 60), (180, 2)], COMPACTED_AFTER), ([(100, 40), (60, 9_999)], MOST_COMMITS)],
)
def test_it_stays_within_bounds(compactions: list[tuple[float, float]], commits: int) -> None:
    assert after(*compactions).commits(MESSAGE) == commits


def test_large_commits_are_compacted_as_soon_as_ever() -> None:
    cadence = after((100, 40), (60, 60))
    cadence.committing(MESSAGE, MOST_LINES // 30)
    assert cadence.commits(MESSAGE) == 30
    cadence.committing(MESSAGE, MOST_LINES)
    assert cadence.commits(MESSAGE) == COMPACTED_AFTER
