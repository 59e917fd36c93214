"""The code server's watch over its worker, with real child processes, and its start without
Dagster's storage.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qimo_assets.instance.code_server import living_workers, wait_for_loss
from qimo_assets.settings import PROJECT_ROOT
from qimo_assets.stack.services import CODE_SERVER, DEFINITIONS
from qimo_assets_tests.conftest import wait_for


def child(*words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", *words])


@pytest.fixture
def worker() -> Iterator[subprocess.Popen[bytes]]:
    """A child that looks like Dagster's worker, and one that does not."""
    with child("api", "grpc", "--socket", "x") as process, child("execute-run") as other:
        yield process
        for each in (process, other):
            each.kill()


def test_a_killed_worker_is_gone_although_nobody_asked_for_its_end(
    worker: subprocess.Popen[bytes],
) -> None:
    assert living_workers() == {worker.pid}
    worker.kill()
    wait_for(lambda: not living_workers(), 10)


def test_waits_through_the_start_and_through_a_reload() -> None:
    looks = iter([set[int](), {1}, {1, 2}, {2}, {2}, set[int](), {9}])
    assert wait_for_loss(lambda: next(looks), lambda _: None) == {2}
    assert next(looks) == {9}


def test_without_the_storage_it_ends_and_does_not_hold_the_error(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").symlink_to(PROJECT_ROOT / "dagster.yaml")
    nobody = "mysql+mysqlconnector://dagster@127.0.0.1:9/dagster"
    env = {
        **os.environ,
        "DAGSTER_HOME": str(tmp_path),
        "QIMO_DAGSTER_STORAGE_URL": nobody,
        "PYTHONPATH": str(PROJECT_ROOT),
    }
    command = [
        sys.executable,
        "-m",
        CODE_SERVER,
        "code-server",
        "start",
        "-m",
        DEFINITIONS,
        "-s",
        str(tmp_path / "socket"),
    ]
    done = subprocess.run(
        command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "Can't connect to MySQL server on '127.0.0.1:9'" in done.stderr
