"""A member of a cluster dies, or is away for a while: lines flow on, each is counted once, and the
member comes back by itself.
"""

from __future__ import annotations

import pytest

from qimo_assets.stack import control
from qimo_assets_tests.conftest import Stack, wait_for
from qimo_assets_tests.faults.flow import append_marker
from qimo_assets_tests.faults.hits import CLUSTER_FAULTS, Fault
from qimo_assets_tests.faults.matrix import RECOVERY_SECONDS, Matrix, assert_recovers
from qimo_assets_tests.processes import stream_executors


def test_the_stream_works_on_both_workers(stack: Stack, matrix: Matrix) -> None:
    wait_for(lambda: len({executor.ppid() for executor in stream_executors(stack)}) == 2)


@pytest.mark.parametrize("fault", CLUSTER_FAULTS, ids=lambda fault: fault.name)
def test_a_member_that_is_killed_costs_no_line(matrix: Matrix, fault: Fault) -> None:
    assert_recovers(matrix, fault)


def test_lines_reach_mysql_while_one_of_each_is_away(stack: Stack, matrix: Matrix) -> None:
    layout = stack.layout()
    away = {
        members[-1]
        for members in (
            layout.profile.brokers,
            layout.profile.data_nodes,
            layout.profile.spark_workers,
        )
    }
    control.stop(layout, print, only=away)
    try:
        stack.qimo("feed", "--lines", "2000", "--seed", "11")
        append_marker(layout.chat, "one-of-each-away")
        wait_for(lambda: matrix.is_published("one-of-each-away"), RECOVERY_SECONDS)
        assert {
            component.name
            for component in control.components(layout)
            if component.state == "stopped"
        } == away
    finally:
        control.start(layout, print, only=away)
    assert stack.verified()["ok"]
