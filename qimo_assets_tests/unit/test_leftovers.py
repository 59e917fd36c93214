"""A run that is over has no process: interrupted once, then killed, whoever finished the run."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

import dagster as dg
import psutil
import pytest
from dagster._core.events import DagsterEvent
from dagster._core.test_utils import instance_for_test
from dagster._daemon.monitoring.run_monitoring import check_run_timeout

from qimo_assets.instance.launcher import INTERRUPTED_TAG, LocalRunLauncher
from qimo_assets.instance.leftovers import Leftovers
from qimo_assets.timeouts import KILL_AFTER_SECONDS, LEFTOVER_SECONDS

JOB = "j"


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    launcher = {"module": LocalRunLauncher.__module__, "class": LocalRunLauncher.__name__}
    with instance_for_test(overrides={"run_launcher": launcher}) as instance:
        yield instance


@pytest.fixture
def process() -> Iterator[psutil.Popen]:
    with psutil.Popen(["sleep", "600"]) as process:
        yield process
        with suppress(psutil.NoSuchProcess):
            process.kill()


def started(instance: dg.DagsterInstance, process: psutil.Popen, **tags: str) -> dg.DagsterRun:
    """Return a run that began in this process."""
    run = dg.DagsterRun(JOB, status=dg.DagsterRunStatus.STARTING, tags=tags)
    instance.add_run(run)
    instance.report_dagster_event(
        DagsterEvent(dg.DagsterEventType.RUN_START.value, JOB, pid=process.pid), run.run_id
    )
    return run


def leftovers(instance: dg.DagsterInstance, process: psutil.Popen, later: float) -> Leftovers:
    """Return one whose clock is so many seconds ahead."""
    return Leftovers(instance, lambda: {process.pid}, lambda: time.time() + later)


def test_a_run_over_its_longest_time_is_interrupted(
    instance: dg.DagsterInstance, process: psutil.Popen
) -> None:
    run = started(instance, process, **{"dagster/max_runtime": "0.001"})
    [record] = instance.get_run_records(dg.RunsFilter(run_ids=[run.run_id]))
    check_run_timeout(instance, record, logging.getLogger(), 0)
    assert process.wait(10) == -signal.SIGINT
    ended = instance.get_run_by_id(run.run_id)
    assert ended
    assert ended.status is dg.DagsterRunStatus.FAILURE


def test_one_that_hangs_is_killed_although_the_run_is_over(
    instance: dg.DagsterInstance, process: psutil.Popen
) -> None:
    process.send_signal(signal.SIGSTOP)
    run = started(instance, process, **{"dagster/max_runtime": "0.001"})
    [record] = instance.get_run_records(dg.RunsFilter(run_ids=[run.run_id]))
    check_run_timeout(instance, record, logging.getLogger(), 0)
    assert leftovers(instance, process, KILL_AFTER_SECONDS - 5).sweep() == []
    assert process.status() == psutil.STATUS_STOPPED
    [done] = leftovers(instance, process, KILL_AFTER_SECONDS + 1).sweep()
    assert f"process {process.pid} is not and is killed" in done
    assert process.wait(10) == -signal.SIGKILL


def test_one_that_nobody_interrupted_is_interrupted_once_and_then_killed(
    instance: dg.DagsterInstance, process: psutil.Popen
) -> None:
    process.send_signal(signal.SIGSTOP)
    run = started(instance, process)
    instance.report_run_canceled(run, "by force")
    found = leftovers(instance, process, LEFTOVER_SECONDS + 1)
    assert "is interrupted" in found.sweep()[0]
    assert found.sweep() == []
    assert leftovers(instance, process, KILL_AFTER_SECONDS + 1).sweep() != []
    assert process.wait(10) == -signal.SIGKILL


def test_the_process_of_a_run_that_just_ended_may_end_by_itself(
    instance: dg.DagsterInstance, process: psutil.Popen
) -> None:
    instance.report_run_failed(started(instance, process))
    assert leftovers(instance, process, 0).sweep() == []
    assert process.is_running()


def test_the_process_of_a_run_under_way_is_left_alone(
    instance: dg.DagsterInstance, process: psutil.Popen
) -> None:
    started(instance, process)
    assert leftovers(instance, process, 3600).sweep() == []
    assert process.is_running()


def test_a_run_that_was_finished_long_ago_is_not_looked_at_again(
    instance: dg.DagsterInstance, process: psutil.Popen
) -> None:
    run = started(instance, process)
    instance.report_run_failed(run)
    day = timedelta(days=1).total_seconds()
    assert leftovers(instance, process, day).sweep() == []
    assert INTERRUPTED_TAG not in (instance.get_run_by_id(run.run_id) or run).tags
