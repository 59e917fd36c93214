"""Dagster's own launcher, with an answer to whether a run's process still lives.

The default launcher has none: a run that dies together with its code server, as at a power cut, would be STARTED for ever, the stream
never launched again and its metrics never due. With this one Dagster's run monitoring marks such a run as failed.
"""

from __future__ import annotations

import dagster as dg
import psutil
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus

# A process that began later than its run's first event is another one with the same number.
CLOCK_SLACK_SECONDS = 2.0


class LocalRunLauncher(dg.DefaultRunLauncher):
    """Launches runs on the code server of this machine and watches their processes."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Dagster asks this before it asks for the health of a run."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Return whether the process of a started run lives; its number stands in the run's events."""
        events = self._instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_START)
        started = next((entry for entry in events if entry.dagster_event and entry.dagster_event.pid), None)
        if started is None or started.dagster_event is None:
            return CheckRunHealthResult(WorkerStatus.UNKNOWN, "No event tells the run's process.")
        pid = int(started.dagster_event.pid or 0)
        if _lives(pid, started.timestamp):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, f"Process {pid} of the run is gone.")


def _lives(pid: int, began_before: float) -> bool:
    try:
        process = psutil.Process(pid)
        return process.create_time() <= began_before + CLOCK_SLACK_SECONDS and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
