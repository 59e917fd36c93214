"""Which tests share a worker, and how those of several workers keep out of each other's way."""

from __future__ import annotations

import fcntl
import threading
import time
from pathlib import Path

import pytest

from qimo_assets_tests.conftest import (
    BESIDE,
    BESIDE_THE_FLOW,
    FLOW,
    ON_THE_STACK,
    PLACES,
    TIERS,
    Stack,
    alone,
    place_of,
    tier_of,
    undisturbed,
)

TESTS = Path(__file__).parents[1]
PATIENCE_SECONDS = 30


@pytest.mark.parametrize(
    "test",
    ["integration/test_end_to_end.py", "integration/test_another.py", "faults/test_matrix.py"],
)
def test_what_follows_the_flow_shares_a_worker(test: str) -> None:
    assert place_of(f"qimo_assets_tests/{test}::test_it[a::b]") == FLOW


@pytest.mark.parametrize("test", sorted(BESIDE_THE_FLOW))
def test_the_lakes_beside_the_flow_share_another(test: str) -> None:
    assert place_of(f"qimo_assets_tests/{test}::test_it") == BESIDE


@pytest.mark.parametrize("test", ["contract/test_agent.py", "unit/test_cli.py"])
def test_any_other_file_is_a_place_of_its_own(test: str) -> None:
    assert place_of(f"qimo_assets_tests/{test}::test_it") == f"qimo_assets_tests/{test}"


def test_each_file_beside_the_flow_is_there() -> None:
    assert [name for name in BESIDE_THE_FLOW if not (TESTS / name).is_file()] == []


def test_each_tier_has_its_turn() -> None:
    assert {*TIERS} - {*PLACES} == ON_THE_STACK
    assert tier_of("qimo_assets_tests/unit/test_places.py::test_it") == "unit"


def test_who_has_to_be_alone_waits_for_those_under_way_and_holds_up_those_that_come(
    tmp_path: Path,
) -> None:
    stack, done = Stack(tmp_path, {}), []

    def stop_a_service() -> None:
        with alone(stack):
            done.append("stopped")

    def use_the_services() -> None:
        with undisturbed(stack):
            done.append("used")

    with undisturbed(stack):
        with undisturbed(stack):
            done.append("beside")
        stopping = threading.Thread(target=stop_a_service)
        stopping.start()
        # It has the turn and waits for this one: who comes now waits for both.
        while not _is_taken(tmp_path / "turn"):
            time.sleep(0.01)
        using = threading.Thread(target=use_the_services)
        using.start()
        done.append("ended")
    for thread in (stopping, using):
        thread.join(PATIENCE_SECONDS)
    assert done == ["beside", "ended", "stopped", "used"]


def _is_taken(path: Path) -> bool:
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
