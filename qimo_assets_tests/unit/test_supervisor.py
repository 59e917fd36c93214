"""The supervising decision: every state in which the past live runs may be, and when the next one
is due.
"""

from __future__ import annotations

from dataclasses import replace

import dagster as dg
import pytest

from qimo_assets.automation.backoff import FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS
from qimo_assets.instance.runs import UNFINISHED
from qimo_assets.lake.supervisor import (
    PastRun,
    Stall,
    decide,
    observe,
)
from qimo_assets.timeouts import STREAM_STALLED_SECONDS

NOW = 1_700_000_000.0
FAILURE, SUCCESS, CANCELED = (
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.CANCELED,
)


def run(
    status: dg.DagsterRunStatus, ended: float | None = 0, by: str | None = None, name: str = "r"
) -> PastRun:
    """Return a run that ended so many seconds ago; None has no end on record."""
    return PastRun(name, status, None if ended is None else NOW - ended, by)


def failures(number: int, ended: float) -> list[PastRun]:
    return [run(FAILURE, ended + 1000 * place) for place in range(number)]


@pytest.mark.parametrize(
    ("runs", "launch", "words"),
    [
        pytest.param([], True, "no live run yet", id="no run"),
        pytest.param([run(SUCCESS)], True, "ended as SUCCESS", id="success"),
        pytest.param(
            [run(CANCELED)], False, "launch the job chat_stream", id="canceled by a person"
        ),
        pytest.param(
            [run(CANCELED, by="")], False, "stopped by a person", id="canceled with an empty tag"
        ),
        pytest.param(
            [run(CANCELED, by="down")], True, "ended as CANCELED", id="canceled by the platform"
        ),
        pytest.param(
            [run(SUCCESS), run(CANCELED)],
            True,
            "ended as SUCCESS",
            id="a person's stop counts until the next run",
        ),
        pytest.param(
            [run(CANCELED), *failures(3, 1)],
            False,
            "stopped by a person",
            id="a person's stop ends the failures",
        ),
        pytest.param(
            [run(CANCELED, by="down"), *failures(3, 1)],
            True,
            "CANCELED",
            id="the platform's stop ends the failures",
        ),
        pytest.param(
            [run(FAILURE, by="down")], False, "1 failure", id="a tag does not excuse a failure"
        ),
    ],
)
def test_the_newest_run_decides(runs: list[PastRun], launch: bool, words: str) -> None:
    decision = decide(runs, NOW, writing=False)
    assert decision.launch is launch
    assert words in decision.reason


@pytest.mark.parametrize("status", UNFINISHED, ids=lambda status: status.value)
@pytest.mark.parametrize(
    "newer",
    [[], [run(SUCCESS)], [run(CANCELED)], failures(2, 1)],
    ids=["newest", "after success", "after a stop", "after failures"],
)
def test_nothing_is_launched_beside_an_unfinished_run(
    status: dg.DagsterRunStatus, newer: list[PastRun]
) -> None:
    decision = decide([*newer, run(status, None, name="alive")], NOW, writing=True)
    assert not decision.launch
    assert decision.reason == f"Run alive is {status.value}."
    # One that was asked to end is asked again, so that it is killed when it hangs.
    assert decision.end == ("alive" if status is dg.DagsterRunStatus.CANCELING else None)


def stream(seconds: int, progress: list[int], lag: int = 1, name: str = "r") -> Stall:
    """Return what a minute's ticks observe of a run that shows this progress, one after
    the other.
    """
    seen = None
    for place, number in enumerate(progress):
        cursor = seen and seen.to_cursor()
        seen = observe(Stall.from_cursor(cursor), name, number, lag, NOW + place * seconds)
    assert seen is not None
    return seen


@pytest.mark.parametrize(
    ("progress", "lag", "since"),
    [
        pytest.param([7, 7, 7], 5, 0, id="stands still"),
        pytest.param([7, 8, 9], 5, 120, id="moves"),
        pytest.param([7, 8, 8], 5, 60, id="stopped moving"),
        pytest.param([7, 7, 7], 0, 120, id="nothing to do"),
    ],
)
def test_a_stall_lasts_while_nothing_moves_and_lines_wait(
    progress: list[int], lag: int, since: int
) -> None:
    assert stream(60, progress, lag).since == NOW + since


def test_another_run_stands_still_from_its_own_beginning() -> None:
    assert observe(Stall("old", 7, NOW - 1000), "new", 7, 5, NOW).since == NOW


def test_a_run_that_stands_still_for_too_long_is_ended_and_the_next_one_launched() -> None:
    started = [run(dg.DagsterRunStatus.STARTED, None)]
    still = Stall("r", 7, NOW)
    assert decide(started, NOW + STREAM_STALLED_SECONDS, writing=True, stall=still).end is None
    decision = decide(started, NOW + STREAM_STALLED_SECONDS + 1, writing=True, stall=still)
    assert (decision.end, decision.launch) == ("r", False)
    assert "although lines wait" in decision.reason
    assert decide([run(CANCELED, by="supervisor")], NOW, writing=False).launch


def test_each_status_is_either_finished_or_unfinished() -> None:
    assert set(UNFINISHED) | {FAILURE, SUCCESS, CANCELED} == set(dg.DagsterRunStatus)


@pytest.mark.parametrize(
    "runs",
    [[], [run(SUCCESS)], [run(CANCELED, by="down")], failures(1, 1000)],
    ids=["no run", "success", "canceled by the platform", "failed long ago"],
)
def test_a_catch_up_goes_first(runs: list[PastRun]) -> None:
    assert decide(runs, NOW, writing=False).launch
    decision = decide(runs, NOW, writing=True)
    assert not decision.launch
    assert "catch-up" in decision.reason


@pytest.mark.parametrize(
    ("number", "pause"),
    [(1, 10), (2, 20), (3, 40), (4, 80), (5, 160), (6, 300), (7, 300), (25, 300)],
)
def test_the_pause_grows_with_the_failures_in_a_row(number: int, pause: int) -> None:
    early = decide([*failures(number, pause - 1), run(SUCCESS), run(FAILURE)], NOW, writing=False)
    assert not early.launch
    assert early.reason == f"{number} failure(s) in a row; the next try comes in 1 s."
    due = decide([*failures(number, pause), run(SUCCESS), run(FAILURE)], NOW, writing=False)
    assert due.launch
    assert due.reason == f"Run r failed; try {number + 1}."


@pytest.mark.parametrize(("worked", "pause"), [(0, 10), (1, 20), (3, 80)])
def test_failures_before_a_run_that_wrote_do_not_count(worked: int, pause: int) -> None:
    runs = [
        replace(past, wrote=place == worked) for place, past in enumerate(failures(9, pause - 1))
    ]
    decision = decide(runs, NOW, writing=False)
    assert (decision.launch, decision.reason) == (
        False,
        f"{worked + 1} failure(s) in a row; the next try comes in 1 s.",
    )


def test_the_pause_is_counted_from_the_last_end() -> None:
    just_failed, hours_ago = run(FAILURE, 1), run(FAILURE, 7200)
    assert not decide([just_failed, hours_ago], NOW, writing=False).launch
    assert (FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS) == (10, 300)


def test_a_failure_without_an_end_on_record_waits_for_nothing() -> None:
    assert decide([run(FAILURE, None)], NOW, writing=False).launch
