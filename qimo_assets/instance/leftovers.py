"""Ends the processes of runs that are over.

Dagster forgets a run once it is finished, whoever finished it: over its `dagster/max_runtime` a run
is failed at the moment that its process is asked to end, after its cancel time-out or by force it
is canceled whatever its process does. A process that hangs then lives on, with its memory and its
connections. The code server, from which the runs descend, looks for such processes itself.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

import dagster as dg
import psutil

from qimo_assets.instance.code_server import is_living_worker
from qimo_assets.instance.launcher import INTERRUPTED_TAG, LocalRunLauncher, kill
from qimo_assets.timeouts import KILL_AFTER_SECONDS, LEFTOVER_SECONDS

logger = logging.getLogger("qimo.leftovers")

FINISHED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
# A run that is over for longer was looked at many times.
LOOKED_BACK = timedelta(hours=6)
MAX_RUNS = 500
# How Python's fork server, by which the code server starts a run, names itself and what it forks.
FORKED = "multiprocessing.forkserver"


@dataclass
class Leftovers:
    """Looks for processes of finished runs, interrupts each once, and kills what stays.

    Attributes:
        instance: Dagster's instance.
        candidates: Returns the processes of this machine that may be a run's.
        clock: Seconds since the epoch.
        interrupted: Processes that were interrupted here.
    """

    instance: dg.DagsterInstance
    candidates: Callable[[], set[int]]
    clock: Callable[[], float] = time.time
    interrupted: set[int] = field(default_factory=set)

    def sweep(self) -> list[str]:
        """Look once; return what was done, a line each."""
        launcher = self.instance.run_launcher
        if not isinstance(launcher, LocalRunLauncher):
            return []
        candidates = self.candidates()
        self.interrupted &= candidates
        done: list[str] = []
        # Nearly always there is nothing left here, and no finished run has to be asked.
        suspects = candidates - set(self._pids(launcher, self._unfinished())) if candidates else ()
        if not suspects:
            return done
        for record in self._finished():
            process = launcher.process_of(record.dagster_run.run_id)
            if process is not None and process.pid in suspects:
                done += self._end(record, process)
        return done

    def _end(self, record: dg.RunRecord, process: psutil.Process) -> list[str]:
        run, now = record.dagster_run, self.clock()
        over = now - (record.end_time or now)
        asked_at = float(run.tags.get(INTERRUPTED_TAG, record.end_time or now))
        # The end of a run is reported some seconds before its process ends.
        if over < LEFTOVER_SECONDS:
            return []
        if now - asked_at >= KILL_AFTER_SECONDS:
            return [self._tell(run, process, "is killed", kill)]
        # A second interrupt would break off what the first one lets end.
        if INTERRUPTED_TAG in run.tags or process.pid in self.interrupted:
            return []
        self.interrupted.add(process.pid)
        return [self._tell(run, process, "is interrupted", _interrupt)]

    def _tell(
        self,
        run: dg.DagsterRun,
        process: psutil.Process,
        what: str,
        act: Callable[[psutil.Process], object],
    ) -> str:
        said = f"The run is over ({run.status.value}), its process {process.pid} is not and {what}."
        self.instance.report_engine_event(said, run)
        act(process)
        return f"{run.run_id}: {said}"

    def _unfinished(self) -> list[dg.DagsterRun]:
        statuses = [status for status in dg.DagsterRunStatus if status not in FINISHED]
        return list(self.instance.get_runs(dg.RunsFilter(statuses=statuses), limit=MAX_RUNS))

    def _finished(self) -> list[dg.RunRecord]:
        since = datetime.fromtimestamp(self.clock(), timezone.utc) - LOOKED_BACK
        filters = dg.RunsFilter(statuses=list(FINISHED), updated_after=since)
        return list(self.instance.get_run_records(filters, limit=MAX_RUNS))

    def _pids(self, launcher: LocalRunLauncher, runs: list[dg.DagsterRun]) -> Iterator[int]:
        for run in runs:
            if (process := launcher.process_of(run.run_id)) is not None:
                yield process.pid


def _interrupt(process: psutil.Process) -> None:
    process.send_signal(signal.SIGINT)


def is_of_a_run(process: psutil.Process) -> bool:
    """Return whether a living process was started for a run."""
    try:
        # First what most processes of the machine are not: the rest reads all of them.
        if not _is_forked(process) or process.status() == psutil.STATUS_ZOMBIE:
            return False
        # The fork server itself is a child of the worker, and of nobody once that is gone.
        parent = process.parent()
        is_fork_server = (parent is not None and is_living_worker(parent)) or any(
            _is_forked(child) for child in process.children()
        )
        return not is_fork_server
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _is_forked(process: psutil.Process) -> bool:
    return FORKED in " ".join(process.cmdline())


def run_processes() -> set[int]:
    """Return the processes that were started as runs of this Dagster home, and not just now."""
    home, young = os.environ.get("DAGSTER_HOME"), time.time() - LEFTOVER_SECONDS
    found: set[int] = set()
    for process in psutil.process_iter():
        try:
            if (
                is_of_a_run(process)
                and process.environ().get("DAGSTER_HOME") == home
                and process.create_time() < young
            ):
                found.add(process.pid)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def sweep_for_ever(instance: dg.DagsterInstance, sleep: Callable[[float], None]) -> None:
    """Sweep again and again; a storage that is away is asked again."""
    leftovers = Leftovers(instance, run_processes)
    while True:
        sleep(LEFTOVER_SECONDS)
        try:
            for line in leftovers.sweep():
                logger.warning(line)
        except Exception:
            logger.exception("The processes of runs that are over could not be looked for")
