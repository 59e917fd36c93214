"""A disk that is full for a while: nothing is lost, and the platform goes on by itself when there
is room again.
"""

from __future__ import annotations

import pytest

from qimo_assets_tests.faults.hits import FULL_DISKS, Fault
from qimo_assets_tests.faults.matrix import Matrix, assert_recovers


@pytest.mark.parametrize("full", FULL_DISKS, ids=lambda fault: fault.name)
def test_recovers_when_there_is_room_again(small_disks: Matrix, full: Fault) -> None:
    assert_recovers(small_disks, full)
