"""Dagster's own launcher, with an answer to whether a run's process still lives, and an end for one
that does not end by itself.

The default launcher has neither. A run that dies together with its code server, as at a power cut,
would be STARTED for ever, the stream never launched again and its metrics never due; with this one
Dagster's run monitoring marks such a run as failed. And a run whose process hangs, or whose code
server died without it, would be marked as canceled while the process lives on and keeps the
writer's lock.
"""

from __future__ import annotations

import signal
import time
from contextlib import suppress

import dagster as dg
import psutil
from dagster._core.errors import DagsterUserCodeProcessError, DagsterUserCodeUnreachableError
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus

from qimo_assets.timeouts import KILL_AFTER_SECONDS

# When the launcher interrupted the run's process, in seconds since the epoch.
INTERRUPTED_TAG = "qimo/interrupted_at"
# A process that began later than its run's first event is another one with the same number.
CLOCK_SLACK_SECONDS = 2.0


class LocalRunLauncher(dg.DefaultRunLauncher):
    """Launches runs on the code server of this machine and watches their processes."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Dagster asks this before it asks for the health of a run."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Return whether the process of a started run lives; its number stands in the
        run's events.
        """
        pid, process = self._process(run.run_id)
        if pid is None:
            return CheckRunHealthResult(WorkerStatus.UNKNOWN, "No event tells the run's process.")
        if process is not None:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, f"Process {pid} of the run is gone.")

    def terminate(self, run_id: str) -> bool:
        """Ask a run to end: interrupt its process once; asked again when it did not end in its
        time, kill it with those that it started.
        """
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        # Not the status: over its max_runtime Dagster calls a run CANCELING before it comes here.
        asked_at = run.tags.get(INTERRUPTED_TAG)
        if asked_at is None:
            sent = self._ask_code_server(run_id) or self._interrupt(run_id)
            if sent:
                self._instance.add_run_tags(run_id, {INTERRUPTED_TAG: f"{time.time():.0f}"})
            return sent
        if time.time() - float(asked_at) < KILL_AFTER_SECONDS:
            return True
        process = self.process_of(run_id)
        if process is None:
            return False
        self._instance.report_engine_event(
            f"Process {process.pid} did not end within {KILL_AFTER_SECONDS} s and is killed.", run
        )
        kill(process)
        return True

    def process_of(self, run_id: str) -> psutil.Process | None:
        """Return the process of a run while it lives and an event tells it."""
        return self._process(run_id)[1]

    def _ask_code_server(self, run_id: str) -> bool:
        """Have the code server that launched the run interrupt it; one that died since is not
        there, and its successor does not know the run.
        """
        try:
            return super().terminate(run_id)
        except (DagsterUserCodeUnreachableError, DagsterUserCodeProcessError):
            return False

    def _interrupt(self, run_id: str) -> bool:
        """Interrupt a run's process as its code server does."""
        _, process = self._process(run_id)
        if process is None:
            return False
        process.send_signal(signal.SIGINT)
        return True

    def _process(self, run_id: str) -> tuple[int | None, psutil.Process | None]:
        """Return the number of a run's process, where an event tells it, and the process itself
        while it lives.
        """
        events = self._instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_START)
        started = next(
            (entry for entry in events if entry.dagster_event and entry.dagster_event.pid), None
        )
        if started is None or started.dagster_event is None:
            return None, None
        pid = int(started.dagster_event.pid or 0)
        return pid, _living(pid, started.timestamp)


def kill(process: psutil.Process) -> None:
    """Kill a run's process and those that it started: Java's would live on, stopped or not."""
    for member in [process, *process.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            member.kill()


def _living(pid: int, began_before: float) -> psutil.Process | None:
    try:
        process = psutil.Process(pid)
        lives = (
            process.create_time() <= began_before + CLOCK_SLACK_SECONDS
            and process.status() != psutil.STATUS_ZOMBIE
        )
    except psutil.NoSuchProcess:
        return None
    return process if lives else None
