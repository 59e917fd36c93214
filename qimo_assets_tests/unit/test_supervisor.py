"""When the supervisor launches the live stream, and when it leaves it alone."""

from __future__ import annotations

import dagster as dg
import pytest

from qimo_assets.lake.supervisor import UNFINISHED, PastRun, decide

Status = dg.DagsterRunStatus
NOW = 1_000_000.0


def past(status: dg.DagsterRunStatus, ended: float | None = None, stopped_by: str | None = None) -> PastRun:
    """Return a past run that ended `ended` seconds ago."""
    return PastRun(f"run-{status.value}", status, None if ended is None else NOW - ended, stopped_by)


def launches(*runs: PastRun, writing: bool = False) -> bool:
    """Return whether the past runs, newest first, let one be launched now."""
    return decide(runs, NOW, writing=writing).launch


def test_the_first_run_is_launched() -> None:
    assert launches()


@pytest.mark.parametrize("status", UNFINISHED)
def test_never_beside_an_unfinished_run(status: dg.DagsterRunStatus) -> None:
    assert not launches(past(status))
    assert not launches(past(Status.FAILURE, ended=9_999), past(status))


def test_never_beside_a_catch_up() -> None:
    assert not launches(writing=True)
    assert not launches(past(Status.SUCCESS, ended=9_999), writing=True)


def test_stopped_by_a_person_it_stays_stopped() -> None:
    stopped = past(Status.CANCELED, ended=9_999)
    assert not launches(stopped)
    assert "person" in decide([stopped], NOW, writing=False).reason


def test_stopped_by_the_platform_it_is_launched_again() -> None:
    assert launches(past(Status.CANCELED, ended=1, stopped_by="down"))


def test_ended_by_itself_it_is_launched_again() -> None:
    assert launches(past(Status.SUCCESS, ended=1))


@pytest.mark.parametrize(("failures", "pause"), [(1, 10), (2, 20), (3, 40), (5, 160), (6, 300), (20, 300)])
def test_after_failures_the_pauses_grow(failures: int, pause: float) -> None:
    older = [past(Status.SUCCESS, ended=99_999), *[past(Status.FAILURE, ended=99_999)] * 3]
    for waited, launched in ((pause - 1, False), (pause, True)):
        runs = [past(Status.FAILURE, ended=waited)] * failures + older
        assert launches(*runs) is launched, (failures, waited)
