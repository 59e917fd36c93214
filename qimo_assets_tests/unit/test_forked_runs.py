"""Runs are forked from a process that has loaded the definitions: each by itself, with its end its
own.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from qimo_assets.instance.code_server import WORKER
from qimo_assets.instance.leftovers import is_of_a_run
from qimo_assets.settings import PROJECT_ROOT
from qimo_assets_tests.conftest import own_environment, short_directory, wait_for

# As Dagster's server starts a run: it asks for `spawn`.
SERVER = """
import multiprocessing, sys, time
from qimo_assets.instance.forked_runs import fork_runs
fork_runs("loaded_once")
from runs import run
for number in range(2):
    process = multiprocessing.get_context("spawn").Process(target=run, args=[number])
    process.start()
    print(process.pid, flush=True)
time.sleep(600)
"""
RUN = """
import os, sys, time
def run(number):
    found = "loaded_once" in sys.modules
    with open(f"{os.getpid()}.part", "w") as file:
        file.write(f"{number} {found}")
    os.rename(f"{os.getpid()}.part", str(os.getpid()))
    time.sleep(600)
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    (tmp_path / "loaded_once.py").write_text("open('loads', 'a').write('x')")
    (tmp_path / "runs.py").write_text(RUN)
    with (
        short_directory() as directory,
        subprocess.Popen(
            [sys.executable, "-c", SERVER, *WORKER.split()],
            cwd=tmp_path,
            env=own_environment()
            | {"PYTHONPATH": f"{tmp_path}:{PROJECT_ROOT}", "TMPDIR": str(directory)},
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        yield process
        for left in psutil.process_iter(["cwd"]):
            if left.info["cwd"] == str(tmp_path):
                left.kill()


def two_runs(server: subprocess.Popen[str]) -> list[psutil.Process]:
    assert server.stdout
    return [psutil.Process(int(server.stdout.readline())) for _ in range(2)]


def is_alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_runs_find_loaded_what_was_loaded_once(
    server: subprocess.Popen[str], tmp_path: Path
) -> None:
    runs = two_runs(server)
    told = [tmp_path / str(run.pid) for run in runs]
    wait_for(lambda: all(file.exists() for file in told), 60)
    assert [file.read_text() for file in told] == ["0 True", "1 True"]
    assert (tmp_path / "loads").read_text() == "x"


def test_a_run_is_told_from_the_process_that_it_is_forked_from(
    server: subprocess.Popen[str],
) -> None:
    runs = two_runs(server)
    [fork_server] = {run.parent() for run in runs}
    assert fork_server
    assert [is_of_a_run(process) for process in (*runs, fork_server)] == [True, True, False]
    assert not is_of_a_run(psutil.Process(server.pid))


def test_an_interrupt_ends_one_run_alone(server: subprocess.Popen[str], tmp_path: Path) -> None:
    first, second = two_runs(server)
    wait_for((tmp_path / str(first.pid)).exists, 60)
    first.send_signal(signal.SIGINT)
    wait_for(lambda: not is_of_a_run(first), 20)
    assert is_of_a_run(second)


def test_runs_go_on_without_the_server_and_are_told_from_the_fork_server(
    server: subprocess.Popen[str], tmp_path: Path
) -> None:
    first, second = two_runs(server)
    wait_for(lambda: all((tmp_path / str(run.pid)).exists() for run in (first, second)), 60)
    fork_server = first.parent()
    assert fork_server
    server.kill()
    server.wait(20)
    first.kill()
    wait_for(lambda: not is_of_a_run(first), 20)
    assert is_of_a_run(second)
    assert not is_of_a_run(fork_server)
    second.kill()
    wait_for(lambda: not is_alive(fork_server), 20)
