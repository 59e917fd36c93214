"""A tick waits a moment for the end of a run under way. A day is not asked for while its run goes
on; what came meanwhile is then asked for at once, and not at the next tick.
"""

from __future__ import annotations

import time

import dagster as dg

# The daemon evaluates all sensors one after the other, each five seconds; an evaluation takes up to
# a second of these.
WAIT_SECONDS = 3.5
POLL_SECONDS = 0.2


def await_end(instance: dg.DagsterInstance, job: str) -> None:
    """Wait until one of the runs of a job that are under way has ended, but not for long.

    Args:
        instance: Knows the runs.
        job: Name of the job.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    first = _under_way(instance, job)
    while first and first <= _under_way(instance, job) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def _under_way(instance: dg.DagsterInstance, job: str) -> set[str]:
    started = dg.RunsFilter(job_name=job, statuses=[dg.DagsterRunStatus.STARTED])
    return set(instance.get_run_ids(started))
