"""Keeps the stream running: decides from the run records whether a new live run is due, and whether
one that stands still has to end.

Between ticks nothing is remembered but the stall, which Dagster keeps in the sensor's cursor.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import dagster as dg

from qimo_assets.automation.backoff import failures_in_a_row, pause_seconds
from qimo_assets.instance.runs import UNFINISHED
from qimo_assets.timeouts import STREAM_STALLED_SECONDS


@dataclass(frozen=True)
class PastRun:
    """What matters of one live run, newest first in a sequence.

    Attributes:
        run_id: The run.
        status: Its status.
        ended_at: Seconds since the epoch at which it ended.
        stopped_by: What part of the platform ended it.
        wrote: Whether a failed run had written to the lake before.
    """

    run_id: str
    status: dg.DagsterRunStatus
    ended_at: float | None
    stopped_by: str | None
    wrote: bool = False


@dataclass(frozen=True)
class Decision:
    """Whether to launch, why, and which run has to end first."""

    launch: bool
    reason: str
    end: str | None = None


@dataclass(frozen=True)
class Stall:
    """Since when a live run's progress is what it is.

    Attributes:
        run_id: The run.
        progress: Records of the topic that the lake holds.
        since: Seconds since the epoch.
    """

    run_id: str
    progress: int
    since: float

    @classmethod
    def from_cursor(cls, cursor: str | None) -> Stall | None:
        """Return what the tick before kept."""
        return cls(**json.loads(cursor)) if cursor else None

    def to_cursor(self) -> str:
        """Return what the next tick is to know."""
        return json.dumps(asdict(self))


def observe(before: Stall | None, run_id: str, progress: int, lag: int, now: float) -> Stall:
    """Return since when a run stands still; a run that moved, or for which no line waits, stands
    still from now on.

    Args:
        before: What was observed at the tick before.
        run_id: The live run.
        progress: Records of the topic that the lake holds.
        lag: Records that it does not hold yet.
        now: Seconds since the epoch.
    """
    stands = (
        before is not None and (before.run_id, before.progress) == (run_id, progress) and lag > 0
    )
    return before if before is not None and stands else Stall(run_id, progress, now)


def decide(
    runs: Sequence[PastRun], now: float, *, writing: bool, stall: Stall | None = None
) -> Decision:
    """Decide from the past live runs, newest first, whether to launch one.

    Args:
        runs: The newest live runs; enough of them to count the failures in a row.
        now: Seconds since the epoch.
        writing: Whether anybody holds the writer's lock.
        stall: Since when the started run's progress is what it is, when that is known.
    """
    alive = next((run for run in runs if run.status in UNFINISHED), None)
    if alive is not None:
        return _about_unfinished(alive, now, stall)
    if writing:
        return Decision(
            False, "A bounded catch-up writes the lake; the live stream goes on after it."
        )
    if not runs:
        return Decision(True, "There was no live run yet.")
    last = runs[0]
    if last.status is dg.DagsterRunStatus.CANCELED and not last.stopped_by:
        return Decision(
            False,
            f"Run {last.run_id} was stopped by a person; launch the job chat_stream to "
            "start the stream again.",
        )
    if last.status is dg.DagsterRunStatus.FAILURE:
        return _after_failures(runs, now)
    return Decision(True, f"Run {last.run_id} ended as {last.status.value}.")


def _about_unfinished(run: PastRun, now: float, stall: Stall | None) -> Decision:
    if run.status is dg.DagsterRunStatus.CANCELING:
        return Decision(False, f"Run {run.run_id} is {run.status.value}.", end=run.run_id)
    if (
        run.status is dg.DagsterRunStatus.STARTED
        and stall is not None
        and now - stall.since > STREAM_STALLED_SECONDS
    ):
        return Decision(
            False,
            f"Run {run.run_id} has written nothing for {now - stall.since:.0f} s "
            "although lines wait; it is ended.",
            end=run.run_id,
        )
    return Decision(False, f"Run {run.run_id} is {run.status.value}.")


def _after_failures(runs: Sequence[PastRun], now: float) -> Decision:
    # A run that wrote had worked, for months perhaps: the failures in a row begin with its own.
    # Counted on over five kills within ten minutes, the next run came after 160 s although nothing
    # was wrong with any of them.
    worked = next((place for place, run in enumerate(runs) if run.wrote), len(runs))
    failures = failures_in_a_row([run.status for run in runs[: worked + 1]])
    pause = pause_seconds(failures)
    waited = now - (runs[0].ended_at or 0)
    if waited < pause:
        return Decision(
            False, f"{failures} failure(s) in a row; the next try comes in {pause - waited:.0f} s."
        )
    return Decision(True, f"Run {runs[0].run_id} failed; try {failures + 1}.")
