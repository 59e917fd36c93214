"""Keeps the stream running: decides from the run records whether a new live run is due. Nothing is remembered between ticks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg

# Set on a run before `./qimo down` ends it, so that a stop by the platform is not taken for one by a person.
STOPPED_BY_TAG = "qimo/stopped_by"
# Dagster's own list of unfinished statuses leaves QUEUED and NOT_STARTED out; a second run would be launched beside a queued one.
UNFINISHED = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.MANAGED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.SUSPENDED,
    dg.DagsterRunStatus.CANCELING,
)
FIRST_PAUSE_SECONDS = 10
LONGEST_PAUSE_SECONDS = 300


@dataclass(frozen=True)
class PastRun:
    """What matters of one live run, newest first in a sequence."""

    run_id: str
    status: dg.DagsterRunStatus
    ended_at: float | None
    stopped_by: str | None


@dataclass(frozen=True)
class Decision:
    """Whether to launch, and why."""

    launch: bool
    reason: str


def decide(runs: Sequence[PastRun], now: float, *, writing: bool) -> Decision:
    """Decide from the past live runs, newest first, whether to launch one.

    Args:
        runs: The newest live runs; enough of them to count the failures in a row.
        now: Seconds since the epoch.
        writing: Whether anybody holds the writer's lock.
    """
    alive = next((run for run in runs if run.status in UNFINISHED), None)
    if alive is not None:
        return Decision(False, f"Run {alive.run_id} is {alive.status.value}.")
    if writing:
        return Decision(False, "A bounded catch-up writes the lake; the live stream goes on after it.")
    if not runs:
        return Decision(True, "There was no live run yet.")
    last = runs[0]
    if last.status is dg.DagsterRunStatus.CANCELED and not last.stopped_by:
        return Decision(False, f"Run {last.run_id} was stopped by a person; launch the job chat_stream to start the stream again.")
    if last.status is dg.DagsterRunStatus.FAILURE:
        return _after_failures(runs, now)
    return Decision(True, f"Run {last.run_id} ended as {last.status.value}.")


def _after_failures(runs: Sequence[PastRun], now: float) -> Decision:
    failures = next((place for place, run in enumerate(runs) if run.status is not dg.DagsterRunStatus.FAILURE), len(runs))
    pause = min(FIRST_PAUSE_SECONDS * 2 ** (failures - 1), LONGEST_PAUSE_SECONDS)
    waited = now - (runs[0].ended_at or 0)
    if waited < pause:
        return Decision(False, f"{failures} failure(s) in a row; the next try comes in {pause - waited:.0f} s.")
    return Decision(True, f"Run {runs[0].run_id} failed; try {failures + 1}.")
