"""Limits that depend on each other are in order, also where they stand in a file of their own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
import yaml

from qimo_assets.settings import PROJECT_ROOT
from qimo_assets.timeouts import CANCEL_TIMEOUT_SECONDS, STALL_CHAIN, STOP_CHAIN


@pytest.mark.parametrize("chain", [STOP_CHAIN, STALL_CHAIN], ids=["stop", "stall"])
def test_each_limit_is_smaller_than_the_next(chain: Sequence[int]) -> None:
    assert all(limit < following for limit, following in pairwise(chain))


def test_dagster_gives_a_run_up_only_after_its_process_was_killed() -> None:
    instance = yaml.safe_load((PROJECT_ROOT / "dagster.yaml").read_text())
    assert instance["run_monitoring"]["cancel_timeout_seconds"] == CANCEL_TIMEOUT_SECONDS
