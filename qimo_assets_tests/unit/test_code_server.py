"""The code server's watch over its worker, with real child processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from qimo_assets.stack.code_server import living_workers, wait_for_loss
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


def test_a_killed_worker_is_gone_although_nobody_asked_for_its_end(worker: subprocess.Popen[bytes]) -> None:
    assert living_workers() == {worker.pid}
    worker.kill()
    wait_for(lambda: not living_workers(), 10)


def test_waits_through_the_start_and_through_a_reload() -> None:
    looks = iter([set[int](), {1}, {1, 2}, {2}, {2}, set[int](), {9}])
    assert wait_for_loss(lambda: next(looks), lambda _: None) == {2}
    assert next(looks) == {9}
