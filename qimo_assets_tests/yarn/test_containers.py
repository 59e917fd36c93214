"""Spark's work is done in YARN's containers; one that is killed, or YARN itself, costs no line and
comes back by itself.
"""

from __future__ import annotations

import psutil
import pytest

from qimo_assets_tests.conftest import Stack, wait_for
from qimo_assets_tests.faults.hits import YARN_FAULTS, Fault, service_pid
from qimo_assets_tests.faults.matrix import Matrix, assert_recovers
from qimo_assets_tests.processes import executors, stream_executors


def test_the_stream_and_the_metrics_work_in_containers(stack: Stack, matrix: Matrix) -> None:
    containers = {
        process.pid
        for process in psutil.Process(service_pid(stack, "nodemanager")).children(recursive=True)
    }
    of_the_stream = wait_for(lambda: {process.pid for process in stream_executors(stack)})
    of_the_metrics = {process.pid for process in executors(stack)} - of_the_stream
    assert of_the_metrics
    assert of_the_stream | of_the_metrics <= containers


@pytest.mark.parametrize("fault", YARN_FAULTS, ids=lambda fault: fault.name)
def test_what_is_killed_costs_no_line(matrix: Matrix, fault: Fault) -> None:
    assert_recovers(matrix, fault)
