"""Whether a run's process lives, asked of real processes and of an instance of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster._core.events import DagsterEvent
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG

from qimo_assets.instance.launcher import (
    CLOCK_SLACK_SECONDS,
    INTERRUPTED_TAG,
    LocalRunLauncher,
)
from qimo_assets.settings import LOOPBACK, PROJECT_ROOT
from qimo_assets.timeouts import KILL_AFTER_SECONDS
from qimo_assets_tests.conftest import wait_for

JOB = "j"


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def health(instance: dg.DagsterInstance, *starts: tuple[int | None, float]) -> CheckRunHealthResult:
    """Return the health of a run whose events tell these processes as started at these times."""
    launcher = LocalRunLauncher()
    launcher.register_instance(instance)
    assert launcher.supports_check_run_worker_health
    run = dg.DagsterRun(JOB, status=dg.DagsterRunStatus.STARTED)
    for pid, timestamp in starts:
        event = DagsterEvent(dg.DagsterEventType.RUN_START.value, JOB, pid=pid)
        instance.report_dagster_event(event, run.run_id, timestamp=timestamp)
    return launcher.check_run_worker_health(run)


def test_a_living_process_runs(instance: dg.DagsterInstance) -> None:
    assert health(instance, (os.getpid(), time.time())).status is WorkerStatus.RUNNING


def test_an_ended_process_has_failed(instance: dg.DagsterInstance) -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    found = health(instance, (process.pid, time.time()))
    assert found.status is WorkerStatus.FAILED
    assert found.msg == f"Process {process.pid} of the run is gone."


def test_a_process_that_nobody_reaped_has_failed(instance: dg.DagsterInstance) -> None:
    process = subprocess.Popen(["true"])
    deadline = time.monotonic() + 10
    while (
        psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline
    ):
        time.sleep(0.01)
    try:
        assert health(instance, (process.pid, time.time())).status is WorkerStatus.FAILED
    finally:
        process.wait()


@pytest.mark.parametrize(
    ("before", "status"),
    [
        (CLOCK_SLACK_SECONDS + 1, WorkerStatus.FAILED),
        (CLOCK_SLACK_SECONDS - 1, WorkerStatus.RUNNING),
    ],
)
def test_a_process_that_began_after_the_event_is_another_one(
    instance: dg.DagsterInstance, before: float, status: WorkerStatus
) -> None:
    assert health(instance, (os.getpid(), psutil.Process().create_time() - before)).status is status


@pytest.mark.parametrize("starts", [[], [(None, 0.0)]], ids=["no event", "no number"])
def test_without_a_number_nothing_is_known(
    instance: dg.DagsterInstance, starts: list[tuple[None, float]]
) -> None:
    assert health(instance, *starts).status is WorkerStatus.UNKNOWN


@pytest.mark.parametrize(
    ("asked", "lives"),
    [(KILL_AFTER_SECONDS - 5, True), (KILL_AFTER_SECONDS + 1, False)],
    ids=["soon", "late"],
)
def test_a_process_that_does_not_end_is_killed_with_its_children_when_it_is_asked_again(
    instance: dg.DagsterInstance, asked: float, lives: bool
) -> None:
    with subprocess.Popen(["sh", "-c", "sleep 600 & wait"]) as process:
        family = [
            psutil.Process(process.pid),
            *wait_for(lambda: psutil.Process(process.pid).children(), seconds=10),
        ]
        try:
            process.send_signal(signal.SIGSTOP)
            tags = {INTERRUPTED_TAG: str(time.time() - asked)}
            run = dg.DagsterRun(JOB, status=dg.DagsterRunStatus.CANCELING, tags=tags)
            instance.add_run(run)
            instance.report_dagster_event(
                DagsterEvent(dg.DagsterEventType.RUN_START.value, JOB, pid=process.pid), run.run_id
            )
            launcher = LocalRunLauncher()
            launcher.register_instance(instance)
            assert launcher.terminate(run.run_id)
            _, alive = psutil.wait_procs(family, timeout=0.5 if lives else 10)
            assert {member.pid for member in alive if member.status() != psutil.STATUS_ZOMBIE} == (
                {member.pid for member in family} if lives else set()
            )
        finally:
            for member in family:
                with suppress(psutil.NoSuchProcess):
                    member.kill()


def test_a_run_whose_code_server_died_is_interrupted(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        try:
            server = json.dumps({"host": LOOPBACK, "socket": str(tmp_path / "died")})
            run = dg.DagsterRun(
                JOB, status=dg.DagsterRunStatus.STARTED, tags={GRPC_INFO_TAG: server}
            )
            instance.add_run(run)
            instance.report_dagster_event(
                DagsterEvent(dg.DagsterEventType.RUN_START.value, JOB, pid=process.pid), run.run_id
            )
            launcher = LocalRunLauncher()
            launcher.register_instance(instance)
            assert launcher.terminate(run.run_id)
            assert process.wait(10) == -signal.SIGINT
            asked = instance.get_run_by_id(run.run_id)
            assert asked
            assert asked.status is dg.DagsterRunStatus.CANCELING
        finally:
            process.kill()


def test_a_run_that_is_gone_cannot_be_ended(instance: dg.DagsterInstance) -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    run = dg.DagsterRun(JOB, status=dg.DagsterRunStatus.STARTED)
    instance.add_run(run)
    instance.report_dagster_event(
        DagsterEvent(dg.DagsterEventType.RUN_START.value, JOB, pid=process.pid), run.run_id
    )
    launcher = LocalRunLauncher()
    launcher.register_instance(instance)
    assert not launcher.terminate(run.run_id)


def test_the_instance_of_the_project_uses_it() -> None:
    text = (PROJECT_ROOT / "dagster.yaml").read_text()
    assert f"module: {LocalRunLauncher.__module__}\n  class: {LocalRunLauncher.__name__}\n" in text


def test_a_real_run_tells_its_process(instance: dg.DagsterInstance) -> None:
    @dg.job(name=JOB)
    def job() -> None: ...

    launcher = LocalRunLauncher()
    launcher.register_instance(instance)
    run = job.execute_in_process(instance=instance).dagster_run
    assert launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
